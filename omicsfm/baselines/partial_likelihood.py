"""Cox's partial likelihood as a loss of a linear predictor, with strata, delayed entry and several causes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget

Eta = Float[np.ndarray, "rows problems outputs"]
Weights = Float[np.ndarray, "rows problems"]
PerProblem = Float[np.ndarray, " problems"]

WIDEST_EXPONENT = 600.0  # exp of more than about 700 overflows a double


@dataclass(frozen=True)
class CoxPartialLikelihood:
    """Negative log partial likelihood with Breslow's treatment of tied times; rows sorted by stratum, then time.

    A risk set holds everybody of the stratum whose time is not below the event's (Breslow, Biometrics 1974) and who
    entered before it.
    """

    event: Bool[np.ndarray, " rows"]
    first_tied: Int[np.ndarray, " rows"]
    """For each row the first row of its stratum with the same time."""
    last_tied: Int[np.ndarray, " rows"]
    first_after_entry: Int[np.ndarray, " rows"]
    """For each row the first row of its stratum with a time after the row's entry; the first of all without entry."""
    stratum_end: Int[np.ndarray, " rows"]
    """For each row the row behind the last of its stratum."""
    by_entry: Int[np.ndarray, " rows"] | None = None
    """The rows in the order of stratum and entry; None where nobody enters late."""
    entered_until: Int[np.ndarray, " rows"] | None = None
    """For each row the place in ``by_entry`` of the first of its stratum that has not entered by the row's time."""
    outputs: int = 1
    has_intercept: bool = False

    def value(self, eta: Eta, weights: Weights) -> PerProblem:
        """Sum over events of log(sum of the risk set's hazards) minus the own log hazard."""
        log_hazard = eta[..., 0]
        counted = weights * self.event[:, None]
        top, at_risk = self._at_risk(log_hazard, weights)
        return (counted * (np.log(at_risk) + top - log_hazard)).sum(axis=0)

    def gradient(self, eta: Eta, weights: Weights) -> Eta:
        """Expected minus observed events of each row (the negative martingale residual)."""
        log_hazard = eta[..., 0]
        counted = weights * self.event[:, None]
        top, at_risk = self._at_risk(log_hazard, weights)
        before = _running(counted / at_risk)
        baseline = before[self.last_tied + 1] - before[self.first_after_entry]
        return (weights * np.exp(_narrow(log_hazard - top)) * baseline - counted)[..., None]

    def curvature(self, eta: Eta, direction: Eta, weights: Weights) -> PerProblem:
        """Sum over events of the direction's variance in the risk set."""
        log_hazard, along = eta[..., 0], direction[..., 0]
        counted = weights * self.event[:, None]
        top, at_risk = self._at_risk(log_hazard, weights)
        hazard = weights * np.exp(_narrow(log_hazard - top))
        mean = self._later(hazard * along) / at_risk
        square = self._later(hazard * along**2) / at_risk
        return (counted * np.maximum(square - mean**2, 0.0)).sum(axis=0)

    def typical_curvature(self, weights: Weights) -> Float[np.ndarray, "problems outputs"]:
        """Events per row: each event contributes about one variance."""
        return np.maximum((weights * self.event[:, None]).mean(axis=0), 1e-3)[:, None]

    def _later(self, values: Float[np.ndarray, "rows problems"]) -> Float[np.ndarray, "rows problems"]:
        """For each row the sum over those at risk at its time."""
        after = _running(values[::-1])[::-1]
        total = after[self.first_tied] - after[self.stratum_end]
        if self.by_entry is None:
            return total
        to_come = _running(values[self.by_entry][::-1])[::-1]
        return total - (to_come[self.entered_until] - to_come[self.stratum_end])

    def _at_risk(
        self, log_hazard: Float[np.ndarray, "rows problems"], weights: Weights
    ) -> tuple[Float[np.ndarray, "1 problems"], Float[np.ndarray, "rows problems"]]:
        top = np.where(weights > 0, log_hazard, -np.inf).max(axis=0, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        own = weights * np.exp(_narrow(log_hazard - top))
        counted = (weights > 0) & self.event[
            :, None
        ]  # elsewhere nobody may be left, and a rounding error is no divisor
        total = np.maximum(np.maximum(self._later(own), own), np.finfo(float).tiny)
        return top, np.where(counted, total, 1.0)


def _running(values: Float[np.ndarray, "rows problems"]) -> Float[np.ndarray, "rows_and_one problems"]:
    """Sums of the rows before each row, and of all."""
    sums = np.empty((len(values) + 1, values.shape[1]))
    sums[0] = 0.0
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _narrow(exponent: np.ndarray) -> np.ndarray:
    return np.clip(exponent, -WIDEST_EXPONENT, WIDEST_EXPONENT)


def cox_loss(
    target: SurvivalTarget, strata: Int[np.ndarray, " rows"] | None = None
) -> tuple[CoxPartialLikelihood, Int[np.ndarray, " rows"]]:
    """The Cox loss of these follow-ups, and their order by stratum and time; without ``strata`` there is one."""
    strata = np.zeros(len(target), dtype=int) if strata is None else strata
    order = np.lexsort((target.time_days, strata))
    stratum, time, event = strata[order], target.time_days[order], target.event[order]
    begin, end = np.searchsorted(stratum, stratum, side="left"), np.searchsorted(stratum, stratum, side="right")
    _, tie = np.unique(np.column_stack([stratum, time]), axis=0, return_inverse=True)
    first, last = np.searchsorted(tie, tie, side="left"), np.searchsorted(tie, tie, side="right") - 1
    if target.entry_days is None:
        return CoxPartialLikelihood(event, first, last, begin, end), order
    entry = np.where(target.entry_days == 0, -np.inf, target.entry_days)[order]  # day 0 is before everything
    by_entry = np.lexsort((entry, stratum))
    return (
        CoxPartialLikelihood(
            event,
            first,
            last,
            _place(stratum, time, entry, side="right"),
            end,
            by_entry,
            _place(stratum, entry[by_entry], time, side="left"),
        ),
        order,
    )


@dataclass(frozen=True)
class CauseSpecific:
    """A Cox loss for each of several causes, added up: the events of other causes end follow-up."""

    causes: tuple[CoxPartialLikelihood, ...]
    has_intercept: bool = False

    @property
    def outputs(self) -> int:
        """One linear predictor a cause."""
        return len(self.causes)

    def value(self, eta: Eta, weights: Weights) -> PerProblem:
        """Sum of the causes' losses."""
        values = [one.value(own, weights) for one, own in zip(self.causes, self._parts(eta), strict=True)]
        return np.sum(values, axis=0)

    def gradient(self, eta: Eta, weights: Weights) -> Eta:
        """Each cause's by its own linear predictor."""
        parts = [one.gradient(own, weights) for one, own in zip(self.causes, self._parts(eta), strict=True)]
        return np.concatenate(parts, axis=2)

    def curvature(self, eta: Eta, direction: Eta, weights: Weights) -> PerProblem:
        """Sum of the causes' variances of the direction."""
        pairs = zip(self.causes, self._parts(eta), self._parts(direction), strict=True)
        return np.sum([one.curvature(own, along, weights) for one, own, along in pairs], axis=0)

    def typical_curvature(self, weights: Weights) -> Float[np.ndarray, "problems outputs"]:
        """Events of each cause per row."""
        return np.concatenate([one.typical_curvature(weights) for one in self.causes], axis=1)

    def _parts(self, eta: Eta) -> list[Float[np.ndarray, "rows problems 1"]]:
        return np.split(eta, self.outputs, axis=2)


def cause_specific_loss(
    target: CompetingTarget, strata: Int[np.ndarray, " rows"] | None = None
) -> tuple[CauseSpecific, Int[np.ndarray, " rows"]]:
    """The losses of all causes, and the order of rows by stratum and time that they share."""
    losses = [cox_loss(target.of_cause(k + 1), strata) for k in range(len(target.causes))]
    return CauseSpecific(tuple(loss for loss, _ in losses)), losses[0][1]


def _place(
    stratum: Int[np.ndarray, " rows"],
    ordered: Float[np.ndarray, " rows"],
    values: Float[np.ndarray, " rows"],
    *,
    side: Literal["left", "right"],
) -> Int[np.ndarray, " rows"]:
    """Where each value belongs among those of its stratum; ``ordered`` is sorted within strata."""
    places = np.empty(len(values), dtype=np.int64)
    for name in np.unique(stratum):
        begin, end = np.searchsorted(stratum, name, side="left"), np.searchsorted(stratum, name, side="right")
        places[begin:end] = begin + np.searchsorted(ordered[begin:end], values[begin:end], side=side)
    return places
