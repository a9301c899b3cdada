"""Stacking: how much each of several models should count, decided by predictions of participants they had not seen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from omicsfm.baselines.losses import loss_of
from omicsfm.metrics.targets import QuantityTarget, Target

PULL = 10.0
"""Pull towards equal weights: loss of so many rows per unit of squared distance times the number of members. With a
hundred participants the difference between two members' held-out losses is mostly noise."""

LEAST_SLOPE = 0.1
"""Of the members' mean slope: where held-out loss asks for none, a predictor that is nearly constant still ranks."""


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


def stack(held_out: Float[np.ndarray, "members rows outputs"], target: Target, *, pull: float = PULL) -> Stacked:
    """Weights and a common slope and intercept that give the least loss on held-out linear predictors.

    Convex stacking (Breiman 1996; van der Laan et al. 2007) of predictors brought to mean 0 and variance 1 first: a
    member whose penalty shrank it to a tenth is not a tenth as good, and its ranking counts in full. The common slope
    and intercept then calibrate the mean, as in Platt (1999).
    """
    members, _, outputs = held_out.shape
    centre = held_out.mean(axis=1, keepdims=True)
    spread = (held_out - centre).std(axis=(1, 2))
    spread = np.where(spread > 1e-9, spread, np.inf)  # a constant says nothing
    location, unit = 0.0, 1.0
    if isinstance(target, QuantityTarget):
        location, unit = float(target.value.mean()), float(target.value.std()) or 1.0
        target = QuantityTarget((target.value - location) / unit)
    loss, order = loss_of(target)
    standard = ((held_out - centre) / spread[:, None, None])[:, order]
    everyone, even = np.ones((len(target), 1)), np.full(members, 1.0 / members)

    def value(at: np.ndarray) -> tuple[float, np.ndarray]:
        weights, slope, intercept = at[:members], at[members], at[members + 1 :]
        mean = np.tensordot(weights, standard, axes=1)
        eta = (intercept + slope * mean)[:, None, :]
        away = weights - even
        by_eta = loss.gradient(eta, everyone)[:, 0]
        gradient = np.concatenate(
            [
                slope * np.einsum("ro,mro->m", by_eta, standard) + 2 * pull * members * away,
                [(by_eta * mean).sum()],
                by_eta.sum(axis=0),
            ]
        )
        return float(loss.value(eta, everyone)[0] + pull * members * (away**2).sum()), gradient

    usual = np.where(np.isfinite(spread), spread, 0.0).mean() / unit
    start = np.concatenate([even, [usual], (centre.mean(axis=0)[0] - location) / unit])
    best = minimize(
        value,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members + [(LEAST_SLOPE * usual, None)] + [(None, None)] * outputs,
        constraints={
            "type": "eq",
            "fun": lambda at: at[:members].sum() - 1.0,
            "jac": lambda at: np.concatenate([np.ones(members), np.zeros(1 + outputs)]),
        },
    ).x
    weights = np.clip(best[:members], 0.0, None)
    weights /= weights.sum()
    slopes = unit * best[members] * weights / spread
    intercept = location + unit * best[members + 1 :] - np.tensordot(slopes, centre[:, 0], axes=1)
    return Stacked(weights, slopes, intercept)
