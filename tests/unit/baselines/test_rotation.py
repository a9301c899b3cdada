"""Rotation: fewer columns, the same inner products, and the way back to coefficients of the features as they are."""

import tracemalloc

import numpy as np
import pytest

from omicsfm.baselines.rotation import BLOCK, Rotation

SHAPES = pytest.mark.parametrize("shape", [(40, 7), (30, 2 * BLOCK + 5), (12, 12), (9, 0)])


@SHAPES
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_rotated_rows_have_the_inner_products_of_the_standardised_ones(rng, shape, precision) -> None:
    features = (3 + 2 * rng.normal(size=shape)).astype(precision)
    order = rng.permutation(shape[0])
    rotated = Rotation(features, order=order, standardise=True).rotated
    own = features.astype(np.float64)
    standard = ((own - own.mean(axis=0)) / own.std(axis=0))[order]
    np.testing.assert_allclose(rotated @ rotated.T, standard @ standard.T, atol=1e-8)
    assert rotated.shape[1] <= min(shape)


@SHAPES
def test_coefficients_found_in_rotated_coordinates_predict_the_same_of_the_features(rng, shape) -> None:
    features, order = rng.normal(size=shape), rng.permutation(shape[0])
    rotation = Rotation(features, order=order, standardise=True)
    found = rng.normal(size=(rotation.rank, 2))
    predicted = (features - rotation.mean) @ rotation.back(found)
    np.testing.assert_allclose(predicted[order], rotation.rotated @ found, atol=1e-8)


def test_a_constant_feature_gets_no_coefficient(rng) -> None:
    features = np.column_stack([rng.normal(size=(20, 3)), np.full(20, 0.1)])
    rotation = Rotation(features, order=np.arange(20), standardise=True)
    assert rotation.rank == 3
    np.testing.assert_array_equal(rotation.back(np.ones((3, 1)))[3], 0.0)


def test_features_in_single_precision_are_not_copied(rng) -> None:
    """What is held beside them is of the size of a block of their columns, and of a row for each row."""
    rows, columns = 30, 80 * BLOCK
    features = rng.normal(size=(rows, columns)).astype(np.float32)
    tracemalloc.start()
    try:
        rotation = Rotation(features, order=np.arange(rows), standardise=True)
        rotation.back(np.ones((rotation.rank, 1)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < features.nbytes
