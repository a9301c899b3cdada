"""The report of landmark predictions: what it says is what the files say; one person is shown only where asked."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.errors import InputError
from omicsfm.report.landmark import landmark_report
from omicsfm.report.words import landmark_name

DAYS = (30, 90)


def write(out: Path, *, people: int = 120, kind: str = "survival") -> None:
    """Two landmarks, two methods; everybody's risk of the event rises with a known level."""
    rng = np.random.default_rng(0)
    level = rng.normal(size=people)
    events = ["death"] if kind == "survival" else ["relapse", "death"]
    frames = []
    for method, noise in (("omicsfm", 0.5), ("linear", 1.0)):
        for label in ("V0", "V1"):
            time = np.ceil(rng.exponential(90 * np.exp(-level)))
            event = (time < 150).astype(float)
            risk = 1 / (1 + np.exp(-level - noise * rng.normal(size=people)))
            frame = pd.DataFrame(
                {
                    "method": method,
                    "repeat": 0,
                    "fold": 0,
                    "participant_id": [f"P{n:03d}" for n in range(people)],
                    "stratum": label,
                    "time_days": np.minimum(time, 150),
                }
            )
            if kind == "survival":
                frame["event"], frame["y_pred"] = event, level
                for place, day in enumerate(DAYS, 1):
                    frame[f"survival_{day}"] = 1 - risk * place / 2
            else:
                frame["cause"] = np.where(event == 0, "", np.where(np.arange(people) % 2, "death", "relapse"))
                for place, day in enumerate(DAYS, 1):
                    for cause in events:
                        frame[f"incidence_{cause}_{day}"] = risk * place / 4
            frames.append(frame)
    pd.concat(frames, ignore_index=True).to_parquet(out / "predictions.parquet")
    scores, differences = [], []
    for event in events:
        for label in ("V0", "V1", "mean"):
            for method, value in (("omicsfm", 0.81), ("linear", 0.75)):
                key = {"event": event, "landmark": label, "horizon": 30.0, "method": method}
                scores.append({**key, "metric": "auc", "value": value, "low": value - 0.1, "high": value + 0.1})
                scores.append({**key, "metric": "brier", "value": 0.1234, "low": None, "high": None})
            found = {"event": event, "landmark": label, "horizon": 30.0, "method": "omicsfm", "reference": "linear"}
            differences.append({**found, "metric": "auc", "value": 0.06, "low": 0.02, "high": 0.1})
    horizons = [{"asked": 30.0, "days": 30.0, "event": event, "cases": 40, "lost": 3} for event in events]
    metrics = {
        "what": "landmark",
        "cohort": "small",
        "outcome": "death" if kind == "survival" else "end",
        "kind": kind,
        "events": events,
        "model": "omicsfm",
        "primary": "auc",
        "reference": [{"event": event, "horizon": 30.0, "method": "linear"} for event in events],
        "landmarks": [
            {"label": label, "day": 100.0 * n, "participants": people, "horizons": horizons}
            for n, label in enumerate(("V0", "V1"))
        ],
        "curve_days": [float(day) for day in DAYS],
        "methods": {"omicsfm": {}, "linear": {}},
        "scores": scores,
        "differences": differences,
        "notes": ["V2: left out."],
        "provenance": {"seed": 0},
    }
    (out / "metrics.json").write_text(json.dumps(metrics))


@pytest.mark.parametrize("kind", ["survival", "competing_risks"])
def test_the_report_says_who_beats_whom_and_draws_every_horizon(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind=kind)
    page = landmark_report(tmp_path).read_text()
    assert "omicsfm beats linear in" in page
    assert "AUC 0.810 against 0.750" in page
    assert "V0: 40 of 120, 3 lost before" in page
    assert "0.123" in page
    assert "V2: left out." in page
    assert page.count('aria-label="Calibration of omicsfm') == (1 if kind == "survival" else 2)
    assert page.count('aria-label="Mean predicted risk of') == (1 if kind == "survival" else 2)
    assert "P007" not in page
    assert not re.search(r'(src|href)="https?:', page)
    assert not (tmp_path / ".report.html.partial").exists()


def test_one_person_is_shown_only_where_asked_and_the_page_says_so(tmp_path: Path) -> None:
    write(tmp_path)
    page = landmark_report(tmp_path, person="P007").read_text()
    assert "This page shows predictions of one participant, P007" in page
    assert 'aria-label="Predicted risk of participant P007 over time' in page
    with pytest.raises(InputError, match="--person P999: omicsfm made no risk predictions of such a participant"):
        landmark_report(tmp_path, person="P999")


def test_groups_of_too_few_people_are_not_drawn(tmp_path: Path) -> None:
    write(tmp_path, people=16)
    page = landmark_report(tmp_path, min_cell_count=10).read_text()
    assert "aria-label=" not in page


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no landmark run"):
        landmark_report(tmp_path)
    write(tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps({"what": "evaluation"}))
    with pytest.raises(InputError, match="metrics.json is not of a landmark run"):
        landmark_report(tmp_path)


def test_a_bare_number_is_named_as_the_visit_that_it_is() -> None:
    assert [landmark_name(label) for label in ("2", "T24", "age 50", "mean")] == ["visit 2", "T24", "age 50", "mean"]
