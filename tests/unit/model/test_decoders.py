"""Gaussian: densities and left-censored terms equal scipy's; no value and no weight makes them infinite."""

import numpy as np
import pytest
import torch
from scipy import stats

from omicsfm.model.decoders import Gaussian, GaussianDecoder


def gaussian(rows: int = 4, features: int = 5) -> tuple[Gaussian, torch.Tensor]:
    return Gaussian(mean=torch.randn(rows, features), log_scale=torch.randn(rows, features)), torch.randn(
        rows, features
    )


def test_the_density_term_equals_scipys_logpdf() -> None:
    distribution, values = gaussian()
    ours = distribution.negative_log_likelihood(values, torch.zeros(4, 5, dtype=torch.bool))
    theirs = -stats.norm.logpdf(values.numpy(), distribution.mean.numpy(), distribution.log_scale.exp().numpy())
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-5)


def test_a_value_below_its_limit_counts_as_the_probability_of_lying_there() -> None:
    distribution, limits = gaussian()
    ours = distribution.negative_log_likelihood(limits, torch.ones(4, 5, dtype=torch.bool))
    theirs = -stats.norm.logcdf(limits.numpy(), distribution.mean.numpy(), distribution.log_scale.exp().numpy())
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [-1e4, -100.0, 0.0, 100.0, 1e4])
@pytest.mark.parametrize("below", [True, False])
def test_loss_and_gradient_are_finite_far_from_the_mean(value: float, below: bool) -> None:
    mean = torch.tensor([[0.0]], requires_grad=True)
    log_scale = torch.tensor([[0.0]], requires_grad=True)
    loss = Gaussian(mean=mean, log_scale=log_scale).negative_log_likelihood(
        torch.tensor([[value]]), torch.tensor([[below]])
    )
    loss.sum().backward()
    assert loss.isfinite().all()
    assert mean.grad is not None
    assert log_scale.grad is not None
    assert mean.grad.isfinite().all()
    assert log_scale.grad.isfinite().all()


def test_the_scale_stays_within_its_bound_whatever_the_weights() -> None:
    decoder = GaussianDecoder(dim=3, max_log_scale=2.0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.fill_(1e4)
    ids = torch.tensor([[0, 1]])
    low_and_high = decoder(torch.ones(1, 3), torch.ones(2, 3), torch.tensor([[-1.0] * 3, [1.0] * 3]), ids)
    torch.testing.assert_close(low_and_high.log_scale.abs(), torch.full((1, 2), 2.0))


def test_each_asked_feature_gets_its_own_loading() -> None:
    decoder = GaussianDecoder(dim=2)
    loadings, identities, hidden = torch.randn(4, 2), torch.randn(4, 2), torch.randn(2, 2)
    asked = torch.tensor([[3, 0], [1, 1]])
    mean = decoder(hidden, loadings, identities, asked).mean
    whole = (hidden @ loadings.T + decoder.offset(identities).T) / 2**0.5
    torch.testing.assert_close(mean, whole.gather(1, asked))
