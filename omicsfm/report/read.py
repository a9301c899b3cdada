"""An OUT folder -> Results. The only file of the report that knows how ``metrics.json`` is laid out."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from omicsfm.errors import InputError, closest
from omicsfm.metrics import HEADLINE
from omicsfm.report.results import Difference, Estimate, Reading, Results, Subgroup, metric_of

TRUTH = {
    "class": ("y_true",),
    "quantity": ("y_true", "y_pred"),
    "survival": ("time_days", "event", "y_pred"),
    "competing_risks": ("time_days", "cause"),
}
KEYS = ("method", "repeat", "fold", "participant_id", "visit")


def read_results(out: Path) -> Results:
    """Read ``metrics.json`` and ``predictions.parquet`` of an OUT folder.

    Raises:
        InputError: A file is missing or cannot be read, or it lacks something that the report needs.
    """
    metrics_file, predictions_file = out / "metrics.json", out / "predictions.parquet"
    for file in (metrics_file, predictions_file):
        if not file.exists():
            raise InputError(f"{file}: missing. A report is made of what eval/benchmark.py or eval/evaluate.py wrote.")
    try:
        metrics = json.loads(metrics_file.read_text())
        predictions = pd.read_parquet(predictions_file)
    except (OSError, ValueError) as error:
        raise InputError(f"{out}: cannot be read ({error}). Run the evaluation again.") from error
    for key in ("outcome", "kind", "methods"):
        if key not in metrics:
            raise InputError(f"{metrics_file}: '{key}' is missing; {closest(key, metrics)}.")
    if metrics["kind"] not in TRUTH:
        found = str(metrics["kind"])
        raise InputError(f"{metrics_file}: kind '{found}' is not known; {closest(found, TRUTH)}.")
    if not metrics["methods"]:
        raise InputError(f"{metrics_file}: no method was scored, so there is nothing to report.")
    for column in (*KEYS, *TRUTH[metrics["kind"]]):
        if column not in predictions:
            known = closest(column, predictions.columns)
            raise InputError(f"{predictions_file}: column '{column}' is missing; {known}.")
    absent = sorted(set(metrics["methods"]) - set(predictions["method"].astype(str)))
    if absent:
        raise InputError(f"{predictions_file}: there are no predictions of '{absent[0]}', which metrics.json scores.")
    scored = datetime.fromtimestamp(metrics_file.stat().st_mtime, tz=UTC).date().isoformat()
    metrics["provenance"] = {"scored on": scored, **(metrics.get("provenance") or {})}
    return parse_results(metrics, predictions)


def parse_results(metrics: Mapping[str, Any], predictions: pd.DataFrame) -> Results:
    """The results in ``metrics``, the content of a metrics.json."""
    kind = metrics["kind"]
    predictions = predictions.assign(method=predictions["method"].astype(str))
    classes = tuple(map(str, metrics.get("classes") or ()))
    if kind == "class" and not classes:
        classes = tuple(column[2:] for column in predictions if column.startswith("p_"))
    primary = metric_of(str(metrics.get("primary", HEADLINE[kind])), kind)
    methods = metrics["methods"]
    return Results(
        cohort=str(metrics.get("cohort", "")),
        outcome=str(metrics["outcome"]),
        kind=kind,
        classes=classes,
        primary=primary,
        scores={m: {name: _estimate(one) for name, one in entry["metrics"].items()} for m, entry in methods.items()},
        seconds={m: _optional(entry.get("seconds")) for m, entry in methods.items()},
        differences=tuple(
            Difference(entry["method"], entry["reference"], _estimate(entry))
            for entry in metrics.get("differences", ())
            if entry["metric"] == primary.name
        ),
        predictions=predictions,
        gains=tuple(
            Difference(str(metrics["model"]), entry["other"], _estimate(entry)) for entry in metrics.get("gains") or ()
        ),
        subgroups=tuple(
            Subgroup(
                str(entry["variable"]),
                str(entry["level"]),
                0 if entry.get("suppressed") else None if entry["participants"] is None else int(entry["participants"]),
                str(entry["method"]),
                primary.name if entry.get("suppressed") else str(entry["metric"]),
                _estimate(entry),
            )
            for entry in metrics.get("subgroups", ())
        ),
        model=metrics.get("model"),
        reference=metrics.get("reference"),
        strata_won=metrics.get("strata_won") or {},
        gate=str((metrics.get("gate") or {}).get("said", "")),
        within=metrics.get("within"),
        provenance={str(k): _plain(v) for k, v in (metrics.get("provenance") or {}).items()},
        notes=tuple(map(str, metrics.get("notes", ()))),
        cautions=tuple(map(str, metrics.get("cautions", ()))),
        tested=str((metrics.get("tested") or {}).get("said", "")),
        excluded=int((metrics.get("tested") or {}).get("excluded_participants", 0)),
        guessing={str(name): float(value) for name, value in (metrics.get("guessing") or {}).items()},
        readings=tuple(
            Reading(
                str(name),
                int(entry["known"]),
                int(entry["matched"]),
                int(entry["unknown"]),
                _optional(entry.get("measured_share")),
            )
            for name, entry in (metrics.get("features") or {}).items()
        ),
    )


def write_table(table: pd.DataFrame, file: Path) -> Path:
    """Write a parquet file under a temporary name, rename it, and return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    table.to_parquet(partial, index=False)
    partial.replace(file)
    return file


def _estimate(entry: Any) -> Estimate:
    """From a number, or a mapping with value, low and high."""
    if not isinstance(entry, Mapping):
        entry = {"value": entry}
    value, low, high = (_optional(entry.get(key)) for key in ("value", "low", "high"))
    return Estimate(float("nan") if value is None else value, low, high)


def _optional(value: Any) -> float | None:
    """NaN and null both mean: not known."""
    return None if value is None or value != value else float(value)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)
