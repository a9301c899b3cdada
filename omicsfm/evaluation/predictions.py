"""Predictions as a table: one row per method, repeat, fold and visit, so that anyone can recompute every number.

method, repeat, fold, participant_id, visit, outcome     which prediction
stratum                                                  where the task is fitted, or scored, within strata
y_true                                                   class label or quantity
time_days, event                                         survival: follow-up from time zero, event 0 or 1
time_days, cause                                         competing risks: the cause's name, empty where none was seen
entry_days                                               of either, where participants enter late: from when on
p_<class>                                                predicted probability of each class
y_pred                                                   predicted quantity, or log hazard
y_pred_<cause>                                           competing risks: predicted cause-specific log hazard
survival_<days>                                          survival: predicted probability of no event by that day
incidence_<cause>_<days>                                 competing risks: predicted probability of that event by then
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from omicsfm.contracts import OutcomeSpec
from omicsfm.evaluation.task import Task
from omicsfm.metrics import SurvivalCurves
from omicsfm.metrics.registry import IncidenceCurves
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, SurvivalTarget, Target, class_target

KEYS = ("method", "repeat", "fold", "participant_id", "visit", "outcome")
CURVE, INCIDENCE = "survival_", "incidence_"


def prediction_rows(
    task: Task,
    test: Int[np.ndarray, " test"],
    prediction: Float[np.ndarray, "..."],
    *,
    method: str,
    repeat: int,
    fold: int,
    curves: SurvivalCurves | IncidenceCurves | None = None,
) -> pd.DataFrame:
    """The table's rows for the test visits of one fold (or of one stratum of it)."""
    visits = task.visits.iloc[test]
    rows = pd.DataFrame(
        {
            "method": method,
            "repeat": repeat,
            "fold": fold,
            "participant_id": task.participant_ids[test].astype(object),
            "visit": visits["visit"].astype(str).to_numpy(),
            "outcome": task.outcome.name,
        }
    )
    if task.strata is not None:
        rows["stratum"] = task.strata[test].astype(object)
    truth = task.target[test]
    if getattr(truth, "entry_days", None) is not None:
        rows["entry_days"] = truth.entry_days  # type: ignore[union-attr]
    if isinstance(truth, ClassTarget):
        rows["y_true"] = [truth.classes[k] for k in truth.class_id]
        for number, label in enumerate(truth.classes):
            rows[f"p_{label}"] = prediction[:, number]
    elif isinstance(truth, QuantityTarget):
        rows["y_true"], rows["y_pred"] = truth.value, prediction
    elif isinstance(truth, CompetingTarget):
        rows["time_days"], rows["cause"] = truth.time_days, [("", *truth.causes)[k] for k in truth.cause]
        for number, cause in enumerate(truth.causes):
            rows[f"y_pred_{cause}"] = prediction[:, number]
            if isinstance(curves, IncidenceCurves):
                days = [f"{INCIDENCE}{cause}_{time:.0f}" for time in curves.times_days]
                rows = pd.concat([rows, pd.DataFrame(curves.probability[:, number], columns=days)], axis=1)
    else:
        rows["time_days"], rows["event"], rows["y_pred"] = truth.time_days, truth.event.astype(float), prediction
        if isinstance(curves, SurvivalCurves):
            days = [f"{CURVE}{time:.0f}" for time in curves.times_days]
            rows = pd.concat([rows, pd.DataFrame(curves.probability, columns=days)], axis=1)
    return rows


def read_truth(rows: pd.DataFrame, spec: OutcomeSpec) -> Target:
    """The truth in rows of the table."""
    if spec.kind == "class":
        return class_target(rows["y_true"].astype(str).tolist(), spec.classes)
    if spec.kind == "quantity":
        return QuantityTarget(rows["y_true"].to_numpy(dtype=np.float64))
    if spec.kind == "competing_risks":
        number = {"": 0, **{cause: k + 1 for k, cause in enumerate(spec.classes)}}
        cause = rows["cause"].map(number).to_numpy(dtype=np.int64)
        return CompetingTarget(rows["time_days"].to_numpy(dtype=np.float64), cause, spec.classes, _entry(rows))
    event = rows["event"].to_numpy(dtype=float) > 0
    return SurvivalTarget(rows["time_days"].to_numpy(dtype=np.float64), event, _entry(rows))


def _entry(rows: pd.DataFrame) -> Float[np.ndarray, " rows"] | None:
    return rows["entry_days"].to_numpy(dtype=np.float64) if "entry_days" in rows else None


def read_prediction(rows: pd.DataFrame, spec: OutcomeSpec) -> Float[np.ndarray, "..."]:
    """Class probabilities [rows, classes], quantities or log hazards [rows]."""
    if spec.kind == "class":
        return rows[[f"p_{label}" for label in spec.classes]].to_numpy(dtype=np.float64)
    if spec.kind == "competing_risks":
        return rows[[f"y_pred_{cause}" for cause in spec.classes]].to_numpy(dtype=np.float64)
    return rows["y_pred"].to_numpy(dtype=np.float64)


def read_curves(rows: pd.DataFrame) -> SurvivalCurves | None:
    """Predicted survival curves, or None where some row has none."""
    columns = sorted((c for c in rows if c.startswith(CURVE)), key=lambda c: float(c.removeprefix(CURVE)))
    if not columns or rows[columns].isna().to_numpy().any():
        return None
    days = np.array([float(column.removeprefix(CURVE)) for column in columns])
    return SurvivalCurves(days, rows[columns].to_numpy(dtype=np.float64))


def read_incidence(rows: pd.DataFrame, spec: OutcomeSpec) -> IncidenceCurves | None:
    """Predicted cumulative incidences of every cause, or None where some row has none."""
    heads = [f"{INCIDENCE}{cause}_" for cause in spec.classes]
    days = sorted(float(c.removeprefix(heads[0])) for c in rows if c.startswith(heads[0]))
    columns = [[f"{head}{day:.0f}" for day in days] for head in heads]
    if not days or any(rows[own].isna().to_numpy().any() for own in columns):
        return None
    return IncidenceCurves(np.array(days), np.stack([rows[own].to_numpy(dtype=np.float64) for own in columns], axis=1))


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write under a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)
