"""Transforms: missing stays missing, statistics are the training rows', and a spec with arrays is the whole of them."""

import json

import numpy as np
import pytest

from omicsfm.build import build
from omicsfm.data.row_labels import at_rows
from omicsfm.data.transforms.depth import Log1pCPM
from omicsfm.data.transforms.logarithms import Log2AboveFloor, Rescale
from omicsfm.data.transforms.robust_z import RobustZ
from omicsfm.data.transforms.scales import SCALES, default_transform, to_model_scale
from omicsfm.errors import InputError

PLATFORMS = ("olink", "somascan")


def positive(rng, rows: int = 40, features: int = 6) -> np.ndarray:
    """Positive values, some zero, some not measured, one feature never measured, one constant."""
    values = rng.lognormal(3, 1, (rows, features)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = 0.0
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:, 1] = np.nan
    values[:, 2] = 5.0
    return values


def labels_of(platforms: list[str]) -> dict[str, np.ndarray]:
    return {"platform": np.array(platforms)}


def platforms_of(rows: int) -> dict[str, np.ndarray]:
    return labels_of([PLATFORMS[row % 2] for row in range(rows)])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("platforms", [True, False])
def test_every_scale_keeps_what_is_missing_missing_and_everything_else_finite(rng, scale: str, platforms: bool) -> None:
    values = positive(rng)
    names = platforms_of(len(values)) if platforms else {}
    before = values.copy()
    transformed = default_transform(scale).fit(values, names)(values, names)
    np.testing.assert_array_equal(np.isnan(transformed), np.isnan(values))
    assert transformed.dtype == np.float32
    assert np.isfinite(transformed[~np.isnan(values)]).all()
    np.testing.assert_array_equal(values, before)  # the caller's array is left alone


@pytest.mark.parametrize("scale", SCALES)
def test_spec_and_arrays_alone_make_the_same_transform_again(rng, scale: str) -> None:
    values, names = positive(rng), platforms_of(40)
    chain = default_transform(scale).fit(values, names)
    again = build(json.loads(json.dumps(chain.spec())))  # as a checkpoint keeps it
    again.load({name: array.copy() for name, array in chain.arrays().items()})
    unseen = positive(np.random.default_rng(1))
    np.testing.assert_array_equal(again(unseen, names), chain(unseen, names))


@pytest.mark.parametrize("scale", SCALES)
def test_a_row_is_transformed_the_same_whatever_rows_stand_beside_it(rng, scale: str) -> None:
    values, names = positive(rng), platforms_of(40)
    chain = default_transform(scale).fit(values, names)
    together = chain(values, names)
    alone = np.concatenate([chain(values[row : row + 1], at_rows(names, np.array([row]))) for row in range(40)])
    np.testing.assert_array_equal(alone, together)


@pytest.mark.filterwarnings("ignore")  # scanpy's and anndata's own
def test_counts_per_million_equal_scanpys(rng) -> None:
    import anndata
    import scanpy as sc

    counts = rng.poisson(20, (8, 30)).astype(np.float32)
    table = anndata.AnnData(counts.copy())
    sc.pp.normalize_total(table, target_sum=1e6)
    sc.pp.log1p(table)
    np.testing.assert_allclose(Log1pCPM()(counts), table.X, rtol=2e-6)


def test_a_visit_without_counts_stays_zero_and_a_gap_is_no_count() -> None:
    counts = np.array([[0.0, 0.0, np.nan], [1.0, 3.0, np.nan]], dtype=np.float32)
    transformed = Log1pCPM()(counts)
    np.testing.assert_allclose(transformed[:, :2], [[0, 0], np.log1p([250_000.0, 750_000.0])], rtol=1e-6)
    assert np.isnan(transformed[:, 2]).all()


@pytest.mark.parametrize(("scale", "base"), [("log10", 10.0), ("ln", np.e), ("log2", 2.0)])
def test_every_logarithm_becomes_log2(scale: str, base: float) -> None:
    values = np.array([[1.0, 8.0, 1024.0]])
    logged = (np.log(values) / np.log(base)).astype(np.float32)
    np.testing.assert_allclose(to_model_scale(scale)(logged), np.log2(values), rtol=1e-5)


def test_a_measured_zero_becomes_half_of_the_smallest_training_value() -> None:
    values = np.array([[0.0, 8.0], [4.0, np.nan], [16.0, 2.0]], dtype=np.float32)
    transform = Log2AboveFloor().fit(values)
    np.testing.assert_allclose(transform(values)[:, 0], [1.0, 2.0, 4.0])
    unseen = np.array([[-3.0, 0.001]], dtype=np.float32)
    np.testing.assert_allclose(transform(unseen), [[1.0, 0.0]])  # no lower than the floor


def test_each_platform_is_standardised_by_its_own_training_rows_and_an_unseen_one_by_all(rng) -> None:
    values = rng.normal(size=(60, 3)).astype(np.float32)
    names = platforms_of(60)
    values[1::2] = values[1::2] * 10 + 100
    transform = RobustZ(clip=1e6).fit(values, names)
    scaled = transform(values, names)
    for own in (slice(0, None, 2), slice(1, None, 2)):
        np.testing.assert_allclose(np.median(scaled[own], axis=0), 0, atol=1e-5)
        low, high = np.percentile(scaled[own], [25, 75], axis=0)
        np.testing.assert_allclose((high - low) / 1.349, 1, rtol=1e-4)
    pooled = RobustZ(clip=1e6).fit(values)(values)
    np.testing.assert_allclose(transform(values, labels_of(["unseen"] * 60)), pooled, rtol=1e-5)
    assert np.abs(pooled - scaled).max() > 0.5


def test_a_platform_with_too_few_values_of_a_feature_takes_those_of_all(rng) -> None:
    values = rng.normal(size=(30, 2)).astype(np.float32)
    names = labels_of(["olink"] * 24 + ["somascan"] * 6)
    values[24:] += 50
    transform = RobustZ(min_rows=10).fit(values, names)
    np.testing.assert_allclose(
        transform(values[24:], labels_of(["somascan"] * 6)), RobustZ().fit(values)(values[24:]), rtol=1e-5
    )


def test_outliers_are_clipped_and_a_constant_feature_stays_at_zero() -> None:
    values = np.array([[5.0, n] for n in range(20)], dtype=np.float32)
    transform = RobustZ(clip=3.0).fit(values)
    scaled = transform(np.array([[5.0, 1e9], [5.0, -1e9]], dtype=np.float32))
    np.testing.assert_allclose(scaled, [[0.0, 3.0], [0.0, -3.0]])


def test_a_feature_that_is_mostly_one_value_takes_the_standard_deviation() -> None:
    values = np.zeros((20, 1), dtype=np.float32)
    values[0] = 10.0
    scaled = RobustZ().fit(values)(values)
    np.testing.assert_allclose(scaled[0], 10 / values.std(), rtol=1e-5)


def test_a_chain_fits_each_step_on_what_the_one_before_returns(rng) -> None:
    values = positive(rng)
    chain = default_transform("raw").fit(values)
    scaled = chain(values)
    np.testing.assert_allclose(np.nanmedian(scaled[:, [0, 2, 3, 4, 5]], axis=0), 0, atol=1e-6)
    step_by_step = RobustZ().fit(Log2AboveFloor().fit(values)(values))
    np.testing.assert_allclose(chain.steps[1].center, step_by_step.center)


def test_transforms_without_a_training_row_leave_values_finite() -> None:
    nothing = np.zeros((0, 3), dtype=np.float32)
    for scale in SCALES:
        transformed = default_transform(scale).fit(nothing)(np.ones((2, 3), dtype=np.float32))
        assert np.isfinite(transformed).all()


def test_an_unknown_scale_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"scale 'log3' is not known; known: counts, .*log2"):
        to_model_scale("log3")


def test_a_constant_factor_travels_with_its_spec() -> None:
    again = build(Rescale(3.0).spec())
    np.testing.assert_allclose(again(np.array([[2.0]], dtype=np.float32)), [[6.0]])
