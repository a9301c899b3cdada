"""What a score must not be read without: why one is undefined, and what guessing would score."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omicsfm.metrics import REGISTRY, SurvivalCurves
from omicsfm.metrics.kaplan_meier import kaplan_meier
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget, Target

Scores = Mapping[str, Mapping[str, float | None]]
ERRORS = {"class": ("brier", "log_loss"), "quantity": ("rmse",), "survival": ("integrated_brier",)}


def guessing(target: Target, grid_days: Sequence[float] = ()) -> dict[str, float]:
    """Scores of giving everybody the same answer: the tested people's own shares, mean or Kaplan-Meier curve.

    Only those metrics that are errors, whose value says nothing without it.
    """
    scorers = REGISTRY[target.kind]
    prediction: Any
    if isinstance(target, ClassTarget):
        shares = np.bincount(target.class_id, minlength=len(target.classes)) / len(target)
        prediction = np.tile(shares, (len(target), 1))
    elif isinstance(target, QuantityTarget):
        prediction = np.full(len(target), target.value.mean())
    elif len(grid_days):
        days, found = np.asarray(grid_days, dtype=np.float64), kaplan_meier(target)
        survival = np.concatenate([[1.0], found.survival])[np.searchsorted(found.time_days, days, side="right")]
        prediction = SurvivalCurves(days, np.tile(survival, (len(target), 1)))
    else:
        return {}
    scores = {name: float(scorers[name](target, prediction)) for name in ERRORS[target.kind]}
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def remarks(target: Target, scores: Scores, baseline: Mapping[str, float], resamples: int) -> list[str]:
    """Notes for the foot of a report."""
    notes = []
    undefined = [name for name, score in scores.items() if score["value"] is None]
    if undefined:
        notes.append(f"Not defined here: {', '.join(undefined)}. {_reason(target)}")
    if baseline:
        told = ", ".join(f"{name} {value:.3f}" for name, value in baseline.items())
        notes.append(f"Giving everybody the tested group's average answer would score {told}.")
    bare = [name for name, score in scores.items() if score["value"] is not None and score["low"] is None]
    if bare:
        notes.append(f"Without an interval, for it is undefined in most resamples: {', '.join(bare)}.")
    notes.append(
        f"Intervals (95 %) resample the tested participants {resamples:,} times; the model is held fixed, so they do "
        "not say how another training would have turned out."
    )
    if isinstance(target, SurvivalTarget):
        notes.append(
            "Harrell's C counts tied predictions one half. Uno's C and Brier take the censoring distribution of the "
            "tested visits; tau and the grid of days are under counts in metrics.json. Survival curves: the baseline "
            "hazard stored in the checkpoint, from its training participants."
        )
        if "integrated_brier" not in scores:
            notes.append("No integrated Brier score: the checkpoint holds no baseline hazard, so it only ranks.")
    return notes


def _reason(target: Target) -> str:
    if isinstance(target, ClassTarget):
        present = np.unique(target.class_id)
        if len(present) == 1:
            return f"Every tested visit is '{target.classes[int(present[0])]}', so there is nothing to tell apart."
        return "The predictions separate the classes completely, or are the same for all; no finite slope exists."
    if isinstance(target, SurvivalTarget):
        return "No event was seen in the tested visits." if not target.event.any() else "No two visits are comparable."
    return "All tested values, or all predictions, are the same."
