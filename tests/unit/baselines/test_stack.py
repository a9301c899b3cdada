"""stack: slopes of standardised predictors by held-out loss, believed to be alike and none negative."""

import numpy as np
import pytest
from scipy.special import expit

from omicsfm.baselines.losses import loss_of
from omicsfm.baselines.stack import stack
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


def loss(eta: np.ndarray, target: Target) -> float:
    own, order = loss_of(target)
    return float(own.value(eta[order][:, None, :], np.ones((ROWS, 1)))[0])


@KINDS
def test_a_member_that_is_right_counts_more_than_noise(rng, kind: str) -> None:
    truth, target = draw(rng, kind)
    noise = 2 * rng.normal(size=truth.shape)
    weights = stack(np.stack([truth, noise, noise[::-1]]), target).weights
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert weights[0] > 0.8
    turned = stack(np.stack([noise, noise[::-1], truth]), target).weights
    np.testing.assert_allclose(turned, weights[[1, 2, 0]], atol=5e-3)


@KINDS
def test_members_that_agree_count_alike(rng, kind: str) -> None:
    truth, target = draw(rng, kind)
    np.testing.assert_allclose(stack(np.stack([truth, truth, truth]), target).weights, 1 / 3, atol=1e-3)


@KINDS
def test_shrinking_a_member_changes_nothing(rng, kind: str) -> None:
    """A strong penalty makes a predictor small, not bad."""
    truth, target = draw(rng, kind)
    members = np.stack([truth + rng.normal(size=truth.shape), truth + rng.normal(size=truth.shape)])
    shrunk = members * np.array([1.0, 0.05])[:, None, None]
    plain, other = stack(members, target), stack(shrunk, target)
    np.testing.assert_allclose(other.weights, plain.weights, atol=2e-3)
    np.testing.assert_allclose(other.combine(shrunk), plain.combine(members), atol=0.02 * np.abs(truth).max())


@KINDS
def test_the_combined_predictor_is_calibrated(rng, kind: str) -> None:
    """No other slope has a lesser loss: here the members are ten times too extreme."""
    truth, target = draw(rng, kind)
    members = 10 * np.stack([truth, truth + rng.normal(size=truth.shape)])
    combined = stack(members, target).combine(members)
    middle = combined.mean(axis=0)
    for factor in (0.8, 1.25):
        assert loss(middle + factor * (combined - middle), target) > loss(combined, target)


@KINDS
def test_few_rows_keep_the_members_nearly_alike_and_many_of_the_kind_tell_them_apart(rng, kind: str) -> None:
    truth, target = draw(rng, kind)
    good, bad = (truth + blur * truth.std() * rng.normal(size=truth.shape) for blur in (1, 2))
    shares = []
    for copies in (1, 30):
        rows = np.tile(np.arange(20), copies)
        shares.append(stack(np.stack([good, bad])[:, rows], target[rows]).weights)
    few, many = (np.abs(weights - 0.5).max() for weights in shares)
    assert few < many


@KINDS
def test_members_that_say_the_same_do_not_count_twice(rng, kind: str) -> None:
    truth, target = draw(rng, kind)
    one, other = (truth + 1.5 * truth.std() * rng.normal(size=truth.shape) for _ in range(2))
    weights = stack(np.stack([one, one, other]), target).weights
    assert 1.15 * weights[0] < weights[2]


def test_members_that_all_say_nothing_count_alike(rng) -> None:
    _, target = draw(rng, "class")
    members = np.stack([np.full((ROWS, 1), 0.1), np.full((ROWS, 1), 0.3)])
    np.testing.assert_allclose(stack(members, target).weights, 0.5, atol=1e-6)


def test_a_member_that_says_nothing_is_left_out_of_the_sum(rng) -> None:
    truth, target = draw(rng, "class")
    stacked = stack(np.stack([truth, np.full_like(truth, 0.3)]), target)
    assert stacked.slopes[1] == 0
    assert np.isfinite(stacked.combine(np.stack([truth, truth]))).all()


@KINDS
def test_a_doubted_member_counts_less_until_it_shows_more_than_the_others(rng, kind: str) -> None:
    truth, target = draw(rng, kind)
    one, other = (truth + truth.std() * rng.normal(size=truth.shape) for _ in range(2))
    members, second = np.stack([one, other]), np.array([False, True])
    assert stack(members, target, second).weights[1] < stack(members, target).weights[1] - 1e-3
    noise = rng.normal(size=truth.shape)
    assert stack(np.stack([noise, truth]), target, second).weights[1] > 0.7


def test_where_all_members_are_doubted_none_is(rng) -> None:
    truth, target = draw(rng, "class")
    members = np.stack([truth, truth + rng.normal(size=truth.shape)])
    doubted = stack(members, target, np.array([True, True])).weights
    assert doubted.sum() == pytest.approx(1.0)
    assert doubted[0] > doubted[1] > 0
