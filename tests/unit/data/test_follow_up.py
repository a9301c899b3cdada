"""Times to an event in a COHORT.yaml: delayed entry, competing causes, time zero, administrative censoring."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from omicsfm.contracts import CompetingRisks, OutcomeSpec, Survival
from omicsfm.data.collate import read_outcome
from omicsfm.data.export import export_store
from omicsfm.data.ingest.cohort import OutcomeRule
from omicsfm.data.ingest.outcome_entry import parse_outcome
from omicsfm.data.ingest.outcomes import ReadOutcome, check_outcome
from omicsfm.data.ingest.outcomes import read_outcome as read
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.inspect.findings import Findings
from omicsfm.data.inspect.outcomes import describe_outcomes
from omicsfm.data.store import Matrix, write_store
from omicsfm.errors import InputError
from omicsfm.evaluation.task import read_target
from omicsfm.features import FeatureSpace
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget

DEATH = {"kind": "survival", "time_days": "until", "event": "died", "level": "participant"}
ENDS = {
    "kind": "competing_risks",
    "time_days": "until",
    "cause": "end",
    "causes": {"relapse": 1, "death": [2, "dead"]},
    "level": "participant",
}


def table(**changes: Any) -> pd.DataFrame:
    """Three people: a at day 0 and 100, b at day 10 and 400, c at day 0."""
    columns = {
        "who": ["a", "a", "b", "b", "c"],
        "day": [0.0, 100.0, 10.0, 400.0, 0.0],
        "until": [250.0, 250.0, 300.0, 300.0, 500.0],
        "died": [1, 1, 0, 0, 1],
        "end": ["1", "1", "0", "0", "dead"],
        "age": [60.0, 60.3, 70.0, 71.1, 50.0],
        "age_at_end": [60.7, 60.7, 70.8, 70.8, 51.5],
        "registered": [0.0, 0.0, 40.0, 40.0, 0.0],
    }
    return pd.DataFrame({**columns, **changes})


def outcome(node: dict[str, Any], rows: pd.DataFrame | None = None) -> ReadOutcome:
    rows = table() if rows is None else rows
    rule: OutcomeRule = parse_outcome("end", node, "outcome end")
    return read(rule, rows, participant_id=rows["who"], time_days=rows["day"])


def column(found: ReadOutcome, name: str) -> list[float]:
    return found.columns[f"end.{name}"].round(6).fillna(-1).tolist()


def test_times_count_from_the_visit_on_the_clock_of_the_study() -> None:
    first = outcome(DEATH)
    study = outcome({**DEATH, "time_zero": "study_start"})
    assert column(first, "time_days") == [250.0, 150.0, 300.0, -1.0, 500.0]  # b is first seen on day 10
    assert column(study, "time_days") == [250.0, 150.0, 290.0, -1.0, 500.0]
    assert study.spec.time_zero == "study_start"
    assert "end.entry_days" not in study.columns


def test_on_a_clock_of_its_own_the_visit_is_at_the_entry() -> None:
    node = {**DEATH, "time_zero": "birth", "time_years": "age_at_end", "entry_years": "age", "time_days": None}
    found = outcome(node)
    assert column(found, "entry_days")[0] == pytest.approx(60 * 365.25)
    assert column(found, "time_days")[0] == pytest.approx(60.7 * 365.25)
    assert column(found, "time_days")[3] == -1.0  # b's second visit is after the end
    assert found.spec.own_clock


def test_who_is_registered_later_enters_later() -> None:
    found = outcome({**DEATH, "entry_days": "registered"})
    assert column(found, "entry_days") == [0.0, 0.0, 40.0, -1.0, 0.0]


def test_a_later_end_of_follow_up_is_cut_where_the_study_ended() -> None:
    found = outcome({**DEATH, "censor_after_days": 260})
    assert column(found, "time_days") == [250.0, 150.0, 260.0, -1.0, 260.0]
    assert column(found, "event") == [1.0, 1.0, 0.0, -1.0, 0.0]


def test_causes_are_numbered_as_they_are_declared() -> None:
    found = outcome(ENDS)
    assert found.spec.classes == ("relapse", "death")
    assert column(found, "event") == [1.0, 1.0, 0.0, -1.0, 2.0]
    counts = check_outcome(found, first_visits=np.array([True, False, True, False, True]))
    assert counts == {
        "known": 3,
        "missing": 0,
        "events": 2,
        "censored": 1,
        "events of relapse": 1,
        "events of death": 1,
    }


@pytest.mark.parametrize(
    ("node", "changes", "message"),
    [
        (
            ENDS,
            {"end": ["1", "1", "0", "0", "7"]},
            r"'end' holds '7' in 1 rows, which is no declared cause \(relapse: 1,",
        ),
        (DEATH, {"until": [-3.0, -3.0, 300.0, 300.0, 500.0]}, r"2 follow-up times are negative \(lowest -3 days"),
        (
            DEATH | {"time_zero": "study_start"},
            {"until": [250.0, 250.0, 5.0, 5.0, 500.0]},
            "1 participants ends before",
        ),
        (DEATH | {"entry_days": "registered"}, {"registered": [0.0, 0.0, 300.0, 300.0, 0.0]}, "end before they enter"),
        (
            {**DEATH, "time_zero": "birth", "time_years": "age_at_end", "entry_years": "age", "time_days": None},
            {"age_at_end": [60.7, 60.7, 70.8, 70.8, 49.0]},
            r"1 participants ends before their first visit \(first: participant c",
        ),
        (DEATH, {"died": [2, 2, 0, 0, 1]}, "expected 0/1 or true/false"),
    ],
)
def test_a_follow_up_that_cannot_be_is_refused(node: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        outcome(node, table(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"causes": {"relapse": 1}}, "competing risks are two causes or more"),
        ({"causes": {"relapse": 1, "death": 1}}, "each with codes of its own"),
        ({"causes": None}, "'causes' is missing; kind competing_risks takes"),
        ({"time_zero": "birth"}, "Say with entry_days or entry_years where each visit lies on it"),
        ({"censor_after_years": -1}, "a number above 0; found -1"),
        ({"entry_days": "age", "entry_years": "age"}, "give one of entry_days, entry_weeks"),
        ({"event": "died"}, "'event' is not a known key"),
    ],
)
def test_a_wrong_entry_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        outcome({**ENDS, **changes})


@pytest.mark.parametrize(
    ("node", "changes", "message"),
    [
        (DEATH, {"died": [0] * 5}, "none of 3 followed has an event: all are censored"),
        (ENDS, {"end": ["1", "1", "0", "0", "1"]}, "none of 3 followed has an event of cause 'death'"),
    ],
)
def test_an_outcome_without_events_is_refused(node: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_outcome(outcome(node, table(**changes)), first_visits=np.array([True, False, True, False, True]))


def written(folder: Path, columns: dict[str, Any], *specs: OutcomeSpec) -> Any:
    rows = len(next(iter(columns.values())))
    space = FeatureSpace("proteome", ("a", "b"), "local", "log2")
    visits = pd.DataFrame({"participant_id": [f"P{n}" for n in range(rows)], "visit": "V0", "time_days": 0.0})
    values = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    return write_store(
        folder / "store",
        name="small",
        visits=visits,
        outcomes=pd.DataFrame(columns),
        outcome_specs={spec.name: spec for spec in specs},
        matrices={"proteome": Matrix(space, np.arange(rows), values)},
    )


def test_entry_and_cause_come_out_of_a_store_as_they_went_in(tmp_path: Path) -> None:
    columns = {
        "end.time_days": [5.0, 7.0, np.nan],
        "end.event": [2.0, 0.0, np.nan],
        "end.entry_days": [1.0, 0.0, np.nan],
        "death.time_days": [5.0, 7.0, 9.0],
        "death.event": [1.0, 0.0, 1.0],
    }
    ends = OutcomeSpec("end", "competing_risks", "participant", ("relapse", "death"), "diagnosis")
    store = written(tmp_path, columns, ends, OutcomeSpec("death", "survival"))
    assert store.manifest["format"] == 1
    assert store.outcome("end") == ends
    found = read_outcome(store, ends, np.arange(3))
    assert isinstance(found, CompetingRisks)
    assert found.cause.tolist() == [2, 0, 0]
    assert found.entry_days.tolist() == [1.0, 0.0, 0.0]
    assert found.observed.tolist() == [True, True, False]
    assert found.of_cause(2).event.tolist() == [True, False, False]
    death = read_outcome(store, store.outcome("death"), np.arange(3))
    assert isinstance(death, Survival)
    assert torch.equal(death.entry_days, torch.zeros(3))  # a store from before entry times has no such column
    target = read_target(store, ends, np.arange(2))
    assert isinstance(target, CompetingTarget)
    assert target.entry_days is not None
    assert target.of_cause(2).event.tolist() == [True, False]
    plain = read_target(store, store.outcome("death"), np.arange(2))
    assert isinstance(plain, SurvivalTarget)
    assert plain.entry_days is None


def test_inspect_tells_causes_delayed_entry_and_that_nobody_is_censored(tmp_path: Path) -> None:
    columns = {
        "end.time_days": [5.0, 7.0, 9.0],
        "end.event": [2.0, 0.0, 1.0],
        "end.entry_days": [1.0, 0.0, 2.0],
        "death.time_days": [5.0, 7.0, 9.0],
        "death.event": [1.0, 1.0, 1.0],
    }
    ends = OutcomeSpec("end", "competing_risks", "participant", ("relapse", "death"), "diagnosis")
    found = Findings()
    describe_outcomes(written(tmp_path, columns, ends, OutcomeSpec("death", "survival")), found)
    text = "\n".join(found.lines)
    assert "1 relapse, 1 death, 1 censored, median follow-up 7 days from diagnosis, 2 enter late" in text
    assert any("nobody is censored" in note for note in found.notes)


def test_inspect_notes_visits_after_the_end_of_follow_up(tmp_path: Path) -> None:
    columns = {"death.time_days": [5.0, np.nan, np.nan], "death.event": [1.0, np.nan, np.nan]}
    store = written(tmp_path, columns, OutcomeSpec("death", "survival", "participant"))
    visits = store.visits.assign(participant_id=["P0", "P0", "P1"], visit=["V0", "V1", "V0"])
    found = Findings()
    describe_outcomes(replace(store, visits=visits), found)
    said = [note for note in found.notes if "end of their follow-up" in note]
    assert len(said) == 1
    assert "1 visits of 1 participants" in said[0]
    assert "participant 'P0', visit 'V1'" in said[0]


def test_a_cohort_with_causes_and_entry_survives_the_way_to_h5mu_and_back(tmp_path: Path) -> None:
    causes = np.resize([2.0, 0.0, 1.0, 1.0], 12)
    columns = {
        "end.time_days": np.arange(5.0, 17.0),
        "end.event": causes,
        "end.entry_days": np.resize([1.0, 0.0, 2.0], 12),
    }
    ends = OutcomeSpec("end", "competing_risks", "participant", ("relapse", "death"), "diagnosis")
    store = written(tmp_path, columns, ends)
    export_store(store, tmp_path / "back.h5mu")
    back = prepare(tmp_path / "back.h5mu", tmp_path / "again")
    assert back.outcome("end") == ends
    pd.testing.assert_frame_equal(back.outcomes, store.outcomes, check_dtype=False)
