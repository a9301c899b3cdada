"""Competing causes and delayed entry from a store through a benchmark, a fine-tuning and an evaluation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.checkpoint import load_checkpoint
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.folds import make_split
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.evaluation.benchmark import run_benchmark
from omicsfm.evaluation.evaluate import evaluate
from omicsfm.evaluation.methods import baseline_methods, default_names
from omicsfm.evaluation.task import make_task
from omicsfm.features import FeatureSpace
from omicsfm.report import benchmark_report
from omicsfm.training.finetune import finetune
from omicsfm.training.main import compose
from omicsfm.training.pretrain import pretrain

PEOPLE = 100
OUTCOMES = {
    "end": OutcomeSpec("end", "competing_risks", "participant", ("relapse", "death")),
    "by_age": OutcomeSpec("by_age", "survival", "participant", (), "birth"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OmicsStore:
    generator = np.random.default_rng(0)
    level = generator.normal(size=PEOPLE)
    first, second = generator.exponential(300 * np.exp(-1.5 * level)), generator.exponential(600, PEOPLE)
    censored = generator.uniform(100, 900, PEOPLE)
    time = np.ceil(np.minimum(np.minimum(first, second), censored))
    cause = np.where(censored < np.minimum(first, second), 0, np.where(first < second, 1, 2))
    age = np.round(generator.uniform(40, 80, PEOPLE)) * 365.25
    values = (20 + level[:, None] + generator.normal(size=(PEOPLE, 5))).astype(np.float32)
    ids = [f"P{n:03d}" for n in range(PEOPLE)]
    return write_store(
        tmp_path_factory.mktemp("timed") / "store",
        name="timed",
        visits=pd.DataFrame({"participant_id": ids, "visit": "0", "time_days": 0.0}),
        outcomes=pd.DataFrame(
            {
                "end.time_days": time,
                "end.event": cause.astype(float),
                "by_age.time_days": age + time,
                "by_age.event": (cause == 1).astype(float),
                "by_age.entry_days": age,
            }
        ),
        outcome_specs=OUTCOMES,
        matrices={
            "proteome": Matrix(FeatureSpace("proteome", tuple("abcde"), "local", "log2"), np.arange(PEOPLE), values)
        },
    )


@pytest.mark.parametrize("outcome", list(OUTCOMES))
def test_a_benchmark_scores_and_reports_it(store: OmicsStore, tmp_path: Path, outcome: str) -> None:
    task = make_task(store, outcome)
    names = ["linear"] if outcome == "by_age" else default_names(task)
    assert names == ["linear"]
    split = make_split(task.visits, repeats=1, folds=2, seed=0)
    metrics = run_benchmark(task, baseline_methods(names, task), out=tmp_path, split=split, seed=0, resamples=40)
    scores = metrics["methods"]["linear"]["metrics"]
    if outcome == "by_age":
        assert set(scores) == {"harrell_c", "hazard_slope"}  # those that weight for censoring are not defined
        assert scores["harrell_c"]["value"] > 0.65
        assert any("enter late" in note for note in metrics["notes"])
    else:
        assert set(scores) == {"cause_c", "incidence_brier"}
        assert scores["cause_c"]["value"] > 0.55  # one of the causes has nothing to do with the proteome
    page = benchmark_report(tmp_path).read_text()
    assert "see eval/landmark.py" in page


def test_a_checkpoint_predicts_the_incidence_of_every_cause(store: OmicsStore, tmp_path: Path) -> None:
    config = compose(["run_dir=none", "data.store=none", "logger=none", "model=tiny", "task.epochs=1"])
    train = np.arange(60)
    pretrain(store, rows=train, config=config, directory=tmp_path / "pretrained")
    finetune(
        store,
        checkpoint=load_checkpoint(tmp_path / "pretrained"),
        outcome=OUTCOMES["end"],
        rows=train,
        config=config,
        directory=tmp_path / "tuned",
    )
    found = evaluate(load_checkpoint(tmp_path / "tuned"), store, "end", resamples=40)
    assert found.metrics["counts"]["participants"] == 40
    assert {"cause_c", "incidence_brier"} == set(found.metrics["methods"]["omicsfm"]["metrics"])
    columns = [name for name in found.predictions if name.startswith("incidence_relapse_")]
    values = found.predictions[columns].to_numpy()
    assert (np.diff(values, axis=1) >= -1e-9).all()
    assert ((values >= 0) & (values <= 1)).all()
