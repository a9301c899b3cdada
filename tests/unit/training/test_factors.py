"""Standardised values, their leading factors, and the loadings that a prior takes from them."""

import numpy as np
import pytest

from omicsfm.training.factors import leading_factors, standardised
from omicsfm.training.priors.comeasurement import loadings_of


@pytest.fixture
def values() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(60, 4)) @ generator.normal(size=(4, 10)) + generator.normal(size=(60, 10))


def test_loadings_do_not_depend_on_how_a_feature_is_scaled(values: np.ndarray) -> None:
    first = loadings_of(values, sizes=[6, 4], rank=3, seed=0)
    scaled = loadings_of(values * np.arange(1, 11) + 5, sizes=[6, 4], rank=3, seed=0)
    np.testing.assert_allclose(np.abs(scaled), np.abs(first), atol=1e-4)


def test_a_missing_value_counts_as_the_mean_and_changes_no_other_feature(values: np.ndarray) -> None:
    gap = values.copy()
    gap[0, 0] = np.nan
    first, holed = standardised(values), standardised(gap)
    assert holed.values[0, 0] == 0
    np.testing.assert_array_equal(holed.values[:, 1:], first.values[:, 1:])


def test_more_factors_than_the_data_has_are_zero(values: np.ndarray) -> None:
    loadings = loadings_of(values[:5], sizes=[6, 4], rank=16, seed=0)
    assert loadings.shape == (10, 16)
    assert not loadings[:, 5:].any()


def test_all_factors_together_give_the_values_back(values: np.ndarray) -> None:
    known = standardised(values).values
    right, singular = leading_factors(known, rank=10, seed=0)
    np.testing.assert_allclose(known @ right @ right.T, known, atol=1e-4)
    np.testing.assert_allclose(singular, np.linalg.svd(known, compute_uv=False), rtol=1e-4)
