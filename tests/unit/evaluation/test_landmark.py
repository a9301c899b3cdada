"""Landmark predictions: who is at risk, what may be read, how it is scored."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.folds import make_split
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.errors import InputError
from omicsfm.evaluation.landmark.compare import default_names, landmark_methods, run_landmark
from omicsfm.evaluation.landmark.rows import make_landmark_task
from omicsfm.evaluation.landmark.stack import LandmarkStack
from omicsfm.evaluation.landmark.summary import landmark_table
from omicsfm.evaluation.landmark.task import LandmarkTask
from omicsfm.evaluation.methods import Method
from omicsfm.evaluation.predictions import read_truth
from omicsfm.evaluation.pretrained import make_encoders
from omicsfm.features import FeatureSpace
from omicsfm.metrics.horizon import Ended, auc

PEOPLE = 120
DAYS = np.array([0.0, 100.0, 200.0])
OUTCOMES = {
    "death": OutcomeSpec("death", "survival", "participant", (), "study_start"),
    "end": OutcomeSpec("end", "competing_risks", "participant", ("relapse", "death"), "study_start"),
    "by_age": OutcomeSpec("by_age", "survival", "participant", (), "birth"),
    "bmi": OutcomeSpec("bmi", "quantity"),
}


def cohort(folder: Path, *, shift: float = 0.0) -> OmicsStore:
    """Three visits each until the event; the level that decides drifts. ``shift`` is added to values after day 0."""
    generator = np.random.default_rng(4)
    level = generator.normal(size=PEOPLE)
    died = np.ceil(generator.exponential(500 * np.exp(-1.4 * level)))
    followed = np.ceil(generator.uniform(150, 900, PEOPLE))
    until, event = np.minimum(died, followed), died <= followed
    who, when = (each.ravel() for each in np.meshgrid(np.arange(PEOPLE), np.arange(3), indexing="ij"))
    seen = DAYS[when] < until[who] + 1
    who, when = who[seen], when[seen]
    age = np.round(generator.uniform(59, 60, PEOPLE), 1)[who] + DAYS[when] / 365.25
    values = 20 + np.outer(level[who] + 0.2 * when, np.ones(6)) + generator.normal(size=(len(who), 6))
    values[when > 0] += shift
    measured = np.flatnonzero((when == 0) | (generator.uniform(size=len(who)) < 0.7))
    left = until[who] - DAYS[when]
    known = left >= 0
    cause = np.where(event, 1 + (level > 0.3), 0)[who]
    space = FeatureSpace("proteome", tuple(f"f{n}" for n in range(6)), "local", "log2")
    return write_store(
        folder / f"store{shift:g}",
        name="followed",
        visits=pd.DataFrame(
            {
                "participant_id": [f"P{n:03d}" for n in who],
                "visit": [f"V{n}" for n in when],
                "time_days": DAYS[when],
                "age": age,
            }
        ),
        outcomes=pd.DataFrame(
            {
                "death.time_days": np.where(known, left, np.nan),
                "death.event": np.where(known, event[who].astype(float), np.nan),
                "end.time_days": np.where(known, left, np.nan),
                "end.event": np.where(known, cause.astype(float), np.nan),
                "by_age.time_days": np.where(known, age * 365.25 + left, np.nan),
                "by_age.event": np.where(known, event[who].astype(float), np.nan),
                "by_age.entry_days": np.where(known, age * 365.25, np.nan),
                "bmi": np.linspace(20, 30, len(who)),
            }
        ),
        outcome_specs=OUTCOMES,
        matrices={"proteome": Matrix(space, measured, values[measured].astype(np.float32))},
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OmicsStore:
    return cohort(tmp_path_factory.mktemp("landmark"))


def task_of(store: OmicsStore, outcome: str = "death", **asked) -> LandmarkTask:
    return make_landmark_task(store, outcome, horizons=asked.pop("horizons", (60.0, 200.0)), **asked)[0]


def test_each_landmark_has_one_row_for_everybody_still_at_risk(store: OmicsStore) -> None:
    task = task_of(store)
    assert [one.label for one in task.landmarks] == ["V0", "V1", "V2"]
    for one in task.landmarks:
        own = task.at(one.label)
        assert len(np.unique(task.participant_ids[own])) == len(own)
        assert set(task.visits["visit"].iloc[own]) == {one.label}
        assert (task.target.time_days[own] >= 0).all()
    left = [len(task.at(one.label)) for one in task.landmarks]
    assert left == sorted(left, reverse=True)
    assert left[2] < PEOPLE


def test_of_many_landmarks_without_events_three_are_named(store: OmicsStore) -> None:
    many = [f"V0-{place % 40}" for place in range(len(store))]
    with pytest.raises(InputError, match="37 more are left out for this reason") as refused:
        task_of(replace(store, visits=store.visits.assign(visit=many)))
    assert str(refused.value).count("name it to have it") == 3


def test_ages_are_landmarks_that_take_the_last_visit_before_them(store: OmicsStore) -> None:
    task = task_of(store, ages=[60.0, 60.2])
    ages = store.visits["age"].to_numpy()
    for one in task.landmarks:
        own = task.rows[task.at(one.label)]
        limit = float(one.label.removeprefix("age "))
        assert (ages[own] <= limit).all()
        people = store.visits["participant_id"].iloc[own]
        assert not people.duplicated().any()
        for row, person in zip(own, people, strict=True):
            others = store.visits.index[(store.visits["participant_id"] == person) & (ages <= limit)]
            known = [other for other in others if np.isfinite(store.outcomes["death.time_days"].iloc[other])]
            assert ages[row] == ages[known].max()
        expected = store.outcomes["death.time_days"].to_numpy()[own] - (limit - ages[own]) * 365.25
        np.testing.assert_allclose(task.target.time_days[task.at(one.label)], expected)
        assert (expected >= 0).all()


def test_a_clock_from_birth_gives_the_same_rows_and_times_as_one_from_the_visit(store: OmicsStore) -> None:
    ours, theirs = task_of(store, "by_age"), task_of(store)
    for one in theirs.landmarks:
        own, other = ours.at(one.label), theirs.at(one.label)
        there = dict(zip(theirs.rows[other], theirs.target.time_days[other], strict=True))
        assert set(ours.rows[own]) == {row for row, left in there.items() if left > 0}
        np.testing.assert_allclose(ours.target.time_days[own], [there[row] for row in ours.rows[own]], atol=1e-6)


def test_horizons_beyond_the_follow_up_are_cut_with_a_message(store: OmicsStore) -> None:
    task, said = make_landmark_task(store, "death", horizons=(60.0, 5000.0))
    assert any("5000 days lie beyond the follow-up" in line for line in said)
    for one in task.landmarks:
        days = task.target.time_days[task.at(one.label)]
        assert one.horizons[60.0] == 60.0
        assert (days > one.horizons[5000.0]).mean() >= 0.1


@pytest.mark.parametrize(
    ("outcome", "asked", "message"),
    [
        ("bmi", {}, "'bmi': is a quantity; a landmark asks for a time to an event"),
        ("death", {"horizons": (-5.0,)}, "expected days above 0, found -5"),
        (
            "death",
            {"horizons": (0.5,)},
            "--horizons 0.5: none of the 120 at V0 have an event within 0.5 days. Events lie",
        ),
        ("death", {"visits": ["V9"]}, "has no visit 'V9'; did you mean"),
        ("death", {"visits": ["V0"], "ages": [60.0]}, "give one of --visits and --ages"),
        ("death", {"ages": [20.0]}, "age 20: 0 participants at risk and 0 events after it"),
        ("death", {"ages": [-1.0]}, "expected years above 0, found -1"),
    ],
)
def test_what_cannot_be_a_landmark_is_refused(store: OmicsStore, outcome: str, asked, message: str) -> None:
    with pytest.raises(InputError, match=message):
        task_of(store, outcome, **asked)


def test_an_assay_that_a_visit_lacks_is_taken_from_the_last_that_had_it(store: OmicsStore) -> None:
    task = task_of(store)
    last, first = task.last_rows["proteome"], task.first_rows["proteome"]
    measured = set(store.modalities["proteome"].rows)
    days = store.visits["time_days"].to_numpy()
    assert all(row in measured for row in [*last, *first])
    assert (days[last] <= days[task.rows]).all()
    assert (days[first] == 0).all()
    person = store.visits["participant_id"].to_numpy()
    assert (person[last] == person[task.rows]).all()
    carried = np.flatnonzero(last != task.rows)
    assert len(carried)
    raw = store.modalities["proteome"].read(last)[0]
    np.testing.assert_allclose(task.table.blocks["proteome"].values, raw)


def run(task: LandmarkTask, methods: list[Method], out: Path, repeats: int = 1) -> dict:
    split = make_split(task.visits, repeats=repeats, folds=2, seed=0)
    return run_landmark(task, methods, out=out, split=split, seed=0, resamples=40)


def test_nothing_after_a_landmark_changes_its_predictions(store: OmicsStore, tmp_path: Path) -> None:
    later = cohort(tmp_path, shift=100.0)
    for name in ("linear", "logistic[proteome]"):
        found = []
        for number, one in enumerate((store, later)):
            task = task_of(one, visits=["V0"])
            run(task, landmark_methods([name], task), tmp_path / f"{name}{number}")
            table = pd.read_parquet(tmp_path / f"{name}{number}" / "predictions.parquet")
            found.append(table.drop(columns=["method"]))
        pd.testing.assert_frame_equal(*found)


def test_baselines_are_scored_at_every_landmark_and_horizon(store: OmicsStore, tmp_path: Path) -> None:
    task = task_of(store, horizons=(60.0, 2000.0))
    names = [name for name in default_names(task) if name != "omicsfm"]
    assert names == ["linear", "linear[clinical]", "logistic", "logistic[clinical]", "landmark_cox"]
    metrics = run(task, landmark_methods(names, task), tmp_path, repeats=2)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    scores = pd.DataFrame(metrics["scores"])
    assert set(scores["landmark"]) == {"V0", "V1", "V2", "mean"}
    assert set(scores.loc[scores["horizon"] == 60.0, "metric"]) == {
        "auc",
        "uno_c",
        "brier",
        "observed_to_expected",
        "ici",
    }
    assert {"harrell_c", "integrated_brier", "d_calibration_p"} == set(scores.loc[scores["horizon"] == 0, "metric"])
    auc_of = scores[(scores["metric"] == "auc") & (scores["landmark"] == "mean")].set_index(["method", "horizon"])[
        "value"
    ]
    assert auc_of["linear", 60.0] > 0.6 > auc_of["linear[clinical]", 60.0]
    with_interval = scores[scores["metric"] == "auc"]
    assert (with_interval["low"] < with_interval["value"]).all()
    assert (with_interval["value"] < with_interval["high"]).all()
    assert {d["reference"] for d in metrics["differences"]} <= set(names)
    text = landmark_table(metrics)
    assert "death within 60 days of the landmark, AUC (V0:" in text
    assert "landmark_cox" in text
    # anybody can compute a number again from predictions.parquet
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    own = table[(table["method"] == "linear") & (table["stratum"] == "V1")]
    again = []
    for _, repeat in own.groupby("repeat"):
        truth = read_truth(repeat, task.outcome)
        ended = Ended(truth.time_days, truth.event.astype(int))
        again.append(auc(ended, 1 - repeat["survival_60"].to_numpy(), 60.0, np.ones((len(repeat), 1)))[0])
    said = scores[(scores["method"] == "linear") & (scores["landmark"] == "V1") & (scores["horizon"] == 60.0)]
    assert said[said["metric"] == "auc"]["value"].item() == pytest.approx(np.mean(again))


def test_competing_risks_are_scored_cause_by_cause(store: OmicsStore, tmp_path: Path) -> None:
    task = task_of(store, "end", visits=["V0", "V1"])
    names = [name for name in default_names(task) if name != "omicsfm"]
    metrics = run(task, landmark_methods(names, task), tmp_path)
    scores = pd.DataFrame(metrics["scores"])
    assert set(scores["event"]) == {"relapse", "death"}
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    total = table[["incidence_relapse_200", "incidence_death_200"]].sum(axis=1)
    assert ((total > 0) & (total < 1 + 1e-9)).all()
    with pytest.raises(InputError, match="knows one event; use landmark_cox for competing risks"):
        run(task, landmark_methods(["logistic"], task), tmp_path / "refused")


def test_the_stack_learns_what_the_omics_say(store: OmicsStore, tmp_path: Path) -> None:
    task = task_of(store, visits=["V0", "V1"], horizons=(200.0,))
    encoders = make_encoders(["model=tiny", "logger=none", "task.epochs=1"])
    stack = LandmarkStack(name="omicsfm", encoders=encoders, adaptation={})
    metrics = run(task, [stack], tmp_path)
    scores = {s["landmark"]: s["value"] for s in metrics["scores"] if s["metric"] == "auc"}
    assert scores["mean"] > 0.6
    assert metrics["model"] == "omicsfm"


def test_methods_without_a_linear_one_are_refused(store: OmicsStore) -> None:
    task = task_of(store)
    with pytest.raises(InputError, match=r"boosting is compared with nothing; name one of linear, logistic and"):
        landmark_methods(["boosting"], task)


def test_an_unknown_method_is_named(store: OmicsStore) -> None:
    with pytest.raises(InputError, match="'linaer' is not a method of a landmark prediction; did you mean 'linear'"):
        landmark_methods(["linaer"], task_of(store))
