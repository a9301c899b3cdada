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
from omicsfm.metrics.survival import hazard_slope

GRID_POINTS = 10
STEEPEST = 2.0


def stated_grid(target: SurvivalTarget) -> np.ndarray:
    """The days at which survival is predicted: ten whole days, evenly spaced from the 10 % to the 90 % quantile of
    the follow-up times.
    """
    low, high = np.quantile(target.time_days, [0.1, 0.9])
    return np.unique(np.round(np.linspace(max(low, 1.0), max(high, 1.0), GRID_POINTS)))


def calibrated_curves(predicted: Predicted, train: SurvivalTarget, times_days: np.ndarray) -> SurvivalCurves | None:
    """Curves for the test rows, or None where the method gave no held-out log hazards."""
    if predicted.held_out is None:
        return None
    known = np.flatnonzero(np.isfinite(predicted.held_out))
    if not len(known) or not train.event[known].any():
        return None
    truth, held_out = train[known], predicted.held_out[known]
    centre = held_out.mean()
    slope = float(hazard_slope(truth, held_out))
    slope = 0.0 if np.isnan(slope) else float(np.clip(slope, 0.0, STEEPEST))
    baseline = breslow_baseline(truth, slope * (held_out - centre))
    return baseline.curves(slope * (np.asarray(predicted.test, dtype=np.float64) - centre), times_days)
