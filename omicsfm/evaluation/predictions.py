"""Predictions as a table: one row per method, repeat, fold and visit, so that anyone can recompute every number.

method, repeat, fold, participant_id, visit, outcome     which prediction
stratum                                                  where the task is fitted within strata
y_true                                                   class label or quantity
time_days, event                                         survival: follow-up from the visit, event 0 or 1
p_<class>                                                predicted probability of each class
y_pred                                                   predicted quantity, or log hazard
survival_<days>                                          survival: predicted probability of no event by that day
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from omicsfm.contracts import OutcomeSpec
from omicsfm.evaluation.task import Task
from omicsfm.metrics import SurvivalCurves
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget, Target, class_target

KEYS = ("method", "repeat", "fold", "participant_id", "visit", "outcome")
CURVE = "survival_"


def prediction_rows(
    task: Task,
    test: Int[np.ndarray, " test"],
    prediction: Float[np.ndarray, "..."],
    *,
    method: str,
    repeat: int,
    fold: int,
    curves: SurvivalCurves | None = None,
) -> pd.DataFrame:
    """The table's rows for the test visits of one fold (or of one stratum of it)."""
    visits = task.store.visits.iloc[task.rows[test]]
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
    if isinstance(truth, ClassTarget):
        rows["y_true"] = [truth.classes[k] for k in truth.class_id]
        for number, label in enumerate(truth.classes):
            rows[f"p_{label}"] = prediction[:, number]
    elif isinstance(truth, QuantityTarget):
        rows["y_true"], rows["y_pred"] = truth.value, prediction
    else:
        rows["time_days"], rows["event"], rows["y_pred"] = truth.time_days, truth.event.astype(float), prediction
        if curves is not None:
            days = [f"{CURVE}{time:.0f}" for time in curves.times_days]
            rows = pd.concat([rows, pd.DataFrame(curves.probability, columns=days)], axis=1)
    return rows


def read_truth(rows: pd.DataFrame, spec: OutcomeSpec) -> Target:
    """The truth in rows of the table."""
    if spec.kind == "class":
        return class_target(rows["y_true"].astype(str).tolist(), spec.classes)
    if spec.kind == "quantity":
        return QuantityTarget(rows["y_true"].to_numpy(dtype=np.float64))
    return SurvivalTarget(rows["time_days"].to_numpy(dtype=np.float64), rows["event"].to_numpy(dtype=float) > 0)


def read_prediction(rows: pd.DataFrame, spec: OutcomeSpec) -> Float[np.ndarray, "..."]:
    """Class probabilities [rows, classes], quantities or log hazards [rows]."""
    if spec.kind == "class":
        return rows[[f"p_{label}" for label in spec.classes]].to_numpy(dtype=np.float64)
    return rows["y_pred"].to_numpy(dtype=np.float64)


def read_curves(rows: pd.DataFrame) -> SurvivalCurves | None:
    """Predicted survival curves, or None where some row has none."""
    columns = sorted((c for c in rows if c.startswith(CURVE)), key=lambda c: float(c.removeprefix(CURVE)))
    if not columns or rows[columns].isna().to_numpy().any():
        return None
    days = np.array([float(column.removeprefix(CURVE)) for column in columns])
    return SurvivalCurves(days, rows[columns].to_numpy(dtype=np.float64))


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write under a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)
