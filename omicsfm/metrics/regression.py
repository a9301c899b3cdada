"""Metrics of a predicted quantity [rows]."""

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from omicsfm.metrics.registry import metric, safe_ratio
from omicsfm.metrics.targets import QuantityTarget

Prediction = Float[np.ndarray, " rows"]
Weights = Float[np.ndarray, "rows resamples"]
PerResample = Float[np.ndarray, " resamples"]


@metric("quantity", best="high")
def pearson(target: QuantityTarget, prediction: Prediction, weights: Weights) -> PerResample:
    """Pearson's correlation of truth and prediction: -1 to 1, higher is better, 0 is chance. NaN if either is constant.

    Blind to a wrong scale or offset; r2 and rmse are not.
    """
    return _correlation(target.value[:, None], prediction[:, None], weights)


@metric("quantity", best="high")
def spearman(target: QuantityTarget, prediction: Prediction, weights: Weights) -> PerResample:
    """Pearson's correlation of the ranks; tied values share their mean rank. -1 to 1, higher is better."""
    return _correlation(_mid_ranks(target.value, weights), _mid_ranks(prediction, weights), weights)


@metric("quantity", best="high")
def r2(target: QuantityTarget, prediction: Prediction, weights: Weights) -> PerResample:
    """1 minus squared error over squared deviation from the mean of the scored rows.

    1 is best, 0 is as good as that mean, negative is worse. Higher is better.
    """
    total = weights.sum(axis=0)
    mean = safe_ratio(target.value @ weights, total)
    deviation = (weights * (target.value[:, None] - mean) ** 2).sum(axis=0)
    return 1.0 - safe_ratio((target.value - prediction) ** 2 @ weights, deviation)


@metric("quantity", best="low")
def rmse(target: QuantityTarget, prediction: Prediction, weights: Weights) -> PerResample:
    """Root mean squared error in the outcome's unit; 0 upwards, lower is better."""
    return np.sqrt(safe_ratio((target.value - prediction) ** 2 @ weights, weights.sum(axis=0)))


def _correlation(left: np.ndarray, right: np.ndarray, weights: Weights) -> PerResample:
    total = weights.sum(axis=0)
    left = left - safe_ratio((weights * left).sum(axis=0), total)
    right = right - safe_ratio((weights * right).sum(axis=0), total)
    shared = (weights * left * right).sum(axis=0)
    spread = (weights * left**2).sum(axis=0) * (weights * right**2).sum(axis=0)
    tiny = 1e-24 * np.maximum((weights * np.abs(left)).sum(axis=0), 1e-300) ** 2
    return safe_ratio(shared, np.sqrt(np.where(spread > tiny, spread, 0.0)))


def _mid_ranks(values: Float[np.ndarray, " rows"], weights: Weights) -> Float[np.ndarray, "rows resamples"]:
    """Mean rank of each row among the drawn rows, a row drawn twice counting twice."""
    dense = rankdata(values, method="dense").astype(np.int64) - 1
    order = np.argsort(dense, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(dense[order]) > 0]))
    drawn = np.add.reduceat(weights[order], starts, axis=0)
    below = np.cumsum(drawn, axis=0) - drawn
    return (below + (drawn + 1) / 2)[dense]
