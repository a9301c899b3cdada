"""Several stores as one training set: rows, features, people and scales of each stay its own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from omicsfm.data.collate import BatchReader, fit_transforms
from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms import default_transform
from omicsfm.data.union import StoreUnion, open_stores, rows_by_store
from omicsfm.errors import InputError

SECOND = ("P00003", "P00004", "P00001", "P00005")


def model_parts(store) -> dict:
    """Features and fitted transforms of a model of this store."""
    features = {name: matrix.features for name, matrix in store.modalities.items()}
    chains = {name: default_transform(space.scale) for name, space in features.items()}
    fit_transforms(store, rows=np.arange(len(store)), chains=chains)
    return {"features": features, "transforms": chains}


def test_a_row_of_the_union_has_the_values_of_its_store_and_nothing_where_that_has_no_feature(cohort, tmp_path) -> None:
    one, two = cohort(tmp_path, "one"), cohort(tmp_path, "second", SECOND, visits=20)
    union = StoreUnion.of([one, two])
    matrix = union.modalities["proteome"]
    assert matrix.features.ids == ("P00001", "P00002", "P00003", "P00004", "P00005")
    assert len(union) == 50
    np.testing.assert_array_equal(matrix.rows, [*range(29), *range(30, 49)])
    rows = np.array([35, 0, 49, 29, 3, 35, 30])
    values, below = matrix.read(rows)
    ours, ours_below = one.modalities["proteome"].read(np.array([0, 29, 3]))
    theirs, theirs_below = two.modalities["proteome"].read(np.array([5, 19, 5, 0]))
    for got, first, second, nothing in ((values, ours, theirs, np.nan), (below, ours_below, theirs_below, False)):
        np.testing.assert_array_equal(got[[1, 3, 4]][:, [0, 1, 2]], first)
        np.testing.assert_array_equal(got[[0, 2, 5, 6]][:, [2, 3, 0, 4]], second)
        np.testing.assert_array_equal(got[[1, 3, 4]][:, [3, 4]], np.full((3, 2), nothing))
        np.testing.assert_array_equal(got[[0, 2, 5, 6], 1], np.full(4, nothing))


def test_a_sparse_union_picks_the_features_that_it_reads(cohort, tmp_path) -> None:
    stores = [cohort(tmp_path, "one", layout="csr"), cohort(tmp_path, "second", SECOND, layout="csr")]
    matrix = StoreUnion.of(stores).modalities["proteome"]
    assert matrix.layout == "csr"
    rows, columns = np.array([33, 2, 59, 8]), np.array([[4, 2, -1], [0, 4, 1], [0, 1, 2], [2, -1, 0]])
    counted = np.array([True, False, True, True, True])
    values, below = matrix.read(rows)
    picked = matrix.pick(rows, columns, counted)
    for row, own in enumerate(columns):
        np.testing.assert_array_equal(picked.values[row], [np.nan if c < 0 else values[row, c] for c in own])
        np.testing.assert_array_equal(picked.below_limit[row], [c >= 0 and below[row, c] for c in own])
    np.testing.assert_allclose(picked.total[:, 0], np.nansum(values[:, counted], axis=1), rtol=1e-6)


def test_a_modality_of_one_store_is_not_measured_in_the_others(cohort, tmp_path) -> None:
    union = StoreUnion.of([cohort(tmp_path, "one"), cohort(tmp_path, "two", modality="olink")])
    assert list(union.modalities) == ["proteome", "olink"]
    assert np.isnan(union.modalities["olink"].read(np.arange(30))[0]).all()
    assert union.modalities["olink"].rows.min() == 30


def test_the_same_id_in_two_stores_is_two_people_unless_both_say_whose_ids_they_are(cohort, tmp_path) -> None:
    one, two = cohort(tmp_path, "one"), cohort(tmp_path, "two")
    assert len(set(StoreUnion.of([one, two]).participant_number)) == 30
    assert StoreUnion.of([one, two]).visits["participant_id"].iloc[[0, 30]].tolist() == ["one/P0", "two/P0"]
    same = [cohort(tmp_path / "same", name, people="lifelines", visits=v) for name, v in (("one", 30), ("two", 40))]
    number = StoreUnion.of(same).participant_number
    assert len(set(number)) == 20
    np.testing.assert_array_equal(number[:30], number[30:60])


def test_a_visit_keeps_its_age_and_has_none_where_its_store_knows_none(cohort, tmp_path) -> None:
    one, two = cohort(tmp_path, "one"), cohort(tmp_path, "second", SECOND, visits=20)
    one = replace(one, visits=one.visits.assign(age=np.arange(30.0)))
    union = StoreUnion.of([one, two])
    batch = BatchReader(union, **model_parts(union)).read(np.array([3, 35]))
    np.testing.assert_array_equal(batch.age_years.numpy(), [3.0, np.nan])


def test_another_namespace_is_refused_with_the_way_out(cohort, tmp_path) -> None:
    stores = [cohort(tmp_path, "one"), cohort(tmp_path, "two", ("A", "B"), namespace="protein_symbol")]
    with pytest.raises(
        InputError, match=r"one names features in namespace uniprot, two in protein_symbol.*proteome_two"
    ):
        StoreUnion.of(stores)


def test_local_ids_of_two_cohorts_are_different_features_and_find_their_own_again(cohort, tmp_path) -> None:
    one, two = (cohort(tmp_path, name, ("X", "Y"), namespace="local") for name in ("one", "two"))
    union = StoreUnion.of([one, two])
    assert union.modalities["proteome"].features.ids == ("one/X", "one/Y", "two/X", "two/Y")
    parts = model_parts(union)
    again = BatchReader(two, **parts).read(np.arange(29)).measurements["proteome"]
    assert set(again.feature_ids[again.observed].tolist()) == {2, 3}


@pytest.mark.parametrize("scale", ["log2", "raw"])
@pytest.mark.parametrize("platform", ["", "ms"])
def test_a_store_read_alone_gives_the_batch_that_it_gives_in_the_union(
    cohort, tmp_path, scale: str, platform: str
) -> None:
    one = cohort(tmp_path, "one", platform=platform)
    two = cohort(tmp_path, "two", SECOND, scale=scale, level=5.0, visits=60, platform=platform)
    union = StoreUnion.of([one, two])
    parts = model_parts(union)
    rows = np.array([4, 7, 59, 0])
    joined = BatchReader(union, **parts).read(rows + 30).measurements["proteome"]
    alone = BatchReader(two, **parts).read(rows).measurements["proteome"]
    for name in ("feature_ids", "values", "observed", "below_limit"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(alone, name))
    assert bool(joined.observed.any())


def test_each_cohort_is_standardised_by_its_own_platform_and_scale(cohort, tmp_path) -> None:
    one = cohort(tmp_path, "one", level=20.0, visits=200)
    two = cohort(tmp_path, "two", level=5.0, visits=200, scale="raw")
    union = StoreUnion.of([one, two])
    assert union.modalities["proteome"].features.scale == "log2|raw"
    reader = BatchReader(union, **model_parts(union))
    for rows in (np.arange(199), np.arange(200, 399)):
        measured = reader.read(rows).measurements["proteome"]
        values = measured.values[measured.observed]
        assert abs(float(values.median())) < 0.1
        assert 0.8 < float(values.std()) < 1.25


def test_changing_a_row_that_is_not_trained_on_does_not_change_how_another_is_read(cohort, tmp_path) -> None:
    one, two = cohort(tmp_path, "one"), cohort(tmp_path, "two", scale="raw")
    changed = cohort(tmp_path / "changed", "two", scale="raw", visits=30)
    values = np.load(changed.path / "modalities" / "proteome" / "values.npy", mmap_mode="r+")
    values[20:] *= 1000
    values.flush()
    read = []
    for other in (two, OmicsStore.open(changed.path)):
        union = StoreUnion.of([one, other])
        chains = {"proteome": default_transform(union.modalities["proteome"].features.scale)}
        fit_transforms(union, rows=np.arange(50), chains=chains)
        reader = BatchReader(union, features={"proteome": union.modalities["proteome"].features}, transforms=chains)
        read.append(reader.read(np.arange(50)).measurements["proteome"].values)
    np.testing.assert_array_equal(*read)


def test_rows_are_handed_back_to_their_stores(cohort, tmp_path) -> None:
    union = StoreUnion.of([cohort(tmp_path, "one"), cohort(tmp_path, "two", visits=20)])
    (one, ours), (two, theirs) = rows_by_store(union, np.array([3, 29, 30, 49]))
    assert (one.name, ours.tolist(), two.name, theirs.tolist()) == ("one", [3, 29], "two", [0, 19])


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0], r"expected one weight for each of 2 stores, found \[1.0\]"),
        ([1.0, 0.0], r"two has weight 0\.0; a weight is a number above 0"),
        ([float("nan"), 1.0], "one has weight nan"),
        (["much", 1.0], "one has weight 'much'"),
        (2, "expected one weight for each of 2 stores, found 2"),
    ],
)
def test_weights_that_do_not_fit_are_refused(cohort, tmp_path, weights: Any, said: str) -> None:
    stores = [cohort(tmp_path, "one"), cohort(tmp_path, "two")]
    with pytest.raises(InputError, match=said):
        StoreUnion.of(stores, weights)


def test_one_path_is_a_store_and_the_same_data_twice_is_refused(cohort, tmp_path) -> None:
    one = cohort(tmp_path, "one")
    assert isinstance(open_stores(str(one.path)), OmicsStore)
    assert isinstance(open_stores([str(one.path)], [2]), OmicsStore)
    with pytest.raises(InputError, match="holds the same data as"):
        open_stores([str(one.path), str(one.path)])
    with pytest.raises(InputError, match="no store is named"):
        open_stores([])
