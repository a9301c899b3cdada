"""Stacking: how much each of several models should count, decided by predictions of participants they had not seen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult, minimize, nnls

from omicsfm.baselines.losses import LinearLoss, loss_of
from omicsfm.metrics.targets import QuantityTarget, Target

PULL = 3.0
"""Pull towards the earned weights: loss of so many rows per unit of squared distance times the number of members."""

BELIEVED = 0.5
"""How much of the members' correlations counts in what they earn. With a hundred participants all of it is mostly
noise; none of it would give two members that say the same twice the weight."""

LEAST_GAIN = 1e-3
"""Nats over a constant that a member must gain by itself to be heard at all."""

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
    member whose penalty shrank it to a tenth is not a tenth as good, and its ranking counts in full. Weights are pulled
    towards what each member earns by its effect and by how much of it the others say too. A member that gains nothing
    is left out, unless none gains. The common slope and intercept then calibrate the mean, as in Platt (1999).
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
    if isinstance(target, QuantityTarget):  # half a squared error is in nats once divided by the variance that is left
        pull *= float(1.0 - np.square(standard[:, :, 0] @ target.value[order] / len(target)).max(initial=0.0))
    earned = _earned(standard, loss, (centre.mean(axis=0)[0] - location) / unit)
    heard = earned > 0
    base = (centre[heard].mean(axis=0)[0] - location) / unit
    usual = np.where(np.isfinite(spread[heard]), spread[heard], 0.0).mean() / unit
    best = _fitted(standard[heard], earned[heard], loss, base, slope=usual, least=LEAST_SLOPE * usual, pull=pull)

    members = int(heard.sum())
    weights = np.zeros(len(held_out))
    weights[heard] = np.clip(best.x[:members], 0.0, None)
    weights /= weights.sum()
    slopes = unit * best.x[members] * weights / spread
    intercept = location + unit * best.x[members + 1 :] - np.tensordot(slopes, centre[:, 0], axes=1)
    return Stacked(weights, slopes, intercept)


def _earned(standard: np.ndarray, loss: LinearLoss, base: np.ndarray) -> Float[np.ndarray, " members"]:
    """Each member's weight by its own gain over a constant; equal weights where none gains.

    The square root of the held-out nats that a member gains is proportional to its effect. The weights are those of
    Fisher's discriminant, the inverse of the members' correlations times their effects, with correlations shrunk
    towards none (as in Friedman 1989) and no weight negative.
    """
    alone = np.ones(1)
    constant = _fitted(np.zeros((1, *standard.shape[1:])), alone, loss, base).fun
    gain = np.array([constant - _fitted(own[None], alone, loss, base).fun for own in standard])
    effect = np.where(gain > LEAST_GAIN, np.sqrt(np.clip(gain, 0.0, None)), 0.0)
    if not effect.any():
        return np.full(len(effect), 1.0 / len(effect))
    heard = effect > 0
    together = np.atleast_2d(np.corrcoef(standard[heard].reshape(heard.sum(), -1)))
    root = np.linalg.cholesky(BELIEVED * together + (1 - BELIEVED) * np.eye(len(together))).T
    effect[heard], _ = nnls(root, np.linalg.solve(root.T, effect[heard]))
    return effect / effect.sum()


def _fitted(
    standard: Float[np.ndarray, "members rows outputs"],
    earned: Float[np.ndarray, " members"],
    loss: LinearLoss,
    base: Float[np.ndarray, " outputs"],
    *,
    slope: float = 0.1,
    least: float = 0.0,
    pull: float = 0.0,
) -> OptimizeResult:
    """Weights, slope and intercept of the least loss, pulled towards ``earned`` weights and searched from there."""
    members, rows, outputs = standard.shape
    everyone = np.ones((rows, 1))

    def value(at: np.ndarray) -> tuple[float, np.ndarray]:
        weights, slope, intercept = at[:members], at[members], at[members + 1 :]
        mean = np.tensordot(weights, standard, axes=1)
        eta = (intercept + slope * mean)[:, None, :]
        away = weights - earned
        by_eta = loss.gradient(eta, everyone)[:, 0]
        gradient = np.concatenate(
            [
                slope * np.einsum("ro,mro->m", by_eta, standard) + 2 * pull * members * away,
                [(by_eta * mean).sum()],
                by_eta.sum(axis=0),
            ]
        )
        return float(loss.value(eta, everyone)[0] + pull * members * (away**2).sum()), gradient

    return minimize(
        value,
        np.concatenate([earned, [slope], base]),
        jac=True,
        method="SLSQP",
        options={"ftol": 1e-10, "maxiter": 300},
        bounds=[(0.0, 1.0)] * members + [(least, None)] + [(None, None)] * outputs,
        constraints={
            "type": "eq",
            "fun": lambda at: at[:members].sum() - 1.0,
            "jac": lambda at: np.concatenate([np.ones(members), np.zeros(1 + outputs)]),
        },
    )
