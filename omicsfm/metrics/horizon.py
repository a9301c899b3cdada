"""Metrics of a predicted risk by a horizon: who had the event by then, who had not, and who was lost before.

A row counts with the inverse of its probability of not being censored by when its state became known (Graf and others,
Statistics in Medicine 1999); that probability is the Kaplan-Meier estimate of the scored rows, drawn anew in each
resample. Who was censored before the horizon counts through the weights of the others. With competing risks the event
is that of one cause; who had another event first is free of it for ever.

Each function takes ``weights`` [rows, resamples] as ``metrics/registry.py`` has it, and gives one number per resample,
NaN where there is no case or nobody else.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.metrics.kaplan_meier import censoring_survival
from omicsfm.metrics.registry import safe_ratio

Risk = Float[np.ndarray, " rows"]
Weights = Float[np.ndarray, "rows resamples"]
PerResample = Float[np.ndarray, " resamples"]

TIED = 1e-12
CASES_AT_ONCE = 512


@dataclass(frozen=True)
class Ended:
    """How each row's follow-up ended: 0 censored, 1 with the event asked for, 2 with another event."""

    time_days: Float[np.ndarray, " rows"]
    how: Int[np.ndarray, " rows"]

    def case(self, horizon_days: float) -> Bool[np.ndarray, " rows"]:
        """Who had the event by the horizon."""
        return (self.how == 1) & (self.time_days <= horizon_days)

    def free(self, horizon_days: float) -> Bool[np.ndarray, " rows"]:
        """Who is known not to have had it by then."""
        return (self.time_days > horizon_days) | ((self.how == 2) & (self.time_days <= horizon_days))

    def inverse_weights(self, horizon_days: float, weights: Weights) -> Weights:
        """How much each row of known state counts, censoring taken into account, times how often it was drawn."""
        until = np.minimum(self.time_days, horizon_days)
        uncensored = censoring_survival(self.time_days, self.how > 0, weights, until)
        known = (self.case(horizon_days) | self.free(horizon_days))[:, None]
        return weights * np.divide(1.0, uncensored, out=np.zeros_like(uncensored), where=known & (uncensored > 0))


def auc(ended: Ended, risk: Risk, horizon_days: float, weights: Weights) -> PerResample:
    """Cumulative/dynamic AUC: the chance that somebody with the event by the horizon has the higher risk than somebody
    without it. Ties count one half. 0 to 1, higher is better, 0.5 is chance.

    Equals scikit-survival's cumulative_dynamic_auc with the scored rows as its training sample; with competing risks
    the definition of Blanche, Dartigues and Jacqmin-Gadda (Statistics in Medicine 2013) in which those with another
    event are controls.
    """
    counted = ended.inverse_weights(horizon_days, weights)
    cases, others = np.flatnonzero(ended.case(horizon_days)), np.flatnonzero(ended.free(horizon_days))
    won = np.zeros(weights.shape[1])
    for start in range(0, len(cases), CASES_AT_ONCE):
        own = cases[start : start + CASES_AT_ONCE]
        ahead = risk[own][:, None] - risk[others]
        share = np.where(np.abs(ahead) <= TIED, 0.5, (ahead > 0).astype(float))
        won += (counted[own] * (share @ counted[others])).sum(axis=0)
    return safe_ratio(won, counted[cases].sum(axis=0) * counted[others].sum(axis=0))


def brier(ended: Ended, risk: Risk, horizon_days: float, weights: Weights) -> PerResample:
    """Mean squared error of the risk at the horizon; 0 is perfect, a constant share p scores p (1 - p).

    Equals scikit-survival's brier_score with the scored rows as its training sample.
    """
    counted = ended.inverse_weights(horizon_days, weights)
    error = np.where(ended.case(horizon_days), 1.0 - risk, risk)[:, None] ** 2
    return safe_ratio((counted * error).sum(axis=0), weights.sum(axis=0))


def concordance(ended: Ended, risk: Risk, horizon_days: float, weights: Weights) -> PerResample:
    """Uno's C until the horizon: of pairs in which one has the event by then and before the other, the share in which
    that one has the higher risk, weighted by 1 / G(time)^2. Ties count one half.

    Equals scikit-survival's concordance_index_ipcw with tau just after the horizon. With competing risks those with
    another event stay in the later half of every pair (Wolbers and others, Biostatistics 2014).
    """
    uncensored = censoring_survival(ended.time_days, ended.how > 0, weights, ended.time_days)
    inverse = np.divide(1.0, uncensored, out=np.zeros_like(uncensored), where=uncensored > 0)
    won, pairs = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    cases = np.flatnonzero(ended.case(horizon_days))
    lost = (weights * inverse)[ended.how == 2]
    for start in range(0, len(cases), CASES_AT_ONCE):
        own = cases[start : start + CASES_AT_ONCE]
        time = ended.time_days[own][:, None]
        later = (ended.time_days > time) | ((ended.time_days == time) & (ended.how == 0))
        ahead = risk[own][:, None] - risk
        share = np.where(np.abs(ahead) <= TIED, 0.5, (ahead > 0).astype(float))
        first = weights[own] * inverse[own]
        won += (first * inverse[own] * ((share * later) @ weights)).sum(axis=0)
        pairs += (first * inverse[own] * (later.astype(float) @ weights)).sum(axis=0)
        before = (~later & (ended.how == 2))[:, ended.how == 2].astype(float)
        won += (first * ((share[:, ended.how == 2] * before) @ lost)).sum(axis=0)
        pairs += (first * (before @ lost)).sum(axis=0)
    return safe_ratio(won, pairs)


def observed_risk(ended: Ended, horizon_days: float, weights: Weights) -> PerResample:
    """Share that had the event by the horizon: 1 - Kaplan-Meier, or Aalen-Johansen's estimate with competing risks."""
    times, place = np.unique(ended.time_days, return_inverse=True)
    leaving, event, other = (np.zeros((len(times), weights.shape[1])) for _ in range(3))
    np.add.at(leaving, place, weights)
    np.add.at(event, place, weights * (ended.how == 1)[:, None])
    np.add.at(other, place, weights * (ended.how == 2)[:, None])
    at_risk = np.cumsum(leaving[::-1], axis=0)[::-1]
    hazard, others = (np.divide(part, at_risk, out=np.zeros_like(part), where=at_risk > 0) for part in (event, other))
    left = np.cumprod(1.0 - hazard - others, axis=0)
    before = np.vstack([np.ones(weights.shape[1]), left[:-1]])
    return (before * hazard)[times <= horizon_days].sum(axis=0)


def observed_to_expected(ended: Ended, risk: Risk, horizon_days: float, weights: Weights) -> PerResample:
    """Observed share over mean predicted risk; 1 is right, above 1 the risk is underestimated."""
    expected = safe_ratio((weights * risk[:, None]).sum(axis=0), weights.sum(axis=0))
    return safe_ratio(observed_risk(ended, horizon_days, weights), expected)
