"""What a report is made of: scores, differences and predictions of every method, for one outcome of one cohort."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import pandas as pd

from omicsfm.metrics import REGISTRY
from omicsfm.report.style import BLUE, MUTED, ORANGE, SERIES


@dataclass(frozen=True)
class Metric:
    """How a metric is called, which way it runs, and what it means in plain words."""

    name: str
    label: str
    best: Literal["high", "low"] | float = "high"
    """Whether a high or a low value is good, or the value that is."""
    meaning: str = ""


WORDS = {
    "auroc": ("AUROC", "chance that someone with the outcome is ranked above someone without; 0.5 is guessing"),
    "auprc": ("AUPRC", "precision averaged over the people found; guessing gives the share who have the outcome"),
    "balanced_accuracy": ("Balanced accuracy", "share called right, averaged over the classes"),
    "log_loss": ("Log loss", "penalty for confident wrong probabilities; 0 is perfect"),
    "brier": ("Brier score", "mean squared error of the probabilities; 0 is perfect"),
    "calibration_slope": ("Calibration slope", "1 is right; under 1 the risks are too extreme, over 1 too timid"),
    "calibration_intercept": ("Calibration intercept", "0 is right; under 0 the risks are too high"),
    "pearson": ("Pearson r", "linear agreement with the observed value; 1 is perfect"),
    "spearman": ("Spearman ρ", "agreement in rank; 1 is perfect"),
    "r2": ("R²", "share of the variance explained; 0 is no better than the mean"),
    "rmse": ("RMSE", "typical error, in the outcome's unit"),
    "harrell_c": ("Harrell's C", "share of comparable pairs whose order of events is foretold; 0.5 is guessing"),
    "uno_c": ("Uno's C", "the same, weighted for censoring"),
    "integrated_brier": ("Integrated Brier", "mean squared error of the survival curves over time; 0 is perfect"),
    "cause_c": ("C, mean over causes", "as Harrell's C; those with another event count as free of this one"),
    "incidence_brier": ("Integrated Brier", "mean squared error of the cumulative incidences; 0 is perfect"),
    "hazard_slope": ("Hazard slope", "1 is right; under 1 the risks are too extreme, over 1 too timid"),
}


def metric_of(name: str, kind: str) -> Metric:
    """The metric of that name; one without words keeps its name."""
    label, meaning = WORDS.get(name, (name.replace("_", " "), ""))
    known = REGISTRY.get(kind, {}).get(name)
    return Metric(name, label, known.best if known is not None else "high", meaning)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval, where one was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """A method minus the reference, on the same people."""

    method: str
    reference: str
    estimate: Estimate

    def verdict(self, metric: Metric) -> Literal["better", "ties", "worse", "untested"]:
        """Ties where the interval includes 0; untested where there is no interval."""
        low, high = self.estimate.low, self.estimate.high
        if low is None or high is None:
            return "untested"
        if low <= 0 <= high:
            return "ties"
        return "better" if (low > 0) == (metric.best == "high") else "worse"

    def seen_from(self, method: str) -> "Difference":
        """The same comparison with ``method`` first."""
        if method == self.method:
            return self
        low, high = (None if end is None else -end for end in (self.estimate.high, self.estimate.low))
        return Difference(self.reference, self.method, Estimate(-self.estimate.value, low, high))


@dataclass(frozen=True)
class Subgroup:
    """A metric of one method among some of the participants."""

    variable: str
    level: str
    participants: int | None
    """None where the number may not be told; 0 where the group is too small for any."""
    method: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True)
class Reading:
    """What a checkpoint could read of one modality of the cohort."""

    modality: str
    known: int
    """Features the checkpoint knows."""
    matched: int
    """Those of them that the cohort has."""
    unknown: int
    """Features of the cohort that it does not know."""
    measured_share: float | None
    """Mean share of the known features with a value at the tested visits."""


@dataclass(frozen=True)
class Results:
    """Scores and predictions of every method for one outcome of one cohort."""

    cohort: str
    outcome: str
    kind: Literal["class", "quantity", "survival", "competing_risks"]
    classes: tuple[str, ...]
    primary: Metric
    scores: Mapping[str, Mapping[str, Estimate]]
    seconds: Mapping[str, float | None]
    differences: tuple[Difference, ...]
    """In the primary metric."""
    predictions: pd.DataFrame
    gains: tuple[Difference, ...] = ()
    """Of the model over each other method, in the primary metric; positive is better."""
    subgroups: tuple[Subgroup, ...] = ()
    model: str | None = None
    """The method that is the pretrained model, where it took part."""
    reference: str | None = None
    """The best linear method, which the others are compared with."""
    strata_won: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Where methods are fitted within strata: in how many each is better than the reference, tied, or worse."""
    gate: str = ""
    """Whether the model may take the place of the best baseline, in a sentence."""
    within: str | None = None
    """The column of the strata."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    """What the scores must not be read without."""
    tested: str = ""
    """An evaluation: whom it tested."""
    excluded: int = 0
    """An evaluation: participants left out because the model saw them in training."""
    guessing: Mapping[str, float] = field(default_factory=dict)
    """An evaluation: what the same answer for everybody would score."""
    readings: tuple[Reading, ...] = ()

    def of(self, method: str) -> pd.DataFrame:
        """Predictions of one method."""
        return self.predictions[self.predictions["method"] == method]

    def value(self, method: str, metric: str) -> float | None:
        """One score, None where it was not computed."""
        estimate = self.scores[method].get(metric)
        return estimate.value if estimate else None

    @cached_property
    def ranked(self) -> list[str]:
        """Methods, the best in the primary metric first; those without it last."""
        sign = -1 if self.primary.best == "high" else 1

        def key(method: str) -> float:
            value = self.value(method, self.primary.name)
            return float("inf") if value is None or value != value else sign * value

        return sorted(self.scores, key=key)

    @property
    def focus(self) -> str:
        """The method whose predictions are looked at closely: the model, or else the best."""
        return self.model if self.model is not None else self.ranked[0]

    @property
    def contrast(self) -> list[str]:
        """The method in focus and the best of the others."""
        return [self.focus, *[method for method in self.ranked if method != self.focus][:1]]

    def colour(self, method: str) -> str:
        """One colour per method through the whole report: blue for the one in focus, orange for the best other."""
        if method in self.contrast:
            return (BLUE, ORANGE)[self.contrast.index(method)]
        place = [m for m in self.ranked if m not in self.contrast].index(method) + 2
        return SERIES[place] if place < len(SERIES) else MUTED
