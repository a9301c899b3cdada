"""Survival curves for any method that ranks: Breslow's baseline on training predictions that were held out.

A flexible model separates its own training rows, so a baseline from fitted log hazards is far too low and every curve
too extreme. So log hazards of training rows by models that had not seen them (``Predicted.held_out``) are first
shrunk: their slope in a Cox regression on the training rows, between 0 and 2, multiplies them and the test rows' log
hazards (van Houwelingen, Statistics in Medicine 2000). Slope 0, where the ranking is worthless, gives everybody the
Kaplan-Meier curve. Nothing of the test rows is used but their log hazards.
"""

import numpy as np

from omicsfm.baselines.base import Predicted
from omicsfm.metrics import SurvivalCurves, SurvivalTarget
from omicsfm.metrics.kaplan_meier import breslow_baseline
from omicsfm.metrics.registry import IncidenceCurves
from omicsfm.metrics.survival import hazard_slope
from omicsfm.metrics.targets import CompetingTarget

GRID_POINTS = 10
STEEPEST = 2.0


def stated_grid(target: SurvivalTarget | CompetingTarget) -> np.ndarray:
    """The days at which survival is predicted: ten whole days, evenly spaced from the 10 % to the 90 % quantile of
    the follow-up times.
    """
    low, high = np.quantile(target.time_days, [0.1, 0.9])
    return np.unique(np.round(np.linspace(max(low, 1.0), max(high, 1.0), GRID_POINTS)))


def calibrated_curves(predicted: Predicted, train: SurvivalTarget, times_days: np.ndarray) -> SurvivalCurves | None:
    """Curves for the test rows, or None where the method gave no held-out log hazards."""
    if predicted.held_out is None:
        return None
    return _calibrated(predicted.held_out, np.asarray(predicted.test, dtype=np.float64), train, times_days)


def calibrated_incidence(
    predicted: Predicted, train: CompetingTarget, times_days: np.ndarray
) -> IncidenceCurves | None:
    """Cumulative incidence of every cause for the test rows, from its calibrated cause-specific hazard and the others';
    None where the method gave no held-out log hazards.
    """
    if predicted.held_out is None:
        return None
    days = np.unique(np.concatenate([train.time_days[train.event], times_days]))
    hazards = []  # cumulative, of each cause
    for number in range(len(train.causes)):
        own = train.of_cause(number + 1)
        curves = _calibrated(predicted.held_out[:, number], predicted.test[:, number], own, days)
        if curves is None:  # nobody had this event
            hazards.append(np.zeros((len(predicted.test), len(days))))
        else:
            hazards.append(-np.log(np.maximum(curves.probability, 1e-300)))
    added = np.diff(np.stack(hazards, axis=1), axis=2, prepend=0.0)  # [rows, causes, days]
    together = added.sum(axis=1)
    before = np.exp(-(np.cumsum(together, axis=1) - together))
    share = np.divide(added, together[:, None], out=np.zeros_like(added), where=together[:, None] > 0)
    incidence = np.cumsum(share * (before * -np.expm1(-together))[:, None], axis=2)
    return IncidenceCurves(times_days, incidence[:, :, np.searchsorted(days, times_days)])


def _calibrated(
    held_out: np.ndarray, test: np.ndarray, train: SurvivalTarget, times_days: np.ndarray
) -> SurvivalCurves | None:
    known = np.flatnonzero(np.isfinite(held_out))
    if not len(known) or not train.event[known].any():
        return None
    truth, held_out = train[known], held_out[known]
    centre = held_out.mean()
    slope = float(hazard_slope(truth, held_out))
    slope = 0.0 if np.isnan(slope) else float(np.clip(slope, 0.0, STEEPEST))
    baseline = breslow_baseline(truth, slope * (held_out - centre))
    return baseline.curves(slope * (test - centre), times_days)
