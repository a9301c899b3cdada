"""What a score must not be read without: why one is undefined, and what guessing would score."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from omicsfm.metrics import SurvivalCurves, metrics_for
from omicsfm.metrics.kaplan_meier import kaplan_meier
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, SurvivalTarget, Target

Scores = Mapping[str, Mapping[str, float | None]]
FEW = 20  # of the rarer class, or with the event; below that percentile intervals are known to be too narrow


def guessing(target: Target, grid_days: Sequence[float] = ()) -> dict[str, float]:
    """Scores of giving everybody the same answer: the tested people's own shares, mean or Kaplan-Meier curve.

    By metric; those of calibration, for which nobody guesses, are left out.
    """
    prediction: Any
    curves = None
    if isinstance(target, ClassTarget):
        shares = np.bincount(target.class_id, minlength=len(target.classes)) / len(target)
        prediction = np.tile(shares, (len(target), 1))
    elif isinstance(target, QuantityTarget):
        prediction = np.full(len(target), target.value.mean())
    elif isinstance(target, CompetingTarget):
        prediction = np.zeros((len(target), len(target.causes)))
    else:
        prediction = np.zeros(len(target))
    if isinstance(target, SurvivalTarget) and len(grid_days):
        days, found = np.asarray(grid_days, dtype=np.float64), kaplan_meier(target)
        survival = np.concatenate([[1.0], found.survival])[np.searchsorted(found.time_days, days, side="right")]
        curves = SurvivalCurves(days, np.tile(survival, (len(target), 1)))
    scores = {}
    for name, metric in metrics_for(target).items():
        given = curves if metric.needs_curves else prediction
        if isinstance(metric.best, str) and given is not None:
            scores[name] = float(metric(target, given))
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def cautions(target: Target, participant_ids: Shaped[np.ndarray, " rows"], scores: Scores) -> list[str]:
    """What must stand beside the score itself: few people of the rarer kind, a perfect score."""
    said = []
    if isinstance(target, QuantityTarget):
        fewest, what = len(np.unique(participant_ids)), "were tested"
    elif isinstance(target, SurvivalTarget | CompetingTarget):
        fewest, what = len(np.unique(participant_ids[target.event])), "had the event"
    else:
        present = np.unique(target.class_id)
        people = {int(k): len(np.unique(participant_ids[target.class_id == k])) for k in present}
        rarest = min(people, key=lambda k: people[k])
        fewest, what = people[rarest], f"were ever '{target.classes[rarest]}'"
    if fewest < FEW:
        said.append(f"Fewer than {FEW} tested participants {what}: a few other people could change the scores much.")
    perfect = [score for score in scores.values() if score["value"] == score["low"] == score["high"] == 1.0]
    if perfect:
        said.append(
            "A perfect score with an interval of 1 to 1 is not certainty: whoever resamples people who are all ranked "
            "right finds them ranked right. Test it on more people, and look for a leak of the outcome into the data."
        )
    return said


def remarks(target: Target, scores: Scores, baseline: Mapping[str, float], resamples: int) -> list[str]:
    """Notes for the foot of a report."""
    notes = []
    undefined = [name for name, score in scores.items() if score["value"] is None]
    if undefined:
        notes.append(f"Not defined here: {_words(undefined)}. {_reason(target)}")
    if baseline:
        notes.append(
            "The same answer for all is the tested people's own share, mean or Kaplan-Meier curve, which nobody knows "
            "beforehand."
        )
    bare = [name for name, score in scores.items() if score["value"] is not None and score["low"] is None]
    if bare:
        notes.append(f"Without an interval, for it is undefined in most resamples: {_words(bare)}.")
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


def _words(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _reason(target: Target) -> str:
    if isinstance(target, ClassTarget):
        present = np.unique(target.class_id)
        if len(present) == 1:
            return f"Every tested visit is '{target.classes[int(present[0])]}', so there is nothing to tell apart."
        return "The predictions separate the classes completely, or are the same for all; no finite slope exists."
    if isinstance(target, SurvivalTarget | CompetingTarget):
        return "No event was seen in the tested visits." if not target.event.any() else "No two visits are comparable."
    return "All tested values, or all predictions, are the same."
