"""BatchReader: the same visit gives the same batch, in the feature space and on the scale of a model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from omicsfm.contracts import Batch, OutcomeSpec
from omicsfm.data.collate import BatchReader, fit_transforms
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.data.transforms import default_transform
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace

VISITS = 20
PROTEINS = tuple(f"P{n}" for n in range(8))
SPECS = {
    "ill": OutcomeSpec("ill", "class", "visit", ("no", "yes")),
    "bmi": OutcomeSpec("bmi", "quantity"),
    "death": OutcomeSpec("death", "survival", "participant"),
}


def cohort(path, *, proteins=PROTEINS, metabolome=True, change=None, platform=True) -> OmicsStore:
    """20 visits of 10 participants; every third visit has no metabolome; ``change`` may edit the proteome."""
    generator = np.random.default_rng(0)
    proteome = generator.normal(20, 2, (VISITS, 8)).astype(np.float32)
    proteome[generator.random(proteome.shape) < 0.2] = np.nan
    limits = (generator.random(proteome.shape) < 0.15) & ~np.isnan(proteome)
    if change is not None:
        change(proteome)
    columns = [PROTEINS.index(p) if p in PROTEINS else None for p in proteins]
    values = np.stack([np.full(VISITS, 77.0) if c is None else proteome[:, c] for c in columns], axis=1)
    below = np.stack([np.ones(VISITS, bool) if c is None else limits[:, c] for c in columns], axis=1)
    rows = np.flatnonzero(np.arange(VISITS) % 3)
    metabolites = generator.lognormal(2, 1, (len(rows), 5)).astype(np.float32)
    matrices = {
        "proteome": Matrix(FeatureSpace("proteome", tuple(proteins), "local", "log2"), np.arange(VISITS), values, below)
    }
    if metabolome:
        space = FeatureSpace("metabolome", tuple(f"M{n}" for n in range(5)), "local", "raw")
        matrices["metabolome"] = Matrix(space, rows, metabolites)
    visits = pd.DataFrame(
        {
            "participant_id": [f"S{n // 2}" for n in range(VISITS)],
            "visit": [str(n % 2) for n in range(VISITS)],
            "time_days": np.where(np.arange(VISITS) == 7, np.nan, 30.0 * (np.arange(VISITS) % 2)),
        }
    )
    if platform:
        visits["platform"] = ["a" if n < 12 else "b" for n in range(VISITS)]
    outcomes = pd.DataFrame(
        {
            "ill": [None if n == 3 else ("yes" if n % 3 else "no") for n in range(VISITS)],
            "bmi": [np.nan if n == 4 else 20.0 + n for n in range(VISITS)],
            "death.time_days": [np.nan if n == 5 else 100.0 + n for n in range(VISITS)],
            "death.event": [float(n % 2) for n in range(VISITS)],
        }
    )
    return write_store(path, name="c", visits=visits, outcomes=outcomes, outcome_specs=SPECS, matrices=matrices)


@pytest.fixture
def store(tmp_path) -> OmicsStore:
    return cohort(tmp_path / "store")


EVERYBODY = np.arange(VISITS)


def model_parts(store: OmicsStore, rows=EVERYBODY):  # type: ignore[no-untyped-def]
    features = {name: matrix.features for name, matrix in store.modalities.items()}
    chains = {name: default_transform(space.scale) for name, space in features.items()}
    fit_transforms(store, rows=rows, chains=chains)
    return {"features": features, "transforms": chains}


def dense(batch: Batch, modality: str, features: int) -> np.ndarray:
    """The values back at their features' places, NaN where not observed."""
    measured, out = batch.measurements[modality], np.full((len(batch), features), np.nan, np.float32)
    for visit in range(len(batch)):
        seen = measured.observed[visit]
        out[visit, measured.feature_ids[visit][seen].numpy()] = measured.values[visit][seen].numpy()
    return out


def assert_same(ours: Batch, theirs: Batch) -> None:
    for name, measured in theirs.measurements.items():
        for field, value in vars(measured).items():
            torch.testing.assert_close(getattr(ours.measurements[name], field), value, atol=0, rtol=0, msg=field)
    for field in ("participant", "time_days", "row"):
        torch.testing.assert_close(getattr(ours, field), getattr(theirs, field), atol=0, rtol=0)


def test_a_batch_holds_the_transformed_values_of_the_asked_rows_in_their_order(store) -> None:
    parts = model_parts(store)
    rows = np.array([13, 2, 13, 0])
    batch = BatchReader(store, **parts).read(rows)
    labels = {"platform": store.visits["platform"].to_numpy(dtype=str)[rows]}
    for name, matrix in store.modalities.items():
        raw, below = matrix.read(rows)
        expected = parts["transforms"][name](raw, labels)
        np.testing.assert_array_equal(dense(batch, name, raw.shape[1]), expected)
        measured = batch.measurements[name]
        assert measured.below_limit.sum() == (below & ~np.isnan(raw)).sum()
        assert not (measured.below_limit & ~measured.observed).any()
        assert not measured.queried.any()
    assert batch.row.tolist() == [13, 2, 13, 0]
    assert batch.participant.tolist() == [6, 1, 6, 0]


def test_outcomes_are_read_with_what_is_unknown_marked_and_finite(store) -> None:
    batch = BatchReader(store, **model_parts(store), outcomes=tuple(SPECS.values())).read(np.arange(7))
    ill, bmi, death = (batch.outcomes[name] for name in SPECS)
    assert ill.class_id.tolist() == [0, 1, 1, 0, 1, 1, 0]
    assert ill.observed.tolist() == [True, True, True, False, True, True, True]
    assert bmi.observed.tolist() == [True, True, True, True, False, True, True]
    assert bmi.value[[0, 6]].tolist() == [20.0, 26.0]
    assert death.observed.tolist() == [True] * 5 + [False, True]
    assert death.event[:5].tolist() == [False, True, False, True, False]
    assert bmi.value.isfinite().all()
    assert death.time_days.isfinite().all()


def test_an_unknown_visit_time_is_finite_in_a_batch(store) -> None:
    assert BatchReader(store, **model_parts(store)).read(np.array([7])).time_days.isfinite().all()


def test_reading_with_and_without_the_cache_gives_the_same_batch(store) -> None:
    parts = model_parts(store)
    rows = np.array([19, 3, 0, 12, 4])
    cached, uncached = BatchReader(store, **parts), BatchReader(store, **parts, cache_bytes=0)
    for _ in range(2):  # the second time from the cache
        assert_same(cached.read(rows), uncached.read(rows))


def test_a_batch_can_be_changed_without_changing_what_is_read_next(store) -> None:
    reader = BatchReader(store, **model_parts(store))
    before = reader.read(np.arange(4))
    copy = {f: v.clone() for f, v in vars(before.measurements["proteome"]).items()}
    before.measurements["proteome"].values.fill_(99.0)
    after = vars(reader.read(np.arange(4)).measurements["proteome"])
    for field, value in copy.items():
        torch.testing.assert_close(after[field], value)


def test_a_modality_that_the_store_lacks_stays_in_the_batch_with_nothing_observed(store, tmp_path) -> None:
    parts = model_parts(store)
    lacking = cohort(tmp_path / "lacking", metabolome=False)
    full, part = (BatchReader(s, **parts).read(np.arange(VISITS)) for s in (store, lacking))
    assert list(part.measurements) == list(full.measurements)
    assert not part.measurements["metabolome"].observed.any()
    assert part.measurements["metabolome"].values.shape == (VISITS, 1)
    np.testing.assert_array_equal(dense(part, "proteome", 8), dense(full, "proteome", 8))


def test_a_visit_without_an_assay_has_nothing_observed_of_it(store) -> None:
    batch = BatchReader(store, **model_parts(store)).read(np.arange(6))
    there = batch.measurements["metabolome"].observed.any(dim=1)
    assert there.tolist() == [False, True, True, False, True, True]


def test_features_in_another_order_and_unknown_ones_give_the_same_batch(store, tmp_path) -> None:
    parts = model_parts(store)
    other = cohort(tmp_path / "other", proteins=("X1", *reversed(PROTEINS), "X2"))
    assert_same(
        BatchReader(other, **parts).read(np.arange(VISITS)), BatchReader(store, **parts).read(np.arange(VISITS))
    )


def test_a_feature_that_the_store_lacks_is_not_observed(store, tmp_path) -> None:
    fewer = cohort(tmp_path / "fewer", proteins=PROTEINS[:5])
    values = dense(BatchReader(fewer, **model_parts(store)).read(np.arange(VISITS)), "proteome", 8)
    assert np.isnan(values[:, 5:]).all()
    assert not np.isnan(values[:, :5]).all(axis=0).any()


def test_a_store_with_too_few_of_the_models_features_is_refused(store, tmp_path) -> None:
    strange = cohort(tmp_path / "strange", proteins=(*PROTEINS[:3], "X1", "X2", "X3"))
    with pytest.raises(InputError, match="shares 3 of them"):
        BatchReader(strange, **model_parts(store))


def test_the_cap_on_features_draws_by_the_seed(store) -> None:
    reader = BatchReader(store, **model_parts(store), max_features=3)
    rows = np.arange(VISITS)
    first = reader.read(rows, seed=1)
    assert first.measurements["proteome"].values.shape == (VISITS, 3)
    assert first.seed == 1
    assert_same(reader.read(rows, seed=1), first)
    ids = first.measurements["proteome"].feature_ids
    assert not torch.equal(reader.read(rows, seed=2).measurements["proteome"].feature_ids, ids)
    whole = dense(BatchReader(store, **model_parts(store)).read(rows), "proteome", 8)
    drawn = dense(first, "proteome", 8)
    np.testing.assert_array_equal(drawn[~np.isnan(drawn)], whole[~np.isnan(drawn)])


def test_transforms_are_fitted_on_training_rows_alone(tmp_path) -> None:
    train = np.arange(0, 14)

    def spoil(proteome: np.ndarray) -> None:
        proteome[14:] = proteome[14:] * 50 - 3

    clean, spoilt = cohort(tmp_path / "clean"), cohort(tmp_path / "spoilt", change=spoil)
    ours, theirs = (model_parts(s, train)["transforms"]["proteome"].arrays() for s in (clean, spoilt))
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    everybody = model_parts(spoilt)["transforms"]["proteome"].arrays()
    assert any(not np.array_equal(array, everybody[name]) for name, array in ours.items())


def test_a_cohort_without_platforms_is_read_with_the_statistics_of_all(store, tmp_path) -> None:
    parts = model_parts(store)
    bare = cohort(tmp_path / "bare", platform=False)
    pooled = parts["transforms"]["proteome"](store.modalities["proteome"].read(np.arange(VISITS))[0])
    np.testing.assert_array_equal(dense(BatchReader(bare, **parts).read(np.arange(VISITS)), "proteome", 8), pooled)


def test_no_rows_are_an_empty_batch(store) -> None:
    batch = BatchReader(store, **model_parts(store), outcomes=tuple(SPECS.values())).read(np.zeros(0, np.int64))
    assert len(batch) == 0
    assert all(m.values.shape[0] == 0 for m in batch.measurements.values())


def test_class_ids_follow_the_checkpoints_order_of_classes(store) -> None:
    turned = replace(SPECS["ill"], classes=("yes", "no"))
    batch = BatchReader(store, **model_parts(store), outcomes=(turned,)).read(np.array([0, 1]))
    assert batch.outcomes["ill"].class_id.tolist() == [1, 0]
