"""Imputation of a hidden modality: who is trained on, what is read, and what is scored."""

import importlib.util
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.folds import make_split
from omicsfm.data.store import Matrix, write_store
from omicsfm.errors import InputError
from omicsfm.evaluation.imputation.compare import imputation_table, run_imputation, write_imputation
from omicsfm.evaluation.imputation.fill import filled_data, write_filled
from omicsfm.evaluation.imputation.hidden import HiddenModality, hide_modality
from omicsfm.evaluation.imputation.imputers import Pretrained, imputers
from omicsfm.evaluation.pretrained import make_encoders
from omicsfm.inference import reader_for

SMALL = (
    "imputer=profile", "data.clinical=false", "model=tiny", "model.dim=8", "model.num_latents=2", "kernel.features=32",
    "imputer.rank=8", "task.epochs=1",
)  # fmt: skip


@pytest.fixture
def task(small_store) -> HiddenModality:
    return hide_modality(small_store, "proteome")


def folds(task: HiddenModality) -> tuple[np.ndarray, np.ndarray]:
    split = make_split(task.visits, labels=None, repeats=1, folds=3, seed=0)
    return tuple(np.flatnonzero(mask) for mask in split.masks(task.visits, 0, 0))  # type: ignore[return-value]


def blind(task: HiddenModality, test: np.ndarray) -> HiddenModality:
    """The task as if the target of the test visits read otherwise."""
    matrix = task.store.modalities["proteome"]
    read, hidden = type(matrix).read, set(task.rows[test].tolist())

    class Changed(type(matrix)):  # type: ignore[misc]
        def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, below = read(self, rows)
            values[[row in hidden for row in rows]] += 7.0
            return values, below

    changed = Changed(matrix._directory, matrix.features, matrix.layout)
    return replace(task, store=replace(task.store, modalities={**task.store.modalities, "proteome": changed}))


@pytest.mark.parametrize("name", ["mean", "ridge", "omicsfm"])
def test_what_is_hidden_of_the_tested_does_not_change_what_is_predicted(task, name: str) -> None:
    train, test = folds(task)
    (method,) = imputers([name], make_encoders(SMALL))
    before = method.predict(task, train, test, seed=3)
    (method,) = imputers([name], make_encoders(SMALL))
    np.testing.assert_array_equal(method.predict(blind(task, test), train, test, seed=3), before)
    assert before.shape == (len(test), 15)


def test_ridge_foretells_what_two_modalities_share_and_the_mean_nothing(task, tmp_path) -> None:
    split = make_split(task.visits, labels=None, repeats=1, folds=3, seed=0)
    imputed = run_imputation(task, imputers(["ridge", "mean"], None), split, seed=0, resamples=50)
    metrics = write_imputation(task, imputed, split, out=tmp_path, seed=0, resamples=50)
    assert metrics["methods"]["mean"]["metrics"]["spearman"]["value"] == 0.0
    assert metrics["methods"]["ridge"]["metrics"]["spearman"]["value"] > 0.1
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())
    table = pd.read_parquet(tmp_path / "features.parquet")
    assert list(table["feature_id"][:15]) == [f"p{n}" for n in range(15)]
    of_ridge = table.loc[table["method"] == "ridge", "spearman"]
    assert np.median(of_ridge) == pytest.approx(metrics["methods"]["ridge"]["metrics"]["spearman"]["value"])
    assert "worse (-" in imputation_table(metrics)


def test_the_imputer_is_fitted_to_all_that_was_measured_however_few_features_a_step_draws(task) -> None:
    train, test = folds(task)
    said = [
        imputers(["omicsfm"], make_encoders([*SMALL, "task.epochs=0", f"data.max_features={most}"]))[0]
        for most in (4, 512)
    ]
    few, all_of_them = (method.predict(task, train, test, seed=3) for method in said)
    np.testing.assert_array_equal(few, all_of_them)


def test_what_a_checkpoint_says_is_brought_to_the_scale_of_the_task(task) -> None:
    """The same checkpoint and visits; the scale is set by other training visits, and predictions move along with it."""
    train, test = folds(task)
    encoders = make_encoders([*SMALL, "data.allow_seen=true"])
    encoders.checkpoint = encoders.of_fold(task, train, seed=0)
    half = train[: len(train) // 2]
    first, second = (Pretrained(encoders).predict(task, rows, test, seed=0) for rows in (train, half))
    theirs, ours = (task.values("proteome", rows) for rows in (train, half))
    assert np.nanmax(np.abs(theirs - ours)) > 0.1
    for feature in range(first.shape[1]):
        known = ~np.isnan(theirs[:, feature])
        slope, offset = np.polyfit(theirs[known, feature], ours[known, feature], 1)
        np.testing.assert_allclose(second[:, feature], slope * first[:, feature] + offset, atol=1e-3)


@pytest.mark.parametrize(
    ("target", "sources", "message"),
    [
        ("proteom", None, "no modality 'proteom'; did you mean 'proteome'"),
        ("proteome", ["proteome"], "is to be predicted and cannot be read"),
        ("proteome", ["metabolom"], "no modality 'metabolom'; did you mean 'metabolome'"),
    ],
)
def test_a_modality_that_cannot_be_hidden_or_read_is_named(small_store, target, sources, message) -> None:
    with pytest.raises(InputError, match=message):
        hide_modality(small_store, target, sources)


def test_an_unknown_way_to_impute_names_the_closest() -> None:
    with pytest.raises(InputError, match="'rigde' is not a way to impute; did you mean 'ridge'"):
        imputers(["rigde"], None)


def test_the_command_hides_each_modality_in_turn(small_store, tmp_path, capsys) -> None:
    file = Path(__file__).resolve().parents[3] / "eval" / "impute.py"
    spec = importlib.util.spec_from_file_location("impute", file)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    given = ["--store", small_store.path, "--out", tmp_path / "out", "--methods", "ridge,mean", "--resamples", "20"]
    script.main([*map(str, given), "--folds", "2"])
    assert sorted(folder.name for folder in (tmp_path / "out").iterdir()) == ["metabolome", "proteome"]
    assert "proteome (15 features) from metabolome" in capsys.readouterr().out


def test_a_filled_store_keeps_what_was_measured_and_says_what_was_not(small_store, task, tmp_path) -> None:
    import mudata

    train, _ = folds(task)
    checkpoint = make_encoders(SMALL).of_fold(task, train, seed=0)
    out = tmp_path / "full.h5mu"
    shares = write_filled(checkpoint, small_store, out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        full = mudata.read_h5mu(out)
    reader, rows = reader_for(checkpoint, small_store), np.arange(len(small_store))
    for name, own in full.mod.items():
        measured, _ = reader.values(name, rows)
        known = ~np.isnan(measured)
        np.testing.assert_array_equal(own.X[known], measured[known])
        np.testing.assert_array_equal(own.layers["imputed"], ~known)
        assert np.isfinite(own.X).all()
        assert shares[name] == pytest.approx(1 - known.mean())
    absent = np.setdiff1d(rows, small_store.modalities["metabolome"].rows)
    assert np.ptp(full.mod["metabolome"].X[absent], axis=0).min() > 0  # each visit has an answer of its own
    assert write_filled(checkpoint, small_store, out) == shares
    out.write_text("not ours")
    with pytest.raises(InputError, match="left alone"):
        write_filled(checkpoint, small_store, out)


def test_a_visit_without_any_measurement_stays_empty_in_a_filled_store(small_store, task, tmp_path) -> None:
    train, _ = folds(task)
    checkpoint = make_encoders([*SMALL, "task.epochs=0"]).of_fold(task, train, seed=0)
    empty = int(small_store.modalities["proteome"].rows[0])

    def without(name: str) -> Matrix:
        matrix = small_store.modalities[name]
        kept = matrix.rows[matrix.rows != empty]
        return Matrix(matrix.features, kept, matrix.read(kept)[0])

    store = write_store(
        tmp_path / "store",
        name="one less",
        visits=small_store.visits,
        outcomes=small_store.outcomes,
        outcome_specs=small_store.outcome_specs,
        matrices={name: without(name) for name in small_store.modalities},
    )
    full, _ = filled_data(checkpoint, store)
    for own in full.mod.values():
        assert np.isnan(own.X[empty]).all()
        assert not own.layers["imputed"][empty].any()
        assert np.isfinite(np.delete(own.X, empty, axis=0)).all()
