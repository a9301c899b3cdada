"""Methods against each other on identical folds: split.csv, predictions.parquet, metrics.json."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

import omicsfm
from omicsfm.data.folds import make_split
from omicsfm.data.splits import Split
from omicsfm.data.stratify import outcome_labels
from omicsfm.errors import InputError
from omicsfm.evaluation.crossval import cross_validate
from omicsfm.evaluation.gate import decide, record_of
from omicsfm.evaluation.methods import Method
from omicsfm.evaluation.predictions import write_parquet
from omicsfm.evaluation.pretrained import Pretrained
from omicsfm.evaluation.scoring import score_predictions
from omicsfm.evaluation.task import Task
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget
from omicsfm.origin import code_commit

PACKAGES = ("numpy", "scipy", "scikit-learn", "lightgbm", "torch")


@dataclass(frozen=True)
class Scoring:
    """How predictions are scored, where not as the outcome's kind says."""

    headline: str | None = None
    """The metric to judge by."""
    only: tuple[str, ...] = ()
    """The metrics that are defined; all of the kind where none is named."""
    within: str | None = None
    """A column of the visits within whose values a model of all of them is scored."""
    strata: Shaped[np.ndarray, " rows"] | None = None
    """Its value at each row of the task."""


DEFAULT_SCORING = Scoring()


def run_benchmark(
    task: Task,
    methods: Sequence[Method],
    *,
    out: Path,
    split: Split,
    seed: int,
    resamples: int = 1000,
    model: str | None = None,
    scoring: Scoring = DEFAULT_SCORING,
) -> dict[str, Any]:
    """Cross-validate and score the methods; returns the content of OUT/metrics.json.

    ``model`` is the name of the method that is the pretrained model, where one takes part.
    """
    if not methods:
        raise InputError("benchmark: no methods. Name some with --methods, or leave the option out for all.")
    out.mkdir(parents=True, exist_ok=True)
    split.write(out / "split.csv")
    predictions, seconds = cross_validate(task, methods, split, seed=seed, keep=out / "folds")
    within = task.stratum_column
    if scoring.strata is not None:
        visits = zip(task.participant_ids, task.visits["visit"].astype(str), strict=True)
        label = dict(zip(visits, scoring.strata, strict=True))
        keys = zip(predictions["participant_id"], predictions["visit"], strict=True)
        predictions["stratum"], within = [str(label[key]) for key in keys], scoring.within
    write_parquet(predictions, out / "predictions.parquet")
    linear = [method.name for method in methods if method.is_linear]
    scored = score_predictions(
        predictions,
        task.outcome,
        linear=linear,
        seed=seed,
        resamples=resamples,
        headline=scoring.headline,
        only=scoring.only,
        model=model,
    )
    for method in methods:
        entry = scored["methods"][method.name]
        entry["seconds"] = round(seconds[method.name], 3)
        entry["config"] = dict(method.config())
    decision = None if model is None else decide(scored, kind=task.outcome.kind, model=model)
    metrics = {
        "cohort": task.store.name,
        "outcome": task.outcome.name,
        "kind": task.outcome.kind,
        "classes": list(task.outcome.classes),
        "within": within,
        "model": model,
        **scored,
        "gate": None if decision is None else record_of(decision),
        "subgroups": _subgroups(scored, within),
        "notes": [*_notes(scored, task, resamples, scoring), *_said_of_itself(methods, task)],
        "provenance": provenance(task, split, seed, resamples),
    }
    write_json(metrics, out / "metrics.json")
    return metrics


def folds_for(task: Task, *, repeats: int, folds: int, seed: int) -> Split:
    """Repeated folds over participants, balanced on the outcome, and within strata on the stratum too."""
    return make_split(task.visits, labels=fold_labels(task), repeats=repeats, folds=folds, seed=seed)


def fold_labels(task: Task) -> Int[np.ndarray, " rows"]:
    """What folds of the task are balanced on: class, event or quarter of a quantity, and the stratum."""
    labels = outcome_labels(task.store, task.outcome)[task.rows]
    if task.strata is None:
        return labels
    _, stratum = np.unique(task.strata, return_inverse=True)
    return stratum * (int(labels.max()) + 1) + labels


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write under a temporary name, then rename."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1, allow_nan=False))
    partial.replace(path)


def _subgroups(scored: Mapping[str, Any], within: str | None) -> list[dict[str, Any]]:
    """Each stratum's headline metric, as a report's subgroup table wants it."""
    return [
        {
            "variable": within,
            "level": stratum,
            "participants": scored["counts"][stratum]["participants"],
            "method": method,
            "metric": scored["primary"],
            **scores[scored["primary"]],
        }
        for stratum, methods in scored.get("strata", {}).items()
        for method, scores in methods.items()
    ]


def _notes(scored: Mapping[str, Any], task: Task, resamples: int, scoring: Scoring) -> list[str]:
    notes = [
        "A value is computed in each repeat over all its folds together, then averaged over repeats. Intervals (95 %) "
        f"resample participants {resamples:,} times with the fitted models held fixed.",
    ]
    if scored["reference"]:
        notes.append(
            f"Differences are to {scored['reference']}, the best linear method on these very folds, which favours it."
        )
    if scoring.strata is not None:
        notes.append(
            f"Scored within each {scoring.within}, for it may have units of its own: of the metrics, "
            f"{' and '.join(scoring.only)} is left, and its value is the mean over them."
        )
    if task.stratum_column:
        notes.append(f"Fitted and scored within each {task.stratum_column}; the value is the mean over its strata.")
    if isinstance(task.target, SurvivalTarget | CompetingTarget) and task.target.entry_days is not None:
        notes.append(
            "Participants enter late: pairs are compared where both were followed, and metrics that weight for "
            "censoring are not defined."
        )
    if task.outcome.kind == "competing_risks":
        notes.append(
            "C and Brier score are means over the causes; those with another event count as free of this one. "
            "Incidences: Breslow's baseline of each cause on held-out training predictions."
        )
    if task.outcome.kind == "survival":
        notes.append(
            "Harrell's C counts tied predictions one half. Uno's C and Brier take the censoring distribution of the "
            "scored rows; tau and the grid of days are under counts in metrics.json. Survival curves: Breslow's "
            "baseline on held-out training predictions after shrinkage by their Cox slope."
        )
    return notes


def _said_of_itself(methods: Sequence[Method], task: Task) -> list[str]:
    return [note for method in methods if isinstance(method, Pretrained) for note in method.notes(task)]


def provenance(task: Task, split: Split, seed: int, resamples: int) -> dict[str, Any]:
    """What a result says about where it comes from: store, split, seed, code, versions."""
    return {
        "store": str(task.store.name),
        "store_fingerprint": task.store.fingerprint,
        "split_sha256": split.sha256,
        "split": dict(split.made),
        "seed": seed,
        "resamples": resamples,
        "omicsfm": omicsfm.__version__,
        "commit": code_commit() or "unknown",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
