"""Random features of the values: their inner products are a kernel."""

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard as matrix
from sklearn.metrics.pairwise import rbf_kernel

from omicsfm.model.random_features import RandomFeatures, hadamard

SIZES = {"proteome": 40, "metabolome": 300}


@pytest.fixture
def profile() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(30, sum(SIZES.values()))


def products(made: RandomFeatures, profile: torch.Tensor) -> np.ndarray:
    columns = made(profile)
    assert columns.shape == (len(profile), made.columns)
    return (columns @ columns.T).numpy() / made.features


def test_the_fast_transform_is_the_product_with_the_hadamard_matrix() -> None:
    rows = torch.randn(3, 64)
    np.testing.assert_allclose(hadamard(rows).numpy(), rows.numpy() @ matrix(64), rtol=0, atol=1e-4)


@pytest.mark.parametrize("measured", [slice(0, 340), slice(0, 40), slice(40, 340)], ids=["both", "first", "second"])
def test_inner_products_are_the_gaussian_kernel_of_what_is_measured(profile: torch.Tensor, measured: slice) -> None:
    """Against scikit-learn; a kernel of 4,096 draws is known to a few 1 / sqrt(4,096)."""
    shown = torch.zeros_like(profile)
    shown[:, measured] = profile[:, measured]
    values = profile[:, measured].numpy()
    exact = rbf_kernel(values, gamma=1 / (2 * values.shape[1]))
    found = products(RandomFeatures(sizes=SIZES, features=4096), shown)
    assert np.abs(found - exact).max() < 0.08
    assert abs((found - exact)[~np.eye(len(exact), dtype=bool)].mean()) < 0.01


def test_a_visit_without_any_value_is_at_the_origin_and_finite() -> None:
    columns = RandomFeatures(sizes=SIZES, features=64)(torch.zeros(2, 340))
    torch.testing.assert_close(columns, torch.tensor([1.0, 0.0]).repeat_interleave(64).expand(2, -1))


def test_few_features_are_spread_over_all_projections() -> None:
    values = torch.randn(20, 3)
    exact = rbf_kernel(values.numpy(), gamma=1 / 6)
    assert np.abs(products(RandomFeatures(sizes={"clinical": 3}, features=4096), values) - exact).max() < 0.08


def test_a_batch_without_visits_has_no_rows() -> None:
    """As a process has it whose share of a batch is empty."""
    made = RandomFeatures(sizes=SIZES, features=64)
    assert made(torch.zeros(0, 340)).shape == (0, made.columns)
