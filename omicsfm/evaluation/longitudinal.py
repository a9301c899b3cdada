"""Beside a benchmark: what the visits before allow, on the same folds, where the cohort has repeated visits.

    forecast    a quantity of a visit: at each later visit from the visits before it, where earlier values are known.
                Against the last observation carried forward, a line through it, that and the omics, a mixed model
    landmark    a time to an event: from each visit on, for those still at risk, against Cox regression of the last
                visit and the landmark supermodel

These are questions of their own: a benchmark asks what a visit's omics say and lets no method read earlier values of
the outcome, so that its table cannot hold them. A class has no such comparison.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omicsfm.contracts import TIMED
from omicsfm.data.splits import Split
from omicsfm.errors import InputError
from omicsfm.evaluation.forecast.compare import forecast_methods, run_forecast
from omicsfm.evaluation.forecast.task import forecast_task
from omicsfm.evaluation.landmark.compare import landmark_methods, run_landmark
from omicsfm.evaluation.landmark.rows import make_landmark_task
from omicsfm.evaluation.landmark.summary import landmark_table
from omicsfm.evaluation.summary import benchmark_table
from omicsfm.evaluation.task import Task
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget

log = logging.getLogger(__name__)
FORECAST, LANDMARK = "forecast", "landmark"
"""Folders in OUT."""


def run_longitudinal(
    task: Task,
    *,
    out: Path,
    split: Split,
    seed: int,
    resamples: int,
    checkpoint: Path | None = None,
    overrides: Sequence[str] = (),
) -> str | None:
    """Write OUT/forecast or OUT/landmark and return the table; None, and why in the log, where there is none."""
    if task.strata is not None or not task.store.visits["participant_id"].duplicated().any():
        return None
    options = {"checkpoint": checkpoint, "overrides": overrides}
    shared = {"split": split, "seed": seed, "resamples": resamples}
    try:
        if task.outcome.kind == "quantity" and task.outcome.level == "visit":
            return _forecast(task, out / FORECAST, options, shared)
        if task.outcome.kind in TIMED:
            return _landmark(task, out / LANDMARK, options, shared)
    except InputError as error:
        log.warning(f"nothing is compared along the visits: {error}")
    return None


def forget(out: Path) -> None:
    """Take away what an earlier run in this folder said, so that no report shows it beside another's numbers."""
    for name in (FORECAST, LANDMARK):
        (out / name / "metrics.json").unlink(missing_ok=True)


def _forecast(task: Task, out: Path, options: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    own = forecast_task(task.store, task.outcome.name)
    metrics = run_forecast(own, forecast_methods(None, own, **options), out=out, **shared)
    return f"{metrics['outcome']}, from the visits before it\n{benchmark_table(metrics)}"


def _landmark(task: Task, out: Path, options: Mapping[str, Any], shared: Mapping[str, Any]) -> str | None:
    """At every visit with enough events after it, by the day by which half of all events have happened."""
    assert isinstance(task.target, SurvivalTarget | CompetingTarget)
    horizon = float(np.ceil(np.median(task.target.time_days[task.target.event])))
    own, said = make_landmark_task(task.store, task.outcome.name, horizons=[horizon])
    for line in said:
        log.warning(line)
    if len(own.landmarks) < 2:
        log.warning("nothing is compared along the visits: with one landmark there is nothing before it.")
        return None
    return landmark_table(run_landmark(own, landmark_methods(None, own, **options), out=out, notes=said, **shared))
