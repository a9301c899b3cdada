"""Are predicted risks by a horizon right, for high and for low ones: ICI; are whole survival curves: D-calibration."""

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from omicsfm.metrics.horizon import Ended
from omicsfm.metrics.registry import SurvivalCurves
from omicsfm.metrics.targets import SurvivalTarget

KNOTS = (0.1, 0.5, 0.9)
"""Quantiles of the predictions where the smooth curve bends (Harrell 2001, three knots)."""
NEWTON_STEPS = 40


def integrated_calibration_index(ended: Ended, risk: Float[np.ndarray, " rows"], horizon_days: float) -> float:
    """Mean distance between predicted and smoothed observed risk; 0 is perfect. NaN without events or contrasts.

    The smooth curve is a Cox regression on restricted cubic splines of log(-log(1 - risk)) (Austin, Harrell and van
    Klaveren, Statistics in Medicine 2020). With competing risks the event times of others are put behind everybody's,
    so that they stay at risk as in a subdistribution (Austin, Putter, Giardiello and van Klaveren, 2022), which is
    exact without other censoring before the horizon.
    """
    smoothed = smoothed_risk(ended, risk, horizon_days)
    return float("nan") if smoothed is None else float(np.abs(smoothed - risk).mean())


def smoothed_risk(
    ended: Ended, risk: Float[np.ndarray, " rows"], horizon_days: float
) -> Float[np.ndarray, " rows"] | None:
    """Observed risk at each predicted one; None where no curve can be fitted."""
    time = np.where(ended.how == 2, np.inf, ended.time_days)
    event = ended.how == 1
    x = np.log(-np.log1p(-np.clip(risk, 1e-8, 1 - 1e-8)))
    design = _splines(x)
    if not (event & (time <= horizon_days)).any() or design.shape[1] == 0:
        return None
    log_hazard = design @ _cox(design, time, event)
    order = np.argsort(time, kind="stable")
    at_risk = np.cumsum(np.exp(log_hazard[order])[::-1])[::-1][np.searchsorted(time[order], time[order], side="left")]
    counted = event[order] & (time[order] <= horizon_days)
    baseline = (1.0 / at_risk[counted]).sum()
    return -np.expm1(-baseline * np.exp(log_hazard))


def d_calibration(target: SurvivalTarget, curves: SurvivalCurves, *, bins: int = 10) -> float:
    """p-value that survival probabilities at the event times are uniform (Haider and others, JMLR 2020).

    Below 0.05 the curves as a whole are not right. A censored row is spread over the bins below its own probability.
    Between the days of the curves' grid survival is interpolated; who was followed beyond the last counts as censored
    there, and bins that nobody can reach by then are one.
    """
    last = curves.times_days[-1]
    time, event = np.minimum(target.time_days, last), target.event & (target.time_days <= last)
    grid, values = np.concatenate([[0.0], curves.times_days]), np.column_stack([np.ones(len(time)), curves.probability])
    survival = np.array([np.interp(t, grid, row) for t, row in zip(time, values, strict=True)])
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(survival * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place[event], minlength=bins).astype(float)
    for own, s in zip(place[~event], survival[~event], strict=True):
        if s <= 0:
            count[0] += 1
            continue
        count[own] += (s - edges[own]) / s
        count[:own] += (1 / bins) / s
    expected = len(time) / bins
    return float(chi2.sf(((count - expected) ** 2 / expected).sum(), bins - 1))


def _splines(x: Float[np.ndarray, " rows"]) -> Float[np.ndarray, "rows terms"]:
    """x and its restricted cubic spline terms, standardised; fewer columns where x has too few values."""
    knots = np.unique(np.quantile(x, KNOTS))
    if x.std() < 1e-9:
        return np.empty((len(x), 0))
    terms = [x]
    if len(knots) >= 3:
        first, before, last = knots[0], knots[-2], knots[-1]
        cube = lambda at: np.clip(x - at, 0, None) ** 3  # noqa: E731
        for knot in knots[:-2]:
            tail = (last - knot) / (last - before) * cube(before) - (before - knot) / (last - before) * cube(last)
            terms.append((cube(knot) - tail) / (last - first) ** 2)
    design = np.column_stack(terms)
    spread = design.std(axis=0)
    return ((design - design.mean(axis=0)) / np.where(spread > 0, spread, 1.0))[:, spread > 1e-9]


def _cox(design: np.ndarray, time: np.ndarray, event: np.ndarray) -> Float[np.ndarray, " terms"]:
    """Coefficients of an almost unpenalised Cox regression, by Newton's method with halved steps."""
    order = np.argsort(time, kind="stable")
    x, event = design[order], event[order]
    first = np.searchsorted(time[order], time[order], side="left")
    ridge = 1e-6 * np.eye(x.shape[1])

    def sums(b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        eta = np.clip(x @ b, -300, 300)
        hazard = np.exp(eta - eta.max())[:, None]
        outer = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        zero, one, two = (
            np.cumsum((hazard * part)[::-1], axis=0)[::-1][first] for part in (np.ones((len(x), 1)), x, outer)
        )
        mean = one / zero
        bend = (two / zero).reshape(-1, x.shape[1], x.shape[1]) - mean[:, :, None] * mean[:, None, :]
        value = (np.log(zero[:, 0]) + eta.max() - eta)[event].sum() + 0.5 * b @ ridge @ b
        return value, (mean - x)[event].sum(axis=0) + ridge @ b, bend[event].sum(axis=0) + ridge

    b = np.zeros(x.shape[1])
    value, gradient, bend = sums(b)
    for _ in range(NEWTON_STEPS):
        step = np.linalg.solve(bend + 1e-9 * np.eye(len(b)), gradient)
        for _ in range(20):
            tried = sums(b - step)
            if tried[0] <= value + 1e-12:
                break
            step = step / 2
        b = b - step
        value, gradient, bend = tried
        if np.abs(step).max() < 1e-8:
            break
    return b
