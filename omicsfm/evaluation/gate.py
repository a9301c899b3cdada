"""The gate: may a model take the place of the best baseline?

First it must not be worse: the lower end of the paired difference over the outer folds above minus ``MARGIN``, and its
risks calibrated. Only then, and only where the lower end is above 0, is it called better. Anything else keeps the
baseline. The best baseline is the best on the very folds of the comparison, which favours it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from omicsfm.metrics import HEADLINE, REGISTRY

MARGIN = 0.005
"""Of AUROC, C or correlation: what a model may lose and still count as not worse."""
SLOPES = (0.8, 1.25)
"""Calibration slopes (of log odds or log hazards) of a model that needs no recalibration."""
SLOPE_OF = {"class": "calibration_slope", "survival": "hazard_slope"}

WITHOUT_ENCODER = "without_encoder"
HELD = ("linear", "late_fusion")
"""Baselines that are a head of a checkpoint too, made by the adaptation of the same name."""

Verdict = Literal["won", "tied", "lost"]


@dataclass(frozen=True)
class Decision:
    """What the gate said of a model, for metrics.json and the report."""

    model: str
    baseline: str
    metric: str
    value: float | None
    """Gain of the model over the baseline: positive is good, whichever way the metric runs."""
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, from the resamples of participants."""
    slope: float | None
    verdict: Verdict
    promoted: bool
    reason: str
    kept: str | None
    """The adaptation that makes the predictor to be used instead, the best of those that a checkpoint can hold; None
    where the model is promoted."""


def decide(scored: Mapping[str, Any], *, kind: str, model: str) -> Decision | None:
    """The gate's decision on ``score_predictions``' result. None where there is no baseline to compare with, or where
    methods are judged by an error in the outcome's unit, of which ``MARGIN`` says nothing.
    """
    if scored["primary"] not in HEADLINE.values():
        return None
    metric = REGISTRY[kind][scored["primary"]]
    values = {name: entry["metrics"][metric.name]["value"] for name, entry in scored["methods"].items()}
    against = {entry["other"]: entry for entry in scored["gains"] if entry["model"] == model}
    rivals = [name for name, value in values.items() if name in against and value is not None]
    if not rivals or values.get(model) is None:
        return None
    best = min(rivals, key=lambda name: metric.loss(values[name]))
    gain = against[best]
    slope = scored["methods"][model]["metrics"].get(SLOPE_OF.get(kind, ""), {}).get("value")
    promoted, reason = _judged(gain["low"], slope)
    held = {**{name: name for name in HELD}, f"{model}[{WITHOUT_ENCODER}]": WITHOUT_ENCODER}
    kept = min((name for name in rivals if name in held), key=lambda name: metric.loss(values[name]), default=None)
    return Decision(
        model=model,
        baseline=best,
        metric=metric.name,
        value=gain["value"],
        low=gain["low"],
        high=gain["high"],
        p=gain["p"],
        slope=slope,
        verdict=verdict_of(gain["low"], gain["high"]),
        promoted=promoted,
        reason=reason,
        kept=None if promoted else WITHOUT_ENCODER if kept is None else held[kept],
    )


def verdict_of(low: float | None, high: float | None) -> Verdict:
    """Won or lost where the interval of the gain excludes 0, else a tie."""
    if low is not None and low > 0:
        return "won"
    return "lost" if high is not None and high < 0 else "tied"


def holm(p_values: Sequence[float]) -> Float[np.ndarray, " tests"]:
    """P values adjusted for their number (Holm, Scandinavian Journal of Statistics 1979)."""
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given)
    stepped = np.maximum.accumulate(given[order] * (len(given) - np.arange(len(given))))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def record_of(decision: Decision) -> dict[str, Any]:
    """The decision for metrics.json, and in a sentence."""
    if decision.promoted:
        said = f"{decision.model} may take the place of {decision.baseline}, the best of the others: {decision.reason}."
    else:
        said = f"keep {decision.baseline}; {decision.model} is not promoted: {decision.reason}."
        if decision.baseline not in (decision.kept, f"{decision.model}[{decision.kept}]"):
            said += f" A checkpoint keeps '{decision.kept}', the best that it can hold."
    return {**asdict(decision), "said": f"The gate: {said}"}


def _judged(low: float | None, slope: float | None) -> tuple[bool, str]:
    if low is None:
        return False, "the gain has no interval"
    if low <= -MARGIN:
        return False, f"it may be worse by {-low:.3f}, more than {MARGIN}"
    if slope is not None and not SLOPES[0] <= slope <= SLOPES[1]:
        return False, f"its calibration slope {slope:.2f} is outside {SLOPES[0]} to {SLOPES[1]}"
    return True, "better" if low > 0 else f"not worse by more than {MARGIN}"
