"""Metrics of a predicted log hazard [rows] or of predicted survival curves.

Concordance statistics that bear one name differ between packages by up to 0.04, and an integrated Brier score moves by
a third with its grid; each function here says which ties, truncation time, grid and censoring sample it uses.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from omicsfm.metrics.kaplan_meier import at_risk_time, censoring_survival, not_entered
from omicsfm.metrics.registry import SurvivalCurves, metric, safe_ratio
from omicsfm.metrics.targets import SurvivalTarget

LogHazard = Float[np.ndarray, " rows"]
Weights = Float[np.ndarray, "rows resamples"]
PerResample = Float[np.ndarray, " resamples"]

TIED = 1e-8  # log hazards closer than this are tied, as in scikit-survival
LEAST_AT_RISK = 0.1
EVENTS_AT_ONCE = 256


@metric("survival", best="high", late_entry=True)
def harrell_c(target: SurvivalTarget, log_hazard: LogHazard, weights: Weights) -> PerResample:
    """Harrell's C: of the comparable pairs, the share in which the earlier event has the higher log hazard.

    A pair is comparable if the shorter time ends in an event; of two equal times, if exactly one ends in an event
    (the censored one lived longer). With delayed entry the later one must have entered before the earlier time. Log
    hazards within 1e-8 count one half. 0 to 1, higher is better, 0.5 is chance.
    NaN without a comparable pair. Harrell, Lee and Mark, Statistics in Medicine 1996; equals scikit-survival's
    concordance_index_censored and lifelines' concordance_index.
    """
    return _concordance(target, log_hazard, weights, np.ones_like(weights))


@metric("survival", best="high")
def uno_c(target: SurvivalTarget, log_hazard: LogHazard, weights: Weights) -> PerResample:
    """Uno's C: Harrell's C with each event weighted by 1 / G(time)^2, G the probability of not being censored yet.

    G is the Kaplan-Meier estimate of the scored rows (drawn anew in each resample). Only events before ``tau`` count:
    tau is the last time at which 10 % of the scored rows are still at risk. Ties as in Harrell's C. 0 to 1, higher is
    better. Uno and others, Statistics in Medicine 2011; equals scikit-survival's concordance_index_ipcw at that tau
    with the scored rows as its training sample.
    """
    return _concordance(target, log_hazard, weights, uno_weights(target, weights, tau=default_tau(target)))


def default_tau(target: SurvivalTarget) -> float:
    """The truncation time of Uno's C: the last time at which 10 % of the rows are still at risk."""
    return at_risk_time(target.time_days, LEAST_AT_RISK)


def uno_weights(target: SurvivalTarget, weights: Weights, *, tau: float) -> Weights:
    """Weight of each row's event in Uno's C: 1 / G(time)^2 before ``tau``, else 0."""
    free = censoring_survival(target.time_days, target.event, weights, target.time_days)
    counted = (target.event & (target.time_days < tau))[:, None]
    return np.divide(1.0, free**2, out=np.zeros_like(free), where=counted & (free > 0))


@metric("survival", best="low", curves=True)
def integrated_brier(target: SurvivalTarget, curves: SurvivalCurves, weights: Weights) -> PerResample:
    """Brier(t) averaged over the curves' time grid by the trapezium rule; 0 to 1, lower is better.

    The value depends on the grid, which is part of every result. Graf and others, Statistics in Medicine 1999; equals
    scikit-survival's integrated_brier_score on that grid with the scored rows as its training sample.
    """
    score = brier_at(target, curves, weights)
    times = curves.times_days
    if len(times) == 1:
        return score[0]
    return np.trapezoid(score, times, axis=0) / (times[-1] - times[0])


def brier_at(target: SurvivalTarget, curves: SurvivalCurves, weights: Weights) -> Float[np.ndarray, "times resamples"]:
    """Mean squared error of S(t) at each time, weighted for censoring by the Kaplan-Meier estimate of these rows."""
    total = weights.sum(axis=0)
    free_then = censoring_survival(target.time_days, target.event, weights, target.time_days)
    free_at = censoring_survival(target.time_days, target.event, weights, curves.times_days)
    inverse_then = np.divide(1.0, free_then, out=np.zeros_like(free_then), where=free_then > 0)
    rows = []
    for number, time in enumerate(curves.times_days):
        survival = curves.probability[:, number][:, None]
        died = (target.event & (target.time_days <= time))[:, None]
        alive = (target.time_days > time)[:, None]
        inverse_now = np.divide(1.0, free_at[number], out=np.zeros_like(total), where=free_at[number] > 0)
        squared = died * survival**2 * inverse_then + alive * (1.0 - survival) ** 2 * inverse_now
        rows.append(safe_ratio((weights * squared).sum(axis=0), total))
    return np.stack(rows)


@metric("survival", best=1.0, late_entry=True)
def hazard_slope(target: SurvivalTarget, log_hazard: LogHazard, weights: Weights) -> PerResample:
    """Calibration slope: the coefficient of the predicted log hazard in a Cox regression on the scored rows.

    1 is best; below 1 the predictions are too extreme. Breslow ties. NaN without an event or with one prediction for
    all; clipped to +-20, beyond which the order of the events is perfect and no finite slope exists.
    """
    order = np.argsort(target.time_days, kind="stable")
    target, weights = target[order], weights[order]
    time, event = target.time_days, target.event
    first = np.searchsorted(time, time, side="left")
    x = (log_hazard - log_hazard.mean())[order][:, None]
    spread = np.abs(x).max()
    counted = weights * event[:, None]
    if spread < TIED:
        return np.full(weights.shape[1], np.nan)
    x = x / spread
    slope = np.zeros(weights.shape[1])
    for _ in range(60):
        hazard = weights * np.exp(slope * x - np.abs(slope))
        at_risk, mean, square = (_of_those_at_risk(target, hazard * x**p)[first] for p in (0, 1, 2))
        at_risk = np.where(counted > 0, np.maximum(at_risk, 1e-300), 1.0)
        mean, square = mean / at_risk, square / at_risk
        gradient = (counted * (x - mean)).sum(axis=0)
        bend = (counted * np.maximum(square - mean**2, 0.0)).sum(axis=0)
        step = np.clip(gradient / np.maximum(bend, 1e-9), -1.0, 1.0)
        slope = np.clip(slope + step, -20.0 * spread, 20.0 * spread)
        if np.abs(step).max() < 1e-9:
            break
    return np.where(counted.sum(axis=0) > 0, slope / spread, np.nan)


def _concordance(
    target: SurvivalTarget, log_hazard: LogHazard, weights: Weights, event_weights: Weights
) -> PerResample:
    won, pairs = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    for events in _event_blocks(target):
        time = target.time_days[events][:, None]
        later = (target.time_days > time) | ((target.time_days == time) & ~target.event)
        if target.entry_days is not None:
            later &= (target.entry_days < time) | (target.entry_days == 0)
        ahead = log_hazard[events][:, None] - log_hazard
        share = np.where(np.abs(ahead) <= TIED, 0.5, (ahead > 0).astype(float)) * later
        own = weights[events] * event_weights[events]
        won += (own * (share @ weights)).sum(axis=0)
        pairs += (own * (later.astype(float) @ weights)).sum(axis=0)
    return safe_ratio(won, pairs)


def _of_those_at_risk(target: SurvivalTarget, values: Weights) -> Weights:
    """Sums of a row's and all later rows' values, of those who have entered; rows in the order of time."""
    return np.cumsum(values[::-1], axis=0)[::-1] - not_entered(target, target.time_days, values)


def _event_blocks(target: SurvivalTarget) -> Iterator[Int[np.ndarray, " events"]]:
    events = np.flatnonzero(target.event)
    for start in range(0, len(events), EVENTS_AT_ONCE):
        yield events[start : start + EVENTS_AT_ONCE]
