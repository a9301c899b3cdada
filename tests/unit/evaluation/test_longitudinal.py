"""What a benchmark adds where visits are repeated: forecasts and landmarks on its own folds."""

import json
from pathlib import Path

import pandas as pd

from omicsfm.data.store import OmicsStore
from omicsfm.evaluation.benchmark import folds_for, run_benchmark
from omicsfm.evaluation.longitudinal import FORECAST, LANDMARK, forget, run_longitudinal
from omicsfm.evaluation.methods import baseline_methods
from omicsfm.evaluation.task import make_task
from omicsfm.report import benchmark_report

TINY = ["model=tiny", "model.dim=8", "model.num_latents=2", "task.epochs=1", "trajectory.dim=8", "logger=none"]


def benchmark(store: OmicsStore, outcome: str, out: Path) -> str | None:
    task = make_task(store, outcome)
    split = folds_for(task, repeats=1, folds=2, seed=0)
    run_benchmark(task, baseline_methods(["linear"], task), out=out, split=split, seed=0, resamples=20)
    return run_longitudinal(task, out=out, split=split, seed=0, resamples=20, overrides=TINY)


def test_a_quantity_is_forecast_on_the_folds_of_the_benchmark(small_store, tmp_path) -> None:
    table = benchmark(small_store, "score", tmp_path)
    assert table is not None
    metrics = json.loads((tmp_path / FORECAST / "metrics.json").read_text())
    assert {"last_observation", "last_and_omics", "mixed_model", "omicsfm"} <= set(metrics["methods"])
    assert all(name in table for name in metrics["methods"])
    keys = ["participant_id", "repeat", "fold"]
    whole = pd.read_parquet(tmp_path / "predictions.parquet")[keys].drop_duplicates()
    own = pd.read_parquet(tmp_path / FORECAST / "predictions.parquet")[keys].drop_duplicates()
    assert len(own.merge(whole, on=keys)) == len(own)
    assert "Forecast: score at the next visit" in benchmark_report(tmp_path).read_text()
    forget(tmp_path)
    assert "Forecast:" not in benchmark_report(tmp_path).read_text()


def test_a_time_to_an_event_is_predicted_from_each_visit_on(small_store, tmp_path) -> None:
    table = benchmark(small_store, "death", tmp_path)
    assert table is not None
    metrics = json.loads((tmp_path / LANDMARK / "metrics.json").read_text())
    assert {"linear", "landmark_cox", "omicsfm"} <= set(metrics["methods"])
    assert [one["label"] for one in metrics["landmarks"]] == ["0", "1"]
    assert "days of the landmark" in benchmark_report(tmp_path).read_text()


def test_a_class_has_no_comparison_along_visits(small_store, tmp_path) -> None:
    assert benchmark(small_store, "ill", tmp_path) is None
    assert not (tmp_path / FORECAST).exists()
