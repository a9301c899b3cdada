"""The report of landmark predictions: a table a horizon, what the model's risks are worth at each landmark, figures."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from omicsfm.errors import InputError
from omicsfm.report.risk_by_landmark import Metrics, calibration_by_horizon, mean_risk_plot, person_plot
from omicsfm.report.section import Section, render, section
from omicsfm.report.style import interval, number, signed
from omicsfm.report.words import landmark_name

Cell = dict[str, str]
LABELS = {
    "auc": "AUC",
    "uno_c": "Uno's C",
    "brier": "Brier score",
    "observed_to_expected": "observed / expected",
    "ici": "ICI",
    "harrell_c": "Harrell's C",
    "integrated_brier": "integrated Brier",
    "d_calibration_p": "D-calibration p",
}
MEAN = "mean"


def landmark_report(out: Path, *, min_cell_count: int = 10, person: str | None = None) -> Path:
    """Write ``out/report.html`` and return its path; with ``person`` it shows one participant's risk path.

    Raises:
        InputError: There is no metrics.json or predictions.parquet of a landmark run, or no such participant.
    """
    metrics, table = _read(Path(out))
    focus = _focus(metrics)
    sections = [
        *score_sections(metrics),
        _worth(metrics, focus),
        _figures(metrics, table, focus, min_cell_count),
        None if person is None else _person(metrics, table, focus, person),
    ]
    people = table["participant_id"].nunique()
    return render(
        Path(out),
        [one for one in sections if one is not None],
        title=f"Landmarks: {metrics['outcome']}",
        eyebrow=f"Landmark prediction · {metrics['cohort']} · outcome '{metrics['outcome']}'",
        headline=_headline(metrics, focus),
        cautions=[]
        if person is None
        else [f"This page shows predictions of one participant, {person}: it stays where the cohort stays."],
        facts=[
            ("participants", f"{people:,}"),
            *((landmark_name(o["label"]), f"{o['participants']:,} at risk") for o in metrics["landmarks"]),
        ],
        notes=metrics["notes"],
        provenance=list(metrics["provenance"].items()),
        disclosure=f"Groups of fewer than {min_cell_count} participants are not drawn.",
    )


def score_sections(metrics: Metrics) -> list[Section]:
    """A table of scores for each event and horizon."""
    focus = _focus(metrics)
    return [_scores(metrics, entry, focus) for entry in metrics["reference"]]


def _focus(metrics: Metrics) -> str:
    return str(metrics["model"] or metrics["reference"][0]["method"])


def _read(out: Path) -> tuple[Metrics, pd.DataFrame]:
    try:
        metrics = json.loads((out / "metrics.json").read_text())
        table = pd.read_parquet(out / "predictions.parquet")
    except (OSError, ValueError) as error:
        raise InputError(f"{out}: holds no landmark run ({error}). Make one with eval/landmark.py.") from error
    if metrics.get("what") != "landmark":
        raise InputError(f"{out}: metrics.json is not of a landmark run. Make one with eval/landmark.py.")
    return metrics, table


def _found(metrics: Metrics, event: str, horizon: float, method: str, landmark: str, metric: str) -> Any:
    wanted = (event, horizon, method, landmark, metric)
    keys = ("event", "horizon", "method", "landmark", "metric")
    return next((s for s in metrics["scores"] if tuple(s[key] for key in keys) == wanted), None)


def _difference(metrics: Metrics, entry: Any, method: str, landmark: str) -> Any:
    return next(
        (
            d
            for d in metrics["differences"]
            if (d["event"], d["horizon"], d["method"], d["landmark"], d["metric"])
            == (entry["event"], entry["horizon"], method, landmark, metrics["primary"])
        ),
        None,
    )


def _columns(metrics: Metrics) -> list[str]:
    labels = [one["label"] for one in metrics["landmarks"]]
    return [*labels, MEAN] if len(labels) > 1 else labels


def verdict(difference: Any) -> str:
    """Better, worse or a tie, by the paired interval."""
    if difference is None or difference["low"] is None:
        return "untested"
    return "better" if difference["low"] > 0 else "worse" if difference["high"] < 0 else "ties"


def _headline(metrics: Metrics, focus: str) -> str:
    entry, last = metrics["reference"][0], _columns(metrics)[-1]
    own = _found(metrics, entry["event"], entry["horizon"], focus, last, metrics["primary"])
    over = "averaged over the landmarks" if last == MEAN else f"at {landmark_name(last)}"
    said = f"{entry['event']} within {entry['horizon']:g} days: AUC {number(own['value'])}"
    if focus == entry["method"]:
        return f"{focus}, the best linear method, foretells {said}, {over}"
    word = {"better": "beats", "worse": "loses to", "ties": "ties with", "untested": "stands beside"}
    other = _found(metrics, entry["event"], entry["horizon"], entry["method"], last, metrics["primary"])
    verb = word[verdict(_difference(metrics, entry, focus, last))]
    return f"{focus} {verb} {entry['method']} in {said} against {number(other['value'])}, {over}"


def _cell(score: Any) -> Cell:
    if score is None or score["value"] is None:
        return {"text": "–"}
    return {
        "text": number(score["value"]),
        "small": "" if score["low"] is None else interval(score["low"], score["high"]),
    }


def _scores(metrics: Metrics, entry: Any, focus: str) -> Section:
    event, horizon, columns = entry["event"], entry["horizon"], _columns(metrics)
    rows = []
    named = {m: _found(metrics, event, horizon, m, columns[-1], metrics["primary"]) for m in metrics["methods"]}
    for method in sorted((m for m, s in named.items() if s), key=lambda m: -(named[m]["value"] or 0)):
        cells = [{"text": method}]
        cells += [_cell(_found(metrics, event, horizon, method, label, metrics["primary"])) for label in columns]
        found = _difference(metrics, entry, method, columns[-1])
        if method == entry["method"]:
            cells.append({"text": "reference"})
        elif found is None:
            cells.append({"text": "–"})
        else:
            cells.append({"text": verdict(found), "small": signed(found["value"]), "verdict": verdict(found)})
        rows.append({"cells": cells, "focus": method == focus})
    header = ["method", *map(landmark_name, columns), f"{columns[-1]} against {entry['method']}"]
    counts = "; ".join(
        f"{landmark_name(one['label'])}: {own['cases']:,} of {one['participants']:,}"
        + (f" by day {own['days']:g}" if own["days"] != horizon else "")
        + (f", {own['lost']:,} lost before" if own["lost"] else "")
        for one in metrics["landmarks"]
        for own in one["horizons"]
        if own["event"] == event and own["asked"] == horizon
    )
    return section(
        f"{event} within {horizon:g} days of the landmark",
        "AUC at each landmark, on people no method was trained on; in small print the 95% interval. With the event: "
        f"{counts}.",
        tables=[{"header": header, "rows": rows, "map": False}],
    )


def _worth(metrics: Metrics, focus: str) -> Section:
    """Every metric of the method in focus, by landmark."""
    columns, rows = _columns(metrics), []
    keys = [(s["event"], s["horizon"], s["metric"]) for s in metrics["scores"] if s["method"] == focus]
    for event, horizon, metric in dict.fromkeys(keys):
        if metric == metrics["primary"]:
            continue
        what = LABELS.get(metric, metric)
        small = f"{event}, {horizon:g} days" if horizon else "whole curve"
        cells = [{"text": what, "small": small}]
        cells += [_cell(_found(metrics, event, horizon, focus, label, metric)) for label in columns]
        rows.append({"cells": cells, "focus": False})
    return section(
        f"What the risks of {focus} are worth at each landmark",
        "C: order of events until the horizon. Brier: squared error. Observed / expected: 1 is right, above 1 the risk "
        "is underestimated. ICI: mean distance of predicted and observed risk. D-calibration: below 0.05 the survival "
        "curves as a whole are off.",
        tables=[{"header": ["", *map(landmark_name, columns)], "rows": rows, "map": False}],
    )


def _figures(metrics: Metrics, table: pd.DataFrame, focus: str, least: int) -> Section | None:
    drawn = []
    for entry in metrics["reference"]:
        for plot in (calibration_by_horizon, mean_risk_plot):
            svg = plot(table, metrics, focus, entry["event"], entry["horizon"], least=least)
            if svg is not None:
                drawn.append({"svg": svg, "caption": ""})
    if not drawn:
        return None
    return section(
        "Do the risks come true, and do they part?",
        "Left: on the dashed line risks are true to the letter, below it overstated; bars are 95% intervals. Right: "
        "the further the two lines part from landmark to landmark, the more was learnt by looking again.",
        figures=drawn,
    )


def _person(metrics: Metrics, table: pd.DataFrame, focus: str, person: str) -> Section:
    svg = person_plot(table, metrics, focus, person)
    if svg is None:
        raise InputError(f"--person {person}: {focus} made no risk predictions of such a participant.")
    return section(
        "The risk of one participant",
        "As it was foretold at each landmark by models that had not seen the participant; the dashed line is what "
        "happened.",
        figures=[{"svg": svg, "caption": ""}],
        wide=True,
    )
