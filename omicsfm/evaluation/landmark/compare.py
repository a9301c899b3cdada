"""Landmark predictions of an event on identical folds, by omicsfm and by what it must beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omicsfm.data.covariates import CLINICAL
from omicsfm.data.splits import Split
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.benchmark import provenance, write_json
from omicsfm.evaluation.crossval import cross_validate
from omicsfm.evaluation.landmark.baselines import LOGISTIC, SUPERMODEL, HorizonLogistic, LandmarkCox
from omicsfm.evaluation.landmark.scoring import ended_of, events_of, score_landmarks
from omicsfm.evaluation.landmark.stack import landmark_stack
from omicsfm.evaluation.landmark.task import Landmark, LandmarkTask
from omicsfm.evaluation.methods import Method, asked_modalities, baseline_methods
from omicsfm.evaluation.predictions import write_parquet
from omicsfm.evaluation.pretrained import NAME
from omicsfm.metrics.targets import CompetingTarget

LINEAR, BOOSTING = "linear", "boosting"
KNOWN = (LINEAR, LOGISTIC, SUPERMODEL, BOOSTING, NAME)
LANDMARK = "landmark"
"""What a metrics.json says it is of."""


def default_names(task: LandmarkTask) -> list[str]:
    """Methods of a run that names none: Cox and logistic regression of the last visit, of everything and of the
    covariates alone, the supermodel, omicsfm.
    """
    parts = ["", f"[{CLINICAL}]"] if CLINICAL in task.store.inputs else [""]
    kinds = [LINEAR] if isinstance(task.target, CompetingTarget) else [LINEAR, LOGISTIC]
    return [*(f"{kind}{part}" for kind in kinds for part in parts), SUPERMODEL, NAME]


def landmark_methods(
    names: Sequence[str] | None, task: LandmarkTask, *, checkpoint: Path | None = None, overrides: Sequence[str] = ()
) -> list[Method]:
    """Methods by name.

    Raises:
        InputError: A name or a modality is not known, the checkpoint does not open, or an override names no key.
    """
    found: list[Any] = []
    for name in default_names(task) if names is None else names:
        kind = name.partition("[")[0]
        if name == NAME:
            found.append(landmark_stack(overrides, checkpoint=checkpoint))
        elif name == SUPERMODEL:
            found.append(LandmarkCox())
        elif kind == LOGISTIC:
            found.append(HorizonLogistic(name, asked_modalities(name, task)))
        elif kind == LINEAR or (kind == BOOSTING and not isinstance(task.target, CompetingTarget)):
            found += baseline_methods([name], task)
        else:
            raise InputError(f"--methods: '{name}' is not a method of a landmark prediction; {closest(name, KNOWN)}.")
    if not any(method.is_linear for method in found):
        raise InputError(
            f"--methods: {', '.join(method.name for method in found)} is compared with nothing; name one of {LINEAR}, "
            f"{LOGISTIC} and {SUPERMODEL} too."
        )
    return found


def run_landmark(
    task: LandmarkTask,
    methods: Sequence[Method],
    *,
    out: Path,
    split: Split,
    seed: int,
    resamples: int,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Cross-validate and score; returns the content of OUT/metrics.json."""
    out.mkdir(parents=True, exist_ok=True)
    split.write(out / "split.csv")
    predictions, seconds = cross_validate(task, methods, split, seed=seed, keep=out / "folds")
    write_parquet(predictions, out / "predictions.parquet")
    linear = [method.name for method in methods if method.is_linear]
    scored = score_landmarks(predictions, task.outcome, task.landmarks, linear=linear, seed=seed, resamples=resamples)
    model = next((method.name for method in methods if not method.is_linear and method.name == NAME), None)
    metrics = {
        "what": LANDMARK,
        "cohort": task.store.name,
        "outcome": task.outcome.name,
        "kind": task.outcome.kind,
        "events": list(events_of(task.outcome)),
        "model": model,
        "landmarks": [_described(task, one) for one in task.landmarks],
        "curve_days": task.curve_days.tolist(),
        **scored,
        "methods": {m.name: {"seconds": round(seconds[m.name], 3), "config": dict(m.config())} for m in methods},
        "notes": [*notes, *_notes(task, resamples)],
        "provenance": provenance(task, split, seed, resamples),
    }
    write_json(metrics, out / "metrics.json")
    return metrics


def _described(task: LandmarkTask, one: Landmark) -> dict[str, Any]:
    """Who was at risk at a landmark, and what is known of them by each horizon."""
    target = task.target[task.at(one.label)]
    horizons = []
    for asked, day in one.horizons.items():
        for number, event in enumerate(events_of(task.outcome)):
            ended = ended_of(target, number)  # type: ignore[arg-type]
            cases, free = int(ended.case(day).sum()), int(ended.free(day).sum())
            horizons.append(
                {"asked": asked, "days": day, "event": event, "cases": cases, "lost": len(target) - cases - free}
            )
    return {"label": one.label, "day": one.day, "participants": len(target), "horizons": horizons}


def _notes(task: LandmarkTask, resamples: int) -> list[str]:
    return [
        "Each landmark holds those who were followed and had no event when they got there; nothing measured later is "
        "read. Time counts from the landmark.",
        f"Intervals (95 %) resample participants {resamples:,} times, the same draw at all landmarks, with the fitted "
        "models held fixed. A mean is over landmarks. Differences are to the linear method best in AUC at that "
        "horizon, on these very folds, which favours it.",
        "AUC, Brier score and C are weighted by the inverse probability of not being censored, from the scored rows. "
        "ICI: mean distance of the predicted from the smoothed observed risk. observed / expected: share with the "
        "event (Kaplan-Meier" + (", Aalen-Johansen" if task.outcome.classes else "") + ") over mean predicted risk.",
    ]
