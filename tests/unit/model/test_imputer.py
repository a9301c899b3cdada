"""ProfileImputer: what it reads, and that its linear part is ridge regression."""

import numpy as np
import pytest
import torch

from omicsfm.model.decoders import Gaussian
from omicsfm.model.imputer import ProfileImputer
from omicsfm.training.factors import fit_factors

SIZES = {"proteome": 6, "metabolome": 4}
FEATURES, ROWS = 10, 60


@pytest.fixture
def values(rng) -> np.ndarray:
    return rng.normal(size=(ROWS, 3)) @ rng.normal(size=(3, FEATURES)) + 0.5 * rng.normal(size=(ROWS, FEATURES))


def fitted(values: np.ndarray, *, rank: int = FEATURES, noise: float = 0.1) -> ProfileImputer:
    imputer = ProfileImputer(sizes=SIZES, rank=rank, width=8)
    factors = fit_factors(values, sizes=list(SIZES.values()), rank=rank, seed=0)
    plain = {name: torch.from_numpy(own.astype(np.float32)) for name, own in vars(factors).items()}
    imputer.set_factors(**plain, noise=noise)
    return imputer.eval()


def test_with_all_factors_the_linear_part_is_ridge_regression_of_one_modality_on_the_other(values) -> None:
    """Against the dual solution in numpy, on features of unit spread and modalities of equal weight."""
    imputer, noise = fitted(values), 0.1
    z = np.clip((values - values.mean(axis=0)) / values.std(axis=0), -5, 5)
    source, target = z[:, :6] / 6**0.5, z[:, 6:]
    expected = source @ np.linalg.solve(source.T @ source / ROWS + noise * np.eye(6), source.T @ target / ROWS)
    visible = torch.zeros(ROWS, FEATURES, dtype=torch.bool)
    visible[:, :6] = True
    known = imputer.standardised(torch.from_numpy(values.astype(np.float32)), visible)
    np.testing.assert_allclose(imputer.linear(known, visible)[:, 6:].numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("training", [True, False])
def test_a_hidden_value_does_not_change_what_is_said(values, training: bool) -> None:
    imputer = fitted(values, rank=3).train(training)
    torch.nn.init.normal_(imputer.readout.weight)
    profile = torch.from_numpy(values.astype(np.float32))
    visible = torch.rand(ROWS, FEATURES, generator=torch.Generator().manual_seed(0)) < 0.5
    columns = torch.arange(FEATURES).expand(ROWS, -1)
    said = Gaussian(torch.zeros(ROWS, FEATURES), torch.zeros(ROWS, FEATURES))
    torch.manual_seed(0)
    before = imputer(said, profile, visible, columns).mean
    torch.manual_seed(0)
    after = imputer(said, torch.where(visible, profile, profile + 9.0), visible, columns).mean
    torch.testing.assert_close(after, before)
    torch.manual_seed(0)
    assert not torch.allclose(imputer(said, profile + 1.0, visible, columns).mean, before)


def test_with_nothing_visible_the_linear_part_says_the_training_mean(values) -> None:
    imputer = fitted(values, rank=3)
    imputer.linear_share = 1.0
    nothing = torch.zeros(2, FEATURES, dtype=torch.bool)
    columns = torch.arange(FEATURES).expand(2, -1)
    said = Gaussian(torch.zeros(2, FEATURES), torch.zeros(2, FEATURES))
    mean = imputer(said, torch.ones(2, FEATURES), nothing, columns).mean
    np.testing.assert_allclose(mean.detach().numpy(), np.tile(values.mean(axis=0), (2, 1)), atol=1e-5)


def test_factors_do_not_depend_on_how_a_feature_is_scaled_or_on_what_is_missing_elsewhere(values) -> None:
    first = fit_factors(values, sizes=[6, 4], rank=3, seed=0)
    scaled = fit_factors(values * np.arange(1, 11) + 5, sizes=[6, 4], rank=3, seed=0)
    np.testing.assert_allclose(np.abs(scaled.loadings), np.abs(first.loadings), atol=1e-4)
    gap = values.copy()
    gap[0, 0] = np.nan
    holed = fit_factors(gap, sizes=[6, 4], rank=3, seed=0)
    assert np.isfinite(holed.loadings).all()
    np.testing.assert_array_equal(holed.center[1:], first.center[1:])


def test_more_factors_than_the_data_has_are_zero(values) -> None:
    factors = fit_factors(values[:5], sizes=[6, 4], rank=16, seed=0)
    assert factors.loadings.shape == (FEATURES, 16)
    assert not factors.loadings[:, 5:].any()
