"""Metrics of predictions. ``metrics_for(target)`` gives those of an outcome by name; the first is the headline."""

from omicsfm.metrics import calibration, classification, competing, regression, survival  # noqa: F401  importing registers them
from omicsfm.metrics.registry import REGISTRY, Metric, SurvivalCurves
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, SurvivalTarget, Target

__all__ = [
    "HEADLINE",
    "REGISTRY",
    "ClassTarget",
    "CompetingTarget",
    "Metric",
    "QuantityTarget",
    "SurvivalCurves",
    "SurvivalTarget",
    "Target",
    "metrics_for",
]

HEADLINE = {"class": "auroc", "quantity": "pearson", "survival": "harrell_c", "competing_risks": "cause_c"}
"""The metric that a result is summarised by."""


def metrics_for(target: Target) -> dict[str, Metric]:
    """Every metric that is defined for this outcome, the headline first."""
    known = {name: one for name, one in REGISTRY[target.kind].items() if one.applies(target)}
    headline = HEADLINE[target.kind]
    return {headline: known[headline], **known}
