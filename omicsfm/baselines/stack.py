"""Stacking: how much each of several models should count, decided by predictions of participants they had not seen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize

from omicsfm.baselines.losses import LinearLoss, loss_of
from omicsfm.metrics.targets import QuantityTarget, Target

LEAST_GAIN = 1e-3
"""Nats over a constant that a member must gain by itself to be heard at all."""

LEAST_SLOPE = 0.05
"""Of the members' mean, where held-out loss asks for none: a predictor that is nearly constant still ranks."""


@dataclass(frozen=True)
class Stacked:
    """How several linear predictors make one: ``intercept + sum(slopes * predictors)``."""

    weights: Float[np.ndarray, " members"]
    """Share of each member, none negative and summing to one, when all vary alike."""
    slopes: Float[np.ndarray, " members"]
    """What each member's own linear predictor is multiplied by."""
    intercept: Float[np.ndarray, " outputs"]

    def combine(self, predictors: Float[np.ndarray, "members rows outputs"]) -> Float[np.ndarray, "rows outputs"]:
        """The stack's linear predictor."""
        return np.tensordot(self.slopes, predictors, axes=1) + self.intercept


def stack(
    held_out: Float[np.ndarray, "members rows outputs"],
    target: Target,
    doubted: Bool[np.ndarray, " members"] | None = None,
) -> Stacked:
    """Slopes of the members, and an intercept, of the greatest posterior density given held-out linear predictors.

    Stacking with slopes that are not negative (Breiman 1996) of predictors brought to mean 0 and variance 1 first: a
    member whose penalty shrank it to a tenth is not a tenth as good, and its ranking counts in full. Beforehand every
    member is believed to have the slope that calibrates their mean (Platt 1999), give or take as much again, so that
    few rows give the calibrated mean and many what is best; one that is ``doubted`` begins at a slope of 0 instead. A
    member that gains nothing by itself is left out, unless none gains.
    """
    centre = held_out.mean(axis=1, keepdims=True)
    spread = (held_out - centre).std(axis=(1, 2))
    spread = np.where(spread > 1e-9, spread, np.inf)  # a constant says nothing
    location, unit = 0.0, 1.0
    if isinstance(target, QuantityTarget):
        location, unit = float(target.value.mean()), float(target.value.std()) or 1.0
        target = QuantityTarget((target.value - location) / unit)
    loss, order = loss_of(target)
    standard = ((held_out - centre) / spread[:, None, None])[:, order]
    nats = 1.0
    if isinstance(target, QuantityTarget):  # half a squared error is in nats once divided by the variance that is left
        explained = np.square(standard[:, :, 0] @ target.value[order] / len(target)).max()
        nats = 1.0 / max(1.0 - float(explained), 1e-3)

    heard = _heard(standard, loss)
    trusted = heard if doubted is None or doubted[heard].all() else heard & ~doubted
    together = _fitted(standard[trusted].mean(axis=0)[None], loss)
    usual = max(together.slopes[0], LEAST_SLOPE) / trusted.sum()
    believed = np.where(trusted, usual, 0.0)
    fitted = _fitted(standard[heard], loss, believed=believed[heard], spread=usual, nats=nats)
    slopes = np.zeros(len(held_out))
    slopes[heard] = fitted.slopes if fitted.slopes.any() else believed[heard]
    weights, slopes = slopes / slopes.sum(), unit * slopes / spread
    intercept = location + unit * fitted.intercept - np.tensordot(slopes, centre[:, 0], axes=1)
    return Stacked(weights, slopes, intercept)


def _heard(standard: Float[np.ndarray, "members rows outputs"], loss: LinearLoss) -> Bool[np.ndarray, " members"]:
    """Members that gain something over a constant by themselves; all of them where none does."""
    constant = _fitted(np.zeros((1, *standard.shape[1:])), loss).loss
    heard = np.array([constant - _fitted(own[None], loss).loss > LEAST_GAIN for own in standard])
    return heard if heard.any() else np.ones(len(standard), dtype=bool)


@dataclass(frozen=True)
class _Fitted:
    slopes: Float[np.ndarray, " members"]
    intercept: Float[np.ndarray, " outputs"]
    loss: float


def _fitted(
    standard: Float[np.ndarray, "members rows outputs"],
    loss: LinearLoss,
    *,
    believed: Float[np.ndarray, " members"] | None = None,
    spread: float = np.inf,
    nats: float = 1.0,
) -> _Fitted:
    """Slopes, none negative, and intercept of the least loss, or of the greatest posterior density where the slopes are
    ``believed`` to be normal with these means and a common standard deviation; ``nats`` are in a unit of loss.
    """
    members, rows, outputs = standard.shape
    everyone = np.ones((rows, 1))
    mean, precision = np.zeros(members) if believed is None else believed, 1.0 / spread**2

    def value(at: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, intercept = at[:members], at[members:]
        eta = (intercept + np.tensordot(slopes, standard, axes=1))[:, None, :]
        by_eta, away = nats * loss.gradient(eta, everyone)[:, 0], slopes - mean
        gradient = np.concatenate([np.einsum("ro,mro->m", by_eta, standard) + precision * away, by_eta.sum(axis=0)])
        return nats * float(loss.value(eta, everyone)[0]) + 0.5 * precision * float(away @ away), gradient

    found = minimize(
        value,
        np.concatenate([mean, np.zeros(outputs)]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * members + [(None, None)] * outputs,
        options={"ftol": 1e-13, "gtol": 1e-9, "maxiter": 1000},
    )
    return _Fitted(found.x[:members], found.x[members:], float(found.fun))
