"""Stacking: how much each of several models should count, decided by predictions of participants they had not seen."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from omicsfm.baselines.losses import loss_of
from omicsfm.metrics.targets import Target


def stack_weights(
    held_out: Float[np.ndarray, "members rows outputs"], target: Target, *, pull: float = 2.0
) -> Float[np.ndarray, " members"]:
    """Weights, none negative and summing to one, whose mean of the members' linear predictors has the least loss.

    Convex stacking (Breiman 1996; van der Laan et al. 2007) on held-out predictors, with a pull towards equal weights
    worth ``pull`` rows' loss per unit of squared distance times the number of members: with a hundred participants
    the difference between two members' held-out losses is mostly noise.
    """
    members = len(held_out)
    loss, order = loss_of(target)
    predictors = held_out[:, order]
    everyone = np.ones((len(target), 1))
    even = np.full(members, 1.0 / members)

    def value(weights: Float[np.ndarray, " members"]) -> float:
        eta = np.tensordot(weights, predictors, axes=1)[:, None, :]
        return float(loss.value(eta, everyone)[0] + pull * members * ((weights - even) ** 2).sum())

    def gradient(weights: Float[np.ndarray, " members"]) -> Float[np.ndarray, " members"]:
        eta = np.tensordot(weights, predictors, axes=1)[:, None, :]
        slope = loss.gradient(eta, everyone)[:, 0]
        return np.einsum("ro,mro->m", slope, predictors) + 2 * pull * members * (weights - even)

    best = minimize(
        value,
        even,
        jac=gradient,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones_like(w)},
    )
    weights = np.clip(best.x, 0.0, None)
    return weights / weights.sum()
