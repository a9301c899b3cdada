"""Every metric by outcome kind and name. A new metric is one function under ``@metric`` in its kind's file.

A metric's function takes the truth, the prediction and ``weights`` [rows, resamples], and returns one number per
resample: whole-number weights are how often a row was drawn, so that a bootstrap is one call and not a thousand. Called
without weights a metric returns one float. It returns NaN where it is not defined (one class only, no event).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from omicsfm.metrics.targets import ClassTarget, Target

Kind = Literal["class", "quantity", "survival", "competing_risks"]
Compute = Callable[..., Float[np.ndarray, " resamples"]]


@dataclass(frozen=True)
class SurvivalCurves:
    """Predicted probability of no event up to each time of a stated grid."""

    times_days: Float[np.ndarray, " times"]
    probability: Float[np.ndarray, "rows times"]


@dataclass(frozen=True)
class IncidenceCurves:
    """Predicted probability of having had the event of each cause, and no other before, by each time of a grid."""

    times_days: Float[np.ndarray, " times"]
    probability: Float[np.ndarray, "rows causes times"]


class Metric:
    """A registered metric; call it as ``metric(target, prediction)`` or with ``weights`` [rows, resamples]."""

    def __init__(
        self,
        compute: Compute,
        kind: Kind,
        best: Literal["high", "low"] | float,
        *,
        two_classes: bool,
        curves: bool,
        late_entry: bool,
    ) -> None:
        update_wrapper(self, compute)
        self.name: str = compute.__name__
        self.compute = compute
        self.kind = kind
        self.best = best
        """Whether a high or a low value is good, or the value that is."""
        self.two_classes = two_classes
        self.needs_curves = curves
        """It scores curves, not log hazards."""
        self.late_entry = late_entry
        """It is defined where participants enter late; a weight for censoring is not."""

    def applies(self, target: Target) -> bool:
        """Whether the metric is defined for this outcome."""
        if target.kind != self.kind:
            return False
        if not self.late_entry and getattr(target, "entry_days", None) is not None:
            return False
        return not (self.two_classes and isinstance(target, ClassTarget) and len(target.classes) != 2)

    def loss(self, value: Any) -> Any:
        """The value turned so that lower is better."""
        if isinstance(self.best, str):
            return -value if self.best == "high" else value
        return abs(value - self.best)

    def __call__(self, target: Target, prediction: Any, weights: np.ndarray | None = None) -> Any:
        if weights is None:
            return float(self.compute(target, prediction, np.ones((len(target), 1)))[0])
        return self.compute(target, prediction, np.asarray(weights, dtype=np.float64))


REGISTRY: dict[str, dict[str, Metric]] = {"class": {}, "quantity": {}, "survival": {}, "competing_risks": {}}


def metric(
    kind: Kind,
    *,
    best: Literal["high", "low"] | float,
    two_classes: bool = False,
    curves: bool = False,
    late_entry: bool = False,
) -> Callable[[Compute], Metric]:
    """Register a metric of an outcome kind; ``best`` says which direction, or which value, is good."""

    def register(compute: Compute) -> Metric:
        registered = Metric(compute, kind, best, two_classes=two_classes, curves=curves, late_entry=late_entry)
        REGISTRY[kind][registered.name] = registered
        return registered

    return register


def safe_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """``numerator / denominator``, NaN where the denominator is zero."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)
