"""Metrics of predicted cause-specific log hazards [rows, causes], or of cumulative incidences: means over causes."""

import numpy as np
from jaxtyping import Float

from omicsfm.metrics import horizon
from omicsfm.metrics.horizon import Ended
from omicsfm.metrics.kaplan_meier import at_risk_time
from omicsfm.metrics.registry import IncidenceCurves, metric
from omicsfm.metrics.targets import CompetingTarget

Weights = Float[np.ndarray, "rows resamples"]
PerResample = Float[np.ndarray, " resamples"]

LEAST_AT_RISK = 0.1


def ended_by(target: CompetingTarget, number: int) -> Ended:
    """How follow-up ended, seen from one cause (1 for the first)."""
    return Ended(target.time_days, np.where(target.cause == number, 1, np.where(target.cause > 0, 2, 0)))


@metric("competing_risks", best="high")
def cause_c(target: CompetingTarget, log_hazard: Float[np.ndarray, "rows causes"], weights: Weights) -> PerResample:
    """Mean over causes of Wolbers' C: those with another event stay in the later half of every pair.

    Until the last time at which 10 % of the scored rows are still at risk. 0 to 1, higher is better, 0.5 is chance.
    """
    tau = at_risk_time(target.time_days, LEAST_AT_RISK)
    causes = range(len(target.causes))
    return np.mean(
        [horizon.concordance(ended_by(target, k + 1), log_hazard[:, k], tau, weights) for k in causes], axis=0
    )


@metric("competing_risks", best="low", curves=True)
def incidence_brier(target: CompetingTarget, curves: IncidenceCurves, weights: Weights) -> PerResample:
    """Squared error of the cumulative incidence, averaged over the curves' time grid by the trapezium rule and over
    causes; 0 to 1, lower is better. The value depends on the grid, which is part of every result.
    """
    times, found = curves.times_days, []
    for k in range(len(target.causes)):
        ended = ended_by(target, k + 1)
        each = [horizon.brier(ended, curves.probability[:, k, n], day, weights) for n, day in enumerate(times)]
        found.append(each[0] if len(times) == 1 else np.trapezoid(each, times, axis=0) / (times[-1] - times[0]))
    return np.mean(found, axis=0)
