"""Product-limit survival, and survival curves from log hazards (Breslow)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from omicsfm.metrics.registry import SurvivalCurves
from omicsfm.metrics.targets import SurvivalTarget

Weights = Float[np.ndarray, "rows resamples"]


@dataclass(frozen=True)
class KaplanMeier:
    """S(t) just after each distinct time; ``at_risk`` counts those whose time is not below it."""

    time_days: Float[np.ndarray, " times"]
    survival: Float[np.ndarray, " times"]
    at_risk: Float[np.ndarray, " times"]
    events: Float[np.ndarray, " times"]


def kaplan_meier(target: SurvivalTarget) -> KaplanMeier:
    """The Kaplan-Meier estimate; where an event and a censoring share a time, the event comes first. Who entered late
    counts from then on.
    """
    times, place = np.unique(target.time_days, return_inverse=True)
    leaving = np.bincount(place, minlength=len(times)).astype(float)
    events = np.bincount(place, weights=target.event.astype(float), minlength=len(times))
    at_risk = np.cumsum(leaving[::-1])[::-1] - not_entered(target, times, np.ones(len(target)))
    share = np.divide(events, at_risk, out=np.zeros_like(events), where=at_risk > 0)
    return KaplanMeier(times, np.cumprod(1.0 - share), at_risk, events)


def not_entered(
    target: SurvivalTarget, times: Float[np.ndarray, " times"], values: Float[np.ndarray, "rows ..."]
) -> Float[np.ndarray, "times ..."]:
    """Sum of the rows' values over those who have not entered before each time; an entry on day 0 is before all."""
    if target.entry_days is None:
        return np.zeros((len(times), *values.shape[1:]))
    entry = np.where(target.entry_days == 0, -np.inf, target.entry_days)
    order = np.argsort(entry, kind="stable")
    to_come = np.concatenate([np.cumsum(values[order][::-1], axis=0)[::-1], np.zeros((1, *values.shape[1:]))])
    return to_come[np.searchsorted(entry[order], times, side="left")]


def censoring_survival(
    time_days: Float[np.ndarray, " rows"],
    event: Bool[np.ndarray, " rows"],
    weights: Weights,
    at: Float[np.ndarray, " times"],
) -> Float[np.ndarray, "times resamples"]:
    """G(t): the probability of not having been censored by each time of ``at``, per resample.

    The product-limit estimate with censoring as the event. At a shared time events come before censorings, so that
    those who had the event are no longer at risk of being censored. Constant after the last time.
    """
    times, place = np.unique(time_days, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(times)))
    died = np.add.reduceat((weights * event[:, None])[order], starts, axis=0)
    leaving = np.add.reduceat(weights[order], starts, axis=0)
    at_risk = np.cumsum(leaving[::-1], axis=0)[::-1] - died
    share = np.divide(leaving - died, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
    free = np.vstack([np.ones(weights.shape[1]), np.cumprod(1.0 - share, axis=0)])
    return free[np.searchsorted(times, at, side="right")]


def at_risk_time(time_days: Float[np.ndarray, " rows"], share: float) -> float:
    """The last observed time at which at least this share of the rows is still at risk."""
    ordered = np.sort(time_days)
    return float(ordered[min(int(np.floor((1.0 - share) * len(ordered))), len(ordered) - 1)])


@dataclass(frozen=True)
class BreslowBaseline:
    """Cumulative baseline hazard at the training events, for log hazards of one model."""

    time_days: Float[np.ndarray, " events"]
    cumulative_hazard: Float[np.ndarray, " events"]

    def curves(self, log_hazard: Float[np.ndarray, " rows"], times_days: Float[np.ndarray, " times"]) -> SurvivalCurves:
        """S(t) = exp(-H0(t) exp(log hazard)); flat after the last training event."""
        steps = np.concatenate([[0.0], self.cumulative_hazard])
        baseline = steps[np.searchsorted(self.time_days, times_days, side="right")]
        hazard = np.exp(np.clip(log_hazard, -500.0, 500.0))
        return SurvivalCurves(times_days, np.exp(-np.minimum(np.outer(hazard, baseline), 700.0)))


def breslow_baseline(target: SurvivalTarget, log_hazard: Float[np.ndarray, " rows"]) -> BreslowBaseline:
    """Breslow's estimate (Biometrics 1974): at each event time, events over the summed hazards of those at risk.

    ``log_hazard`` should be predictions for rows the model was not fitted on: a flexible model separates its own
    training rows, which makes the baseline far too low and every curve too extreme.
    """
    shift = float(log_hazard.max())
    times, place = np.unique(target.time_days, return_inverse=True)
    events = np.bincount(place, weights=target.event.astype(float), minlength=len(times))
    scaled = np.exp(np.clip(log_hazard - shift, -600.0, 0.0))
    hazard = np.bincount(place, weights=scaled, minlength=len(times))
    at_risk = np.cumsum(hazard[::-1])[::-1] - not_entered(target, times, scaled)
    happened = events > 0
    increments = events[happened] / at_risk[happened] * np.exp(-shift)
    return BreslowBaseline(times[happened], np.cumsum(increments))
