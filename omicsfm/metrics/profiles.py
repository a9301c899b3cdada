"""Metrics of a predicted profile: one value for each feature, over the people in whom it was measured."""

import numpy as np
from jaxtyping import Float

from omicsfm.metrics.regression import rmse, spearman
from omicsfm.metrics.targets import QuantityTarget

FEWEST_ROWS = 5
"""Of a feature that fewer people have a value of nothing is said."""

Profile = Float[np.ndarray, "rows features"]
PerFeature = Float[np.ndarray, "features resamples"]


def spearman_by_feature(truth: Profile, predicted: Profile, weights: Float[np.ndarray, "rows resamples"]) -> PerFeature:
    """Spearman's correlation of each feature; a prediction that is the same for everybody ranks nobody and scores 0.

    NaN where fewer than ``FEWEST_ROWS`` rows have a value, or all of them the same one. ``truth`` is NaN where not
    measured. ``weights`` are how often a row was drawn, as in every metric.
    """
    scored = _by_feature(spearman, truth, predicted, weights)
    same = np.ptp(np.where(np.isnan(truth), -np.inf, truth), axis=0) == 0
    scored[same] = np.nan
    tied = ~np.isfinite(scored) & (_counted(truth) & ~same)[:, None]
    return np.where(tied, 0.0, scored)


def rmse_by_feature(truth: Profile, predicted: Profile, weights: Float[np.ndarray, "rows resamples"]) -> PerFeature:
    """Root mean squared error of each feature, in the unit of the values; NaN as above."""
    return _by_feature(rmse, truth, predicted, weights)


def _by_feature(one, truth: Profile, predicted: Profile, weights: np.ndarray) -> PerFeature:  # type: ignore[no-untyped-def]
    scored = np.full((truth.shape[1], weights.shape[1]), np.nan)
    for feature in np.flatnonzero(_counted(truth)):
        known = np.flatnonzero(~np.isnan(truth[:, feature]))
        target = QuantityTarget(truth[known, feature])
        scored[feature] = one(target, predicted[known, feature], weights[known])
    return scored


def _counted(truth: Profile) -> np.ndarray:
    return (~np.isnan(truth)).sum(axis=0) >= FEWEST_ROWS
