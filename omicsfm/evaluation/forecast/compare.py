"""Forecasts of a quantity on identical folds, by omicsfm and by what it must beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omicsfm.data.splits import Split
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.benchmark import run_benchmark
from omicsfm.evaluation.forecast.baselines import LastAndOmics, LastObservation, LinearLast
from omicsfm.evaluation.forecast.mixed_model import MixedModel
from omicsfm.evaluation.forecast.stack import LAST_VISIT, forecast_stacks
from omicsfm.evaluation.forecast.task import ForecastTask
from omicsfm.evaluation.methods import Method, baseline_methods
from omicsfm.evaluation.pretrained import NAME

_OWN = {method.name: method for method in (LastObservation(), LinearLast(), LastAndOmics(), MixedModel())}
OMICS = "linear"
HEADLINE = "rmse"
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
    """Cross-validate and score; returns the content of OUT/metrics.json."""
    model = NAME if any(method.name == NAME for method in methods) else None
    return run_benchmark(
        task, methods, out=out, split=split, seed=seed, resamples=resamples, model=model, headline=HEADLINE
    )
