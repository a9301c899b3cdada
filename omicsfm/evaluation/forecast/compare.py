"""Forecasts of a quantity on identical folds, by omicsfm and by what it must beat."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omicsfm.data.row_labels import PLATFORM
from omicsfm.data.splits import Split
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.benchmark import Scoring, run_benchmark
from omicsfm.evaluation.forecast.baselines import LastAndOmics, LastObservation, LinearLast
from omicsfm.evaluation.forecast.mixed_model import MixedModel
from omicsfm.evaluation.forecast.stack import LAST_VISIT, forecast_stacks
from omicsfm.evaluation.forecast.task import ForecastTask
from omicsfm.evaluation.methods import Method, baseline_methods
from omicsfm.evaluation.pretrained import NAME

log = logging.getLogger(__name__)
_OWN = {method.name: method for method in (LastObservation(), LinearLast(), LastAndOmics(), MixedModel())}
OMICS = "linear"
HEADLINE, RANKS = "rmse", "spearman"
"""A forecast is judged by its error: ranks alone would not notice that a value drifts."""
DEFAULT = (*_OWN, OMICS, NAME)


def forecast_methods(
    names: Sequence[str] | None, task: ForecastTask, *, checkpoint: Path | None = None, overrides: Sequence[str] = ()
) -> list[Method]:
    """Methods by name; every longitudinal one, the omics of the last visit alone, and omicsfm where none is named.

    Raises:
        InputError: A name is not known, the checkpoint does not open, or an override names no key.
    """
    found: list[Method] = []
    asked = list(DEFAULT if names is None else names)
    ours = forecast_stacks(asked, overrides, checkpoint=checkpoint)
    for name in asked:
        if name in _OWN:
            found.append(_OWN[name])
        elif name in ours:
            found.append(ours[name])
        elif name.partition("[")[0] == OMICS:
            found += baseline_methods([name], task)
        else:
            raise InputError(
                f"--methods: '{name}' is not a method of a forecast; {closest(name, (*DEFAULT, LAST_VISIT))}."
            )
    return found


def run_forecast(
    task: ForecastTask, methods: Sequence[Method], *, out: Path, split: Split, seed: int, resamples: int
) -> dict[str, Any]:
    """Cross-validate and score; returns the content of OUT/metrics.json.

    Where people are tested on a platform that none of their fold's training visits had, the unit of a feature may be
    another one there: then ranks are scored, within each platform, and no errors.
    """
    model = NAME if any(method.name == NAME for method in methods) else None
    scoring = Scoring(headline=HEADLINE)
    if task.units is not None and (new := _platforms_not_trained_on(task, split)):
        log.warning(
            f"{' and '.join(new)}: no training visit had this platform, which may measure {task.outcome.name} in "
            "another unit. Ranks within each platform are scored, and no errors."
        )
        scoring = Scoring(headline=RANKS, only=(RANKS,), within=PLATFORM, strata=task.units)
    return run_benchmark(
        task, methods, out=out, split=split, seed=seed, resamples=resamples, model=model, scoring=scoring
    )


def _platforms_not_trained_on(task: ForecastTask, split: Split) -> list[str]:
    assert task.units is not None
    new: set[str] = set()
    for repeat, fold in split.folds():
        train, test = split.masks(task.visits, repeat, fold)
        new |= {str(unit) for unit in set(task.units[test]) - set(task.units[train])}
    return sorted(new)
