"""stack_weights: convex weights by held-out loss, pulled towards equal ones."""

import numpy as np
import pytest
from scipy.special import expit

from omicsfm.baselines.stack import stack_weights
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget, Target

ROWS = 200
KINDS = pytest.mark.parametrize("kind", ["class", "classes", "quantity", "survival"])


def draw(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, Target]:
    """The true linear predictor [rows, outputs] and an outcome drawn from it."""
    if kind == "classes":
        eta = 2 * rng.normal(size=(ROWS, 3))
        return eta, ClassTarget((eta + rng.gumbel(size=eta.shape)).argmax(axis=1), ("a", "b", "c"))
    eta = 2 * rng.normal(size=(ROWS, 1))
    if kind == "class":
        return eta, ClassTarget((rng.random(ROWS) < expit(eta[:, 0])).astype(np.int64), ("a", "b"))
    if kind == "quantity":
        return eta, QuantityTarget(eta[:, 0] + rng.normal(size=ROWS))
    return eta, SurvivalTarget(np.ceil(rng.exponential(100 * np.exp(-eta[:, 0]))), rng.random(ROWS) < 0.7)


@KINDS
def test_a_member_that_is_right_counts_and_noise_does_not(rng, kind: str) -> None:
    truth, target = draw(rng, kind)
    noise = 2 * rng.normal(size=truth.shape)
    weights = stack_weights(np.stack([truth, noise, noise[::-1]]), target)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert weights[0] > 0.7
    turned = stack_weights(np.stack([noise, noise[::-1], truth]), target)
    np.testing.assert_allclose(turned, weights[[1, 2, 0]], atol=2e-3)


@KINDS
def test_members_that_agree_count_alike(rng, kind: str) -> None:
    truth, target = draw(rng, kind)
    np.testing.assert_allclose(stack_weights(np.stack([truth, truth, truth]), target), 1 / 3, atol=1e-4)


def test_the_weights_have_the_least_loss_with_the_pull(rng) -> None:
    """Against a grid, for two members and squared error: sum (w a + (1 - w) b - y)^2 / 2 + 2 pull |w - even|^2."""
    truth, target = draw(rng, "quantity")
    members = np.stack([truth + rng.normal(size=truth.shape), truth + 2 * rng.normal(size=truth.shape)])
    grid = np.linspace(0, 1, 2001)
    mixed = grid[:, None] * members[0, :, 0] + (1 - grid[:, None]) * members[1, :, 0]
    loss = 0.5 * ((mixed - target.value) ** 2).sum(axis=1) + 2 * 7.0 * 2 * (grid - 0.5) ** 2
    assert stack_weights(members, target, pull=7.0)[0] == pytest.approx(grid[loss.argmin()], abs=1e-3)
    assert abs(stack_weights(members, target, pull=1e6)[0] - 0.5) < 1e-3
