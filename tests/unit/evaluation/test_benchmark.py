"""The benchmark's files hold what the contract says, and anyone can recompute the numbers from them."""

import json

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.store import OmicsStore, write_store
from omicsfm.evaluation.benchmark import folds_for, run_benchmark
from omicsfm.evaluation.methods import baseline_methods
from omicsfm.evaluation.scoring import score_predictions
from omicsfm.evaluation.summary import benchmark_table, verdict
from omicsfm.evaluation.task import make_task


def run(store, outcome, names, out, *, repeats=1, within=None, resamples=200, seed=0):
    task = make_task(store, outcome, within=within)
    split = folds_for(task, repeats=repeats, folds=4, seed=seed)
    return run_benchmark(task, baseline_methods(names, task), out=out, split=split, seed=seed, resamples=resamples)


def test_auroc_is_recomputed_by_sklearn_from_the_predictions_file(small_store, tmp_path):
    from sklearn.metrics import roc_auc_score

    run(small_store, "ill", ["linear", "linear[proteome]"], tmp_path, repeats=2)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    columns = {"method", "repeat", "fold", "participant_id", "visit", "outcome", "y_true", "p_no", "p_yes"}
    assert set(predictions) == columns
    for name, entry in metrics["methods"].items():
        own = predictions[predictions["method"] == name]
        values = [roc_auc_score(part["y_true"] == "yes", part["p_yes"]) for _, part in own.groupby("repeat")]
        assert entry["metrics"]["auroc"]["value"] == pytest.approx(np.mean(values), abs=1e-12)
        assert entry["metrics"]["auroc"]["low"] < entry["metrics"]["auroc"]["value"] < entry["metrics"]["auroc"]["high"]
    assert metrics["provenance"]["store_fingerprint"] == small_store.fingerprint
    assert len(metrics["provenance"]["split_sha256"]) == 64


def test_a_difference_is_the_difference_of_the_values(small_store, tmp_path):
    metrics = run(small_store, "score", ["linear", "linear[metabolome]"], tmp_path)
    assert metrics["reference"] == "linear"
    alone, reference = (metrics["methods"][name]["metrics"] for name in ("linear[metabolome]", "linear"))
    for difference in metrics["differences"]:
        name = difference["metric"]
        assert difference["value"] == pytest.approx(alone[name]["value"] - reference[name]["value"])
        assert difference["low"] <= difference["high"]
    headline = next(d for d in metrics["differences"] if d["metric"] == "pearson")
    assert verdict(headline, high_is_good=True).startswith("worse")


def test_survival_curves_are_in_the_file_and_their_error_is_below_that_of_no_prediction(small_store, tmp_path):
    metrics = run(small_store, "death", ["linear"], tmp_path)
    scores = metrics["methods"]["linear"]["metrics"]
    assert scores["harrell_c"]["value"] > 0.6
    assert scores["integrated_brier"]["value"] < 0.22
    assert metrics["counts"]["brier_grid_days"]
    assert pd.read_parquet(tmp_path / "predictions.parquet").filter(like="survival_").notna().all().all()


def test_within_strata_the_value_is_the_mean_over_strata(small_store, tmp_path):
    metrics = run(small_store, "score", ["linear", "linear[proteome]"], tmp_path, within="site")
    values = [metrics["strata"][site]["linear"]["pearson"]["value"] for site in ("north", "south")]
    assert metrics["methods"]["linear"]["metrics"]["pearson"]["value"] == pytest.approx(np.mean(values))
    assert sum(metrics["strata_won"][next(iter(metrics["strata_won"]))].values()) == 2
    assert {entry["level"] for entry in metrics["subgroups"]} == {"north", "south"}


def test_the_same_seed_gives_the_same_metrics(small_store, tmp_path):
    first, second = (run(small_store, "ill", ["linear"], tmp_path / name) for name in "ab")
    for metrics in (first, second):
        metrics["methods"]["linear"].pop("seconds")
    assert first == second


@pytest.mark.parametrize("outcome", ["ill", "score", "death"])
def test_permuted_outcomes_return_to_chance(small_store, tmp_path, outcome):
    """Participants' outcomes are dealt out anew, so that nothing can be learnt; pooled values may fall below chance."""
    generator = np.random.default_rng(3)
    people = small_store.visits["participant_id"].to_numpy()
    order = generator.permutation(np.unique(people))
    source = dict(zip(np.unique(people), order, strict=True))
    first = {person: number for number, person in reversed(list(enumerate(people)))}
    rows = [first[source[person]] + (number - first[person]) for number, person in enumerate(people)]
    permuted = write_store(
        tmp_path / "permuted",
        name="permuted",
        visits=small_store.visits,
        outcomes=small_store.outcomes.iloc[rows].reset_index(drop=True),
        outcome_specs=small_store.outcome_specs,
        matrices={name: as_matrix(small_store, name) for name in small_store.modalities},
    )
    metrics = run(OmicsStore.open(permuted.path), outcome, ["linear", "late_fusion"], tmp_path / "out")
    chance = 0.0 if outcome == "score" else 0.5
    for name, entry in metrics["methods"].items():
        assert abs(entry["metrics"][metrics["primary"]]["value"] - chance) < 0.2, name


def as_matrix(store, name):
    from omicsfm.data.store import Matrix

    stored = store.modalities[name]
    return Matrix(stored.features, stored.rows, stored.read(stored.rows)[0])


def test_the_table_calls_a_tie_a_tie(small_store, tmp_path):
    metrics = run(small_store, "score", ["linear", "linear[proteome]", "linear[metabolome]"], tmp_path)
    text = benchmark_table(metrics)
    assert "reference" in text
    assert "tie (" in text
    assert "worse (" in text
    assert text.index("linear") < text.index("linear[metabolome]")


def test_the_reference_is_one_of_the_linear_methods_named(small_store, tmp_path):
    run(small_store, "score", ["linear", "linear[metabolome]"], tmp_path)
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    spec, alone = small_store.outcome("score"), "linear[metabolome]"
    scored = score_predictions(predictions, spec, linear=[alone], seed=0, resamples=50)
    assert scored["reference"] == alone
    assert {d["method"] for d in scored["differences"]} == {"linear"}
