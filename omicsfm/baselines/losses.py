"""Losses of a linear predictor, for many weighted problems at once.

Every function works on a linear predictor ``eta`` of shape [rows, problems, outputs] with weights [rows, problems]:
the problems share rows and features and differ in the rows that count (inner folds) and in their penalty.
``value`` and ``gradient`` are sums over rows, ``curvature`` is the second derivative along a direction in ``eta``.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logsumexp

from omicsfm.baselines.partial_likelihood import cause_specific_loss, cox_loss
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, Target

Eta = Float[np.ndarray, "rows problems outputs"]
Weights = Float[np.ndarray, "rows problems"]
PerProblem = Float[np.ndarray, " problems"]


@runtime_checkable
class LinearLoss(Protocol):
    """A convex loss of a linear predictor."""

    @property
    def outputs(self) -> int:
        """Linear predictors per row."""
        ...

    @property
    def has_intercept(self) -> bool:
        """Whether a constant added to the predictor matters."""
        ...

    def value(self, eta: Eta, weights: Weights) -> PerProblem:
        """The loss, summed over rows."""
        ...

    def gradient(self, eta: Eta, weights: Weights) -> Eta:
        """Its derivative by each linear predictor."""
        ...

    def curvature(self, eta: Eta, direction: Eta, weights: Weights) -> PerProblem:
        """Its second derivative along ``direction``."""
        ...

    def typical_curvature(self, weights: Weights) -> Float[np.ndarray, "problems outputs"]:
        """Curvature at zero per row, to scale the first steps."""
        ...


@dataclass(frozen=True)
class SquaredError:
    """Half the squared error of a quantity."""

    truth: Float[np.ndarray, " rows"]
    outputs: int = 1
    has_intercept: bool = True

    def value(self, eta: Eta, weights: Weights) -> PerProblem:
        """Half the sum of squared residuals."""
        return 0.5 * (weights * (eta[..., 0] - self.truth[:, None]) ** 2).sum(axis=0)

    def gradient(self, eta: Eta, weights: Weights) -> Eta:
        """Residuals."""
        return (weights * (eta[..., 0] - self.truth[:, None]))[..., None]

    def curvature(self, eta: Eta, direction: Eta, weights: Weights) -> PerProblem:
        """Sum of squares of the direction."""
        return (weights * direction[..., 0] ** 2).sum(axis=0)

    def typical_curvature(self, weights: Weights) -> Float[np.ndarray, "problems outputs"]:
        """Share of rows that count."""
        return weights.mean(axis=0)[:, None]


@dataclass(frozen=True)
class Logistic:
    """Log loss of two classes; ``eta`` is the logit of the second."""

    truth: Float[np.ndarray, " rows"]
    outputs: int = 1
    has_intercept: bool = True

    def value(self, eta: Eta, weights: Weights) -> PerProblem:
        """Sum of -log p(truth)."""
        logit = eta[..., 0]
        return (weights * (np.logaddexp(0.0, logit) - self.truth[:, None] * logit)).sum(axis=0)

    def gradient(self, eta: Eta, weights: Weights) -> Eta:
        """Probability minus truth."""
        return (weights * (expit(eta[..., 0]) - self.truth[:, None]))[..., None]

    def curvature(self, eta: Eta, direction: Eta, weights: Weights) -> PerProblem:
        """p (1 - p), the variance of a Bernoulli draw, times the squared direction."""
        probability = expit(eta[..., 0])
        return (weights * probability * (1 - probability) * direction[..., 0] ** 2).sum(axis=0)

    def typical_curvature(self, weights: Weights) -> Float[np.ndarray, "problems outputs"]:
        """p (1 - p) at the mean probability."""
        mean = (weights * self.truth[:, None]).mean(axis=0) / np.maximum(weights.mean(axis=0), 1e-12)
        return (np.maximum(mean * (1 - mean), 0.02) * weights.mean(axis=0))[:, None]


@dataclass(frozen=True)
class Softmax:
    """Log loss of three or more classes; one linear predictor a class, all penalised alike."""

    truth: Int[np.ndarray, " rows"]
    outputs: int
    has_intercept: bool = True

    def value(self, eta: Eta, weights: Weights) -> PerProblem:
        """Sum of -log p(truth)."""
        own = np.take_along_axis(eta, self.truth[:, None, None], axis=2)[..., 0]
        return (weights * (logsumexp(eta, axis=2) - own)).sum(axis=0)

    def gradient(self, eta: Eta, weights: Weights) -> Eta:
        """Probabilities minus the one-hot truth."""
        slope = _softmax(eta)
        slope[np.arange(len(self.truth)), :, self.truth] -= 1.0
        return slope * weights[..., None]

    def curvature(self, eta: Eta, direction: Eta, weights: Weights) -> PerProblem:
        """Variance of the direction under the predicted class probabilities."""
        probability = _softmax(eta)
        mean = (probability * direction).sum(axis=2)
        return (weights * ((probability * direction**2).sum(axis=2) - mean**2)).sum(axis=0)

    def typical_curvature(self, weights: Weights) -> Float[np.ndarray, "problems outputs"]:
        """p (1 - p) at the classes' shares."""
        share = np.bincount(self.truth, minlength=self.outputs) / len(self.truth)
        return weights.mean(axis=0)[:, None] * np.maximum(share * (1 - share), 0.02)


def _softmax(eta: Eta) -> Eta:
    raised = np.exp(eta - eta.max(axis=2, keepdims=True))
    return raised / raised.sum(axis=2, keepdims=True)


def loss_of(
    target: Target, strata: Int[np.ndarray, " rows"] | None = None
) -> tuple[LinearLoss, Int[np.ndarray, " rows"]]:
    """The loss of an outcome kind, and the order in which it wants the rows.

    ``strata`` number the groups within which survival is compared; the other losses do not compare rows.
    """
    unsorted = np.arange(len(target))
    if isinstance(target, QuantityTarget):
        return SquaredError(target.value.astype(np.float64)), unsorted
    if isinstance(target, ClassTarget):
        if len(target.classes) == 2:
            return Logistic(target.class_id.astype(np.float64)), unsorted
        return Softmax(target.class_id, outputs=len(target.classes)), unsorted
    if isinstance(target, CompetingTarget):
        return cause_specific_loss(target, strata)
    return cox_loss(target, strata)
