"""Half of the values below the detection limit: the left-censored likelihood finds the planted mean and spread,
imputing half of the limit does not. Outside reference: scipy's maximum likelihood on CensoredData.
"""

import numpy as np
import pytest
import torch
from scipy import stats

from omicsfm.model.decoders import Gaussian

MEAN, SD, ROWS = 1.5, 0.8, 2000  # log2 of a concentration
FEATURES = 24


def planted() -> tuple[np.ndarray, np.ndarray]:
    """Measured values with the limit, the planted mean, in place of those below it; and which those are."""
    truth = np.random.default_rng(11).normal(MEAN, SD, (ROWS, FEATURES))
    return np.maximum(truth, MEAN), truth < MEAN


def maximum_likelihood(values: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and both standard errors of each feature, from the observed information."""
    x, flags = torch.from_numpy(values), torch.from_numpy(below)
    parameters = torch.stack([x.mean(0), x.std(0).log()]).requires_grad_()

    def loss(p: torch.Tensor) -> torch.Tensor:
        return Gaussian(mean=p[0].expand_as(x), log_scale=p[1].expand_as(x)).negative_log_likelihood(x, flags).sum()

    optimiser = torch.optim.LBFGS([parameters], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        total = loss(parameters)
        total.backward()
        return total

    optimiser.step(closure)
    found = parameters.detach()
    information = torch.autograd.functional.hessian(loss, found)  # parameters features parameters features
    own = torch.diagonal(information, dim1=1, dim2=3).permute(2, 0, 1)
    error = torch.linalg.inv(own).diagonal(dim1=1, dim2=2).sqrt().numpy()
    sd = found[1].exp().numpy()
    return found[0].numpy(), sd, error[:, 0], error[:, 1] * sd


def test_the_likelihood_recovers_what_was_planted_and_half_the_limit_does_not() -> None:
    values, below = planted()
    assert below.mean() == pytest.approx(0.5, abs=0.01)
    mean, sd, mean_error, sd_error = maximum_likelihood(values, below)
    covered = np.abs(mean - MEAN) < 1.96 * mean_error
    covered_sd = np.abs(sd - SD) < 1.96 * sd_error
    assert covered.mean() >= 0.85  # 95 % expected
    assert covered_sd.mean() >= 0.85
    assert abs(mean.mean() - MEAN) < 1.96 * mean_error.mean() / FEATURES**0.5
    assert abs(sd.mean() - SD) < 1.96 * sd_error.mean() / FEATURES**0.5

    half = np.where(below, np.log2(np.exp2(values) / 2), values)  # half of the limit: one less on the log2 scale
    error = half.std(axis=0, ddof=1) / ROWS**0.5
    assert (np.abs(half.mean(axis=0) - MEAN) > 1.96 * error).all()  # no interval holds the truth
    assert half.mean() == pytest.approx(MEAN + 0.5 * (SD * (2 / np.pi) ** 0.5 - 1), abs=0.01)
    at_limit = values.std(axis=0, ddof=1) / ROWS**0.5
    assert (np.abs(values.mean(axis=0) - MEAN) > 1.96 * at_limit).all()  # nor with the limit in their place


def test_the_estimates_equal_scipys() -> None:
    values, below = planted()
    mean, sd, _, _ = maximum_likelihood(values[:, :6], below[:, :6])
    for feature in range(6):
        data = stats.CensoredData(
            uncensored=values[~below[:, feature], feature], left=values[below[:, feature], feature]
        )
        ours, theirs = (mean[feature], sd[feature]), stats.norm.fit(data)
        np.testing.assert_allclose(ours, theirs, rtol=2e-4)
