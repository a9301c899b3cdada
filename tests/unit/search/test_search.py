"""Hyper-parameters are chosen on training participants alone, and the result is a config that train.py takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omicsfm.errors import InputError
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.task import make_task
from omicsfm.search.nested import training_task
from omicsfm.search.output import claim_search, write_search
from omicsfm.search.space import Dimension, read_space
from omicsfm.search.study import Found, Trial, search
from omicsfm.training import pretrain as pretrain_module

REPOSITORY = Path(__file__).resolve().parents[3]
TINY = (
    "model=tiny",
    "model.dim=8",
    "model.num_latents=2",
    "task.epochs=1",
    "adaptation=probe",
    "task.validation_fraction=0.4",
)
RATE = [Dimension("optimizer.learning_rate", low=1e-3, high=1e-2, log=True)]


@pytest.fixture
def inner(simulated_store):
    """The task of bmi among the training participants of one of four folds, and who is tested outside."""
    task = make_task(simulated_store, "bmi")
    split = folds_for(task, repeats=1, folds=4, seed=0)
    tested = task.participant_ids[split.masks(task.visits, 0, 1)[1]]
    return training_task(task, split, repeat=0, fold=1, folds=2, seed=0), set(tested)


def test_whom_the_outer_fold_tests_no_inner_fold_scores_or_pretrains_on(inner, simulated_store, tmp_path, monkeypatch):
    task, tested = inner
    people = simulated_store.visits["participant_id"].astype(str).to_numpy()
    read: list[np.ndarray] = []
    pretrain = pretrain_module.pretrain

    def spy(store, *, rows, **named):
        read.append(rows)
        return pretrain(store, rows=rows, **named)

    monkeypatch.setattr(pretrain_module, "pretrain", spy)
    found = search(task, RATE, trials=1, overrides=TINY, seed=0, keep=tmp_path)
    assert tested
    assert not tested & set(task.participant_ids)
    assert len(read) == 4  # two configs, two inner folds
    assert all(not tested & set(people[rows]) for rows in read)
    first, second = found.trials
    assert first.chosen == {}
    assert 1e-3 <= second.chosen["optimizer.learning_rate"] <= 1e-2
    again = search(task, RATE, trials=1, overrides=TINY, seed=0, keep=tmp_path)
    assert len(read) == 4  # kept folds are read, not computed
    assert [(t.chosen, t.score) for t in again.trials] == [(t.chosen, t.score) for t in found.trials]


def test_a_key_that_no_config_has_is_refused_before_anything_is_trained(inner, tmp_path) -> None:
    unknown = [Dimension("optimizer.rate", low=0.1, high=1.0)]
    with pytest.raises(InputError, match="config key 'optimizer.rate' does not exist"):
        search(inner[0], unknown, trials=1, overrides=TINY, seed=0, keep=tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_was_found_is_an_experiment_that_train_py_composes(tmp_path) -> None:
    best = Trial({"model": "tiny", "optimizer.learning_rate": 0.0123, "data.batch_size": 16}, 0.8, 1.0)
    said = write_search(Found("auroc", (Trial({}, 0.7, 1.0), best)), {"seed": 0}, tmp_path)
    assert "auroc 0.8000" in said
    keys = ["experiment=best", "run_dir=x", "data.store=x"]
    command = [sys.executable, REPOSITORY / "train.py", *keys, "--config-dir", tmp_path, "--cfg", "job"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "learning_rate: 0.0123" in run.stdout
    assert "batch_size: 16" in run.stdout
    assert "dim: 16" in run.stdout  # tiny


def test_where_nothing_is_better_the_config_stays_as_it_is(tmp_path) -> None:
    worse = Trial({"data.batch_size": 16}, 0.6, 1.0)
    assert "None of 1 trials is better" in write_search(Found("auroc", (Trial({}, 0.7, 1.0), worse)), {}, tmp_path)
    assert (tmp_path / "experiment" / "best.yaml").read_text().endswith("{}\n")


def test_the_best_of_a_metric_where_low_is_good_is_the_lowest() -> None:
    found = Found("rmse", (Trial({}, 2.0, 1.0), Trial({"a": 1}, 1.0, 1.0), Trial({"a": 2}, 3.0, 1.0)))
    assert found.best.score == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no search space"),
        ("a: 3", "a is 3; write"),
        ("a: {low: 1, hihg: 3}", "'hihg' is not known; did you mean 'high'"),
        ("a: {low: 1}", "high is missing"),
        ("a: {low: 1e-3, high: 1.0}", "write 1.0e-3"),
        ("a: {low: 3, high: 1}", "low 3 must lie below high 1"),
        ("a: {low: 0, high: 1, log: true}", "above 0 for log"),
        ("a: {low: 1, high: 8, log: true, step: 2}", "log and step do not go together"),
        ("a: {choices: [1]}", "two or more values"),
        ("a: [", "not a readable search space"),
    ],
)
def test_a_space_that_cannot_be_searched_says_what_is_wrong(tmp_path, text, said) -> None:
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_space(tmp_path / "space.yaml")


def test_the_default_space_is_one(tmp_path) -> None:
    assert len(read_space(REPOSITORY / "configs" / "search" / "default.yaml")) == 6


def test_a_folder_of_something_else_is_left_alone(tmp_path) -> None:
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(InputError, match="holds something else than a search"):
        claim_search(tmp_path)
