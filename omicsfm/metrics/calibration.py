"""Do predicted risks mean what they say? Recalibration slope and intercept, and the reliability curve."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logit

from omicsfm.metrics.registry import metric
from omicsfm.metrics.targets import ClassTarget

Probability = Float[np.ndarray, "rows classes"]
Weights = Float[np.ndarray, "rows resamples"]
PerResample = Float[np.ndarray, " resamples"]

MOST_CERTAIN = 1e-6  # logits of 0 and 1 are infinite


@metric("class", best=1.0, two_classes=True)
def calibration_slope(target: ClassTarget, probability: Probability, weights: Weights) -> PerResample:
    """Slope of a logistic regression of the class on logit(p) (Cox, Biometrika 1958).

    1 is best; below 1 the predictions are too extreme, above 1 too timid. Two classes only; probabilities are
    clipped at 1e-6. NaN where the classes are separated or p is constant, for then no finite slope exists.
    """
    return _recalibrate(target, probability, weights)[1]


@metric("class", best=0.0, two_classes=True)
def calibration_intercept(target: ClassTarget, probability: Probability, weights: Weights) -> PerResample:
    """Calibration in the large: the constant that must be added to logit(p), the slope held at 1.

    0 is best; above 0 the risk is underestimated, below 0 overestimated. In logits. Two classes only.
    """
    shift = np.zeros(weights.shape[1])
    known = logit(np.clip(probability[:, 1], MOST_CERTAIN, 1 - MOST_CERTAIN))[:, None]
    truth = (target.class_id == 1).astype(float)[:, None]
    for _ in range(50):
        p = expit(known + shift)
        step = (weights * (truth - p)).sum(axis=0) / np.maximum((weights * p * (1 - p)).sum(axis=0), 1e-12)
        shift = shift + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    positives = (weights * truth).sum(axis=0)
    return np.where((positives > 0) & (positives < weights.sum(axis=0)), shift, np.nan)


def _recalibrate(target: ClassTarget, probability: Probability, weights: Weights) -> tuple[PerResample, PerResample]:
    """Intercept and slope by Newton's method with halved steps, all resamples together."""
    known = logit(np.clip(probability[:, 1], MOST_CERTAIN, 1 - MOST_CERTAIN))
    centre = known.mean()
    x = (known - centre)[:, None]
    truth = (target.class_id == 1).astype(float)[:, None]
    a = np.zeros(weights.shape[1])
    b = np.zeros(weights.shape[1])

    def loss(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        eta = a + b * x
        return (weights * (np.logaddexp(0.0, eta) - truth * eta)).sum(axis=0)

    value = loss(a, b)
    for _ in range(60):
        p = expit(a + b * x)
        residual, spread = weights * (truth - p), weights * p * (1 - p)
        g0, g1 = residual.sum(axis=0), (residual * x).sum(axis=0)
        h00, h01, h11 = spread.sum(axis=0), (spread * x).sum(axis=0), (spread * x**2).sum(axis=0)
        determinant = np.maximum(h00 * h11 - h01**2, 1e-12)
        step_a, step_b = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        for _ in range(20):
            tried = loss(a + step_a, b + step_b)
            worse = tried > value + 1e-12
            if not worse.any():
                break
            step_a, step_b = np.where(worse, step_a / 2, step_a), np.where(worse, step_b / 2, step_b)
        a, b, value = a + step_a, b + step_b, tried
        if max(np.abs(step_a).max(), np.abs(step_b).max()) < 1e-10:
            break
    defined = ~_separated(x, truth, weights)
    return np.where(defined, a - b * centre, np.nan), np.where(defined, b, np.nan)


def _separated(x: np.ndarray, truth: np.ndarray, weights: Weights) -> np.ndarray:
    """Whether a threshold splits the classes, one class is absent, or x is constant: no finite slope exists."""
    positive, negative = (weights > 0) & (truth == 1), (weights > 0) & (truth == 0)
    lowest_positive, highest_positive = _range(x, positive)
    lowest_negative, highest_negative = _range(x, negative)
    return (lowest_positive >= highest_negative) | (highest_positive <= lowest_negative)


def _range(x: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.where(rows, x, np.inf).min(axis=0), np.where(rows, x, -np.inf).max(axis=0)


@dataclass(frozen=True)
class ReliabilityCurve:
    """Mean predicted and observed share of the positive class in bins of predicted risk."""

    predicted: Float[np.ndarray, " bins"]
    observed: Float[np.ndarray, " bins"]
    rows: Int[np.ndarray, " bins"]


def reliability_curve(
    target: ClassTarget, probability: Float[np.ndarray, "rows classes"], *, bins: int = 10
) -> ReliabilityCurve:
    """The reliability curve of the positive class over bins of equal size; equal predictions share a bin."""
    risk = probability[:, 1]
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, risk, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = np.bincount(place)
    filled = rows > 0
    predicted = np.bincount(place, weights=risk)[filled] / rows[filled]
    observed = np.bincount(place, weights=(target.class_id == 1).astype(float))[filled] / rows[filled]
    return ReliabilityCurve(predicted, observed, rows[filled])
