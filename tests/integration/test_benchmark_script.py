"""eval/benchmark.py as a user starts it: on a simulated cohort, and on real people where they are at hand."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from omicsfm.data.ingest.prepare import prepare
from omicsfm.evaluation.benchmark import folds_for, run_benchmark
from omicsfm.evaluation.methods import baseline_methods
from omicsfm.evaluation.task import make_task

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def real_stores(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMICSFM_SHARED", str(shared.parent))  # named by the cohort files
        return {
            cohort: prepare(REPOSITORY / "configs" / "cohort" / f"{cohort}.yaml", folder / cohort)
            for cohort in ("covid_su", "covid_overmyer")
        }


def start(*arguments):
    command = [sys.executable, str(REPOSITORY / "eval" / "benchmark.py"), *map(str, arguments)]
    environment = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HOME": "/tmp"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")


def test_the_script_writes_every_file_of_the_contract(simulated_store, tmp_path):
    outcome = next(name for name, spec in simulated_store.outcome_specs.items() if spec.kind == "class")
    run = start(
        "--store", simulated_store.path, "--outcome", outcome, "--out", tmp_path, "--repeats", 1, "--folds", 3,
        "--methods", "linear,linear[proteome]", "--resamples", 50,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "reference" in run.stdout
    for name in ("split.csv", "metrics.json", "predictions.parquet", "report.html"):
        assert (tmp_path / name).stat().st_size > 0
    split = pd.read_csv(tmp_path / "split.csv")
    assert list(split) == ["participant_id", "repeat", "fold"]
    assert json.loads((tmp_path / "metrics.json").read_text())["methods"]["linear"]["seconds"] > 0


def test_one_command_answers_what_it_can_about_a_cohort_and_says_what_it_cannot(simulated_store, tmp_path):
    outcome = next(name for name, spec in simulated_store.outcome_specs.items() if spec.kind == "class")
    tiny = ["model=tiny", "model.dim=8", "model.num_latents=2", "kernel.features=32", "task.epochs=1", "logger=none"]
    run = start(
        "--store", simulated_store.path, "--outcome", outcome, "--out", tmp_path, "--repeats", 1, "--folds", 3,
        "--methods", "linear,omicsfm,omicsfm[without_encoder]", "--also", "parts,imputation,explanation",
        "--resamples", 20, "--set", *tiny,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "report.html").read_text()
    for title in (
        "How well does each method predict?",
        "What pretraining buys",
        "How well is a missing modality foretold by the others?",
        "What drives the prediction?",
    ):
        assert title in page, title
    assert "--also parts: split: " in run.stderr  # too few people for it
    assert "report: " in run.stdout


def test_a_part_that_does_not_exist_is_one_message_and_status_1(simulated_store, tmp_path):
    outcome = next(iter(simulated_store.outcome_specs))
    run = start("--store", simulated_store.path, "--outcome", outcome, "--out", tmp_path, "--also", "imputations")
    assert run.returncode == 1
    assert "did you mean 'imputation'" in run.stderr
    assert not (tmp_path / "metrics.json").exists()


def test_a_wrong_method_is_one_message_and_status_1(simulated_store, tmp_path):
    outcome = next(iter(simulated_store.outcome_specs))
    run = start("--store", simulated_store.path, "--outcome", outcome, "--out", tmp_path, "--methods", "liner")
    assert run.returncode == 1
    assert "did you mean 'linear'" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_missing_option_is_wrong_usage():
    assert start("--outcome", "x").returncode == 2


@pytest.mark.parametrize(
    ("cohort", "outcome", "method", "known"),
    [
        ("covid_su", "severe", "linear", 0.959),
        ("covid_su", "severe", "linear[metabolome]", 0.946),
        ("covid_overmyer", "icu", "linear[proteome]", 0.883),
        ("covid_overmyer", "hfd", "linear[proteome]", 0.881),
    ],
)
def test_known_linear_baselines_on_real_cohorts_are_reached(real_stores, tmp_path, cohort, outcome, method, known):
    """Two repeats scatter by about 0.01 around the known value; a wrong join or a leak moves it by far more."""
    task = make_task(real_stores[cohort], outcome)
    split = folds_for(task, repeats=2, folds=5, seed=0)
    metrics = run_benchmark(
        task, baseline_methods([method], task), out=tmp_path / "out", split=split, seed=0, resamples=50
    )
    assert metrics["methods"][method]["fold_mean"]["auroc"] == pytest.approx(known, abs=0.025)
