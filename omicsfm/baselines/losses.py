"""Losses of a linear predictor, for many weighted problems at once.

Every function works on a linear predictor ``eta`` of shape [rows, problems, outputs] with weights [rows, problems]:
the problems share rows and features and differ in the rows that count (inner folds) and in their penalty.
``value`` and ``gradient`` are sums over rows, ``curvature`` is the second derivative along a direction in ``eta``.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, logsumexp

from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget, Target

Eta = Float[np.ndarray, "rows problems outputs"]
Weights = Float[np.ndarray, "rows problems"]
PerProblem = Float[np.ndarray, " problems"]

WIDEST_EXPONENT = 600.0  # exp of more than about 700 overflows a double


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


@dataclass(frozen=True)
class CoxPartialLikelihood:
    """Negative log partial likelihood with Breslow's treatment of tied times; rows sorted by stratum, then time.

    A risk set holds everybody of the stratum whose time is not below the event's (Breslow, Biometrics 1974).
    """

    event: Bool[np.ndarray, " rows"]
    first_tied: Int[np.ndarray, " rows"]
    """For each row the first row of its stratum with the same time."""
    last_tied: Int[np.ndarray, " rows"]
    stratum_begin: Int[np.ndarray, " rows"]
    """For each row the first row of its stratum."""
    stratum_end: Int[np.ndarray, " rows"]
    """For each row the row behind the last of its stratum."""
    outputs: int = 1
    has_intercept: bool = False

    def value(self, eta: Eta, weights: Weights) -> PerProblem:
        """Sum over events of log(sum of the risk set's hazards) minus the own log hazard."""
        log_hazard = eta[..., 0]
        counted = weights * self.event[:, None]
        top, at_risk = self._at_risk(log_hazard, weights)
        return (counted * (np.log(at_risk) + top - log_hazard)).sum(axis=0)

    def gradient(self, eta: Eta, weights: Weights) -> Eta:
        """Expected minus observed events of each row (the negative martingale residual)."""
        log_hazard = eta[..., 0]
        counted = weights * self.event[:, None]
        top, at_risk = self._at_risk(log_hazard, weights)
        before = _running(counted / at_risk)
        baseline = before[self.last_tied + 1] - before[self.stratum_begin]
        return (weights * np.exp(_narrow(log_hazard - top)) * baseline - counted)[..., None]

    def curvature(self, eta: Eta, direction: Eta, weights: Weights) -> PerProblem:
        """Sum over events of the direction's variance in the risk set."""
        log_hazard, along = eta[..., 0], direction[..., 0]
        counted = weights * self.event[:, None]
        top, at_risk = self._at_risk(log_hazard, weights)
        hazard = weights * np.exp(_narrow(log_hazard - top))
        mean = self._later(hazard * along) / at_risk
        square = self._later(hazard * along**2) / at_risk
        return (counted * np.maximum(square - mean**2, 0.0)).sum(axis=0)

    def typical_curvature(self, weights: Weights) -> Float[np.ndarray, "problems outputs"]:
        """Events per row: each event contributes about one variance."""
        return np.maximum((weights * self.event[:, None]).mean(axis=0), 1e-3)[:, None]

    def _later(self, values: Float[np.ndarray, "rows problems"]) -> Float[np.ndarray, "rows problems"]:
        after = _running(values[::-1])[::-1]
        return after[self.first_tied] - after[self.stratum_end]

    def _at_risk(
        self, log_hazard: Float[np.ndarray, "rows problems"], weights: Weights
    ) -> tuple[Float[np.ndarray, "1 problems"], Float[np.ndarray, "rows problems"]]:
        top = np.where(weights > 0, log_hazard, -np.inf).max(axis=0, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        total = self._later(weights * np.exp(_narrow(log_hazard - top)))
        return top, np.maximum(total, np.finfo(float).tiny)


def _running(values: Float[np.ndarray, "rows problems"]) -> Float[np.ndarray, "rows_and_one problems"]:
    """Sums of the rows before each row, and of all."""
    sums = np.empty((len(values) + 1, values.shape[1]))
    sums[0] = 0.0
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _narrow(exponent: np.ndarray) -> np.ndarray:
    return np.clip(exponent, -WIDEST_EXPONENT, WIDEST_EXPONENT)


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
    return cox_loss(target, strata)


def cox_loss(
    target: SurvivalTarget, strata: Int[np.ndarray, " rows"] | None = None
) -> tuple[CoxPartialLikelihood, Int[np.ndarray, " rows"]]:
    """The Cox loss of these follow-ups, and their order by stratum and time; without ``strata`` there is one."""
    strata = np.zeros(len(target), dtype=int) if strata is None else strata
    order = np.lexsort((target.time_days, strata))
    stratum = strata[order]
    begin, end = np.searchsorted(stratum, stratum, side="left"), np.searchsorted(stratum, stratum, side="right")
    _, tie = np.unique(np.column_stack([stratum, target.time_days[order]]), axis=0, return_inverse=True)
    first, last = np.searchsorted(tie, tie, side="left"), np.searchsorted(tie, tie, side="right") - 1
    return CoxPartialLikelihood(target.event[order], first, last, begin, end), order
