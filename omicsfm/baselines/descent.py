"""Preconditioned nonlinear conjugate gradients for many ridge-penalised problems at once.

All problems share the rows and the features, so that a step of all of them is two matrix products. Step lengths
come from Newton's rule along the direction, which needs no further product because the linear predictor is linear.
"""

import numpy as np
from jaxtyping import Float

from omicsfm.baselines.losses import LinearLoss

Coefficients = Float[np.ndarray, "columns problems outputs"]


def minimise(
    loss: LinearLoss,
    design: Float[np.ndarray, "rows columns"],
    *,
    penalty: Float[np.ndarray, "columns problems"],
    weights: Float[np.ndarray, "rows problems"],
    iterations: int,
    tolerance: float,
    start: Coefficients | None = None,
) -> Coefficients:
    """Coefficients that minimise ``loss(design @ b) + 0.5 * sum(penalty * b**2)`` for every problem.

    ``design`` should have orthogonal columns (a rotated design): the preconditioner is diagonal. Stops where the
    expected decrease falls under ``tolerance`` times the loss at zero, or after ``iterations``. Begins at ``start``, or
    at zero.
    """
    columns, problems = penalty.shape
    rows, outputs = len(design), loss.outputs
    solved = np.zeros((columns, problems, outputs))
    scale = (
        np.einsum("rc,rc->c", design, design)[:, None, None] * loss.typical_curvature(weights)[None]
        + penalty[..., None]
    )
    scale = np.maximum(scale, 1e-12)

    active = np.arange(problems)
    at_zero = np.zeros((rows, problems, outputs))
    enough = tolerance * np.maximum(np.abs(loss.value(at_zero, weights)), 1e-12)
    b = solved if start is None else start
    eta = at_zero if start is None else push(design, start)
    value = loss.value(eta, weights) + 0.5 * _dot(penalty[..., None] * b, b)
    gradient = _pull(design, loss.gradient(eta, weights)) + penalty[..., None] * b
    direction = np.zeros_like(b)
    previous_gradient, previous_decrease = gradient, np.ones(problems)
    for step in range(iterations):
        ascent = gradient / scale
        decrease = _dot(gradient, ascent)
        running = decrease > enough
        if not running.all():
            solved[:, active[~running]] = b[:, ~running]
            active, decrease, enough, value = active[running], decrease[running], enough[running], value[running]
            b, eta, gradient, ascent = b[:, running], eta[:, running], gradient[:, running], ascent[:, running]
            previous_gradient, previous_decrease = previous_gradient[:, running], previous_decrease[running]
            direction, scale, penalty = direction[:, running], scale[:, running], penalty[:, running]
            weights = weights[:, running]
            if not len(active):
                return solved
        keep = 0.0 if step == 0 else np.maximum(_dot(gradient - previous_gradient, ascent) / previous_decrease, 0.0)
        direction = np.reshape(keep, (1, -1, 1)) * direction - ascent
        slope = _dot(gradient, direction)
        uphill = slope > -0.1 * decrease  # conjugacy lost: fall back on the gradient
        direction[:, uphill] = -ascent[:, uphill]
        slope[uphill] = -decrease[uphill]
        along = push(design, direction)
        bend = loss.curvature(eta, along, weights) + (penalty[..., None] * direction**2).sum(axis=(0, 2))
        length = -slope / np.maximum(bend, 1e-300)
        length, eta, b, value = _shorten(loss, eta, b, along, direction, length, value, penalty, weights)
        previous_gradient, previous_decrease = gradient, decrease
        gradient = _pull(design, loss.gradient(eta, weights)) + penalty[..., None] * b
    solved[:, active] = b
    return solved


def _shorten(loss, eta, b, along, direction, length, value, penalty, weights):  # type: ignore[no-untyped-def]
    """Halve, twice over, the steps that Newton's rule made too long; a step that never helps is not taken."""
    for _ in range(30):
        size = length[None, :, None]
        tried_eta, tried_b = eta + size * along, b + size * direction
        tried = loss.value(tried_eta, weights) + 0.5 * (penalty[..., None] * tried_b**2).sum(axis=(0, 2))
        worse = ~(tried <= value + 1e-12 * np.abs(value))
        if not worse.any():
            return length, tried_eta, tried_b, tried
        length = np.where(worse, 0.25 * length, length)
    length = np.where(worse, 0.0, length)
    size = length[None, :, None]
    return length, eta + size * along, b + size * direction, np.where(worse, value, tried)


def push(design: Float[np.ndarray, "rows columns"], b: Coefficients) -> Float[np.ndarray, "rows problems outputs"]:
    """Linear predictors of every problem."""
    return (design @ b.reshape(len(b), b.shape[1] * b.shape[2])).reshape(len(design), *b.shape[1:])


def _pull(design: np.ndarray, eta: np.ndarray) -> np.ndarray:
    return (design.T @ eta.reshape(len(eta), -1)).reshape(design.shape[1], *eta.shape[1:])


def _dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(axis=(0, 2))
