"""Gradients and curvatures are the derivatives of the values they belong to."""

import numpy as np
import pytest

from omicsfm.baselines.boosting import _cox_objective
from omicsfm.baselines.losses import loss_of
from omicsfm.baselines.partial_likelihood import cox_loss
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, SurvivalTarget

ROWS, STEP = 25, 1e-5


def targets():
    generator = np.random.default_rng(0)
    time = np.ceil(generator.exponential(5, ROWS))  # many ties
    return {
        "two classes": ClassTarget(generator.integers(0, 2, ROWS), ("a", "b")),
        "three classes": ClassTarget(generator.integers(0, 3, ROWS), ("a", "b", "c")),
        "quantity": QuantityTarget(generator.normal(size=ROWS)),
        "survival": SurvivalTarget(time, generator.uniform(size=ROWS) < 0.6),
    }


@pytest.mark.parametrize("kind", list(targets()))
def test_gradient_and_curvature_equal_finite_differences(kind):
    loss, _ = loss_of(targets()[kind])
    generator = np.random.default_rng(1)
    eta = generator.normal(size=(ROWS, 2, loss.outputs))
    along = generator.normal(size=eta.shape)
    weights = generator.integers(0, 3, size=(ROWS, 2)).astype(float)
    up, here, down = (loss.value(eta + s * along, weights) for s in (STEP, 0.0, -STEP))
    slope = (loss.gradient(eta, weights) * along).sum(axis=(0, 2))
    np.testing.assert_allclose(slope, (up - down) / (2 * STEP), rtol=1e-6)
    rise = loss.gradient(eta + STEP * along, weights) - loss.gradient(eta - STEP * along, weights)
    np.testing.assert_allclose(
        loss.curvature(eta, along, weights), (rise * along).sum(axis=(0, 2)) / (2 * STEP), rtol=1e-5
    )
    assert np.isfinite(here).all()


def test_the_boosting_objective_is_the_cox_gradient_in_the_callers_order():
    target = targets()["survival"]
    margin = np.random.default_rng(2).normal(size=ROWS)
    gradient, bend = _cox_objective(target)(margin, None)
    loss, order = cox_loss(target)

    def value(m):
        return float(loss.value(m[order][:, None, None], np.ones((ROWS, 1)))[0])

    for row in range(ROWS):
        step = STEP * np.eye(ROWS)[row]
        assert gradient[row] == pytest.approx((value(margin + step) - value(margin - step)) / (2 * STEP), abs=1e-6)
    assert (bend > 0).all()


def test_extreme_log_hazards_stay_finite():
    target = targets()["survival"]
    loss, _ = cox_loss(target)
    eta = np.linspace(-2000, 2000, ROWS)[:, None, None]
    weights = np.ones((ROWS, 1))
    assert np.isfinite(loss.value(eta, weights)).all()
    assert np.isfinite(loss.gradient(eta, weights)).all()


def test_rows_without_an_event_teach_nothing():
    loss, _ = cox_loss(SurvivalTarget(np.arange(1.0, 6.0), np.zeros(5, dtype=bool)))
    eta = np.zeros((5, 1, 1))
    assert loss.value(eta, np.ones((5, 1)))[0] == 0
    assert (loss.gradient(eta, np.ones((5, 1))) == 0).all()


def test_a_stratified_loss_is_the_sum_of_its_strata():
    target, generator = targets()["survival"], np.random.default_rng(3)
    strata = generator.integers(0, 3, ROWS)
    loss, order = cox_loss(target, strata)
    eta, weights = generator.normal(size=(ROWS, 2, 1)), generator.integers(0, 3, size=(ROWS, 2)).astype(float)
    value, gradient = np.zeros(2), np.zeros_like(eta)
    for stratum in range(3):
        rows = np.flatnonzero(strata == stratum)
        own, own_order = cox_loss(target[rows])
        rows = rows[own_order]
        value += own.value(eta[rows], weights[rows])
        gradient[rows] = own.gradient(eta[rows], weights[rows])
    np.testing.assert_allclose(loss.value(eta[order], weights[order]), value)
    np.testing.assert_allclose(loss.gradient(eta[order], weights[order]), gradient[order], atol=1e-12)


def _late(rows: int = 40, seed: int = 0) -> tuple[SurvivalTarget, np.ndarray]:
    generator = np.random.default_rng(seed)
    time = generator.integers(2, 12, rows).astype(float)
    entry = np.minimum(generator.integers(0, 8, rows), time - 1).astype(float)
    return SurvivalTarget(time, generator.random(rows) < 0.6, entry), generator.integers(0, 2, rows)


@pytest.mark.parametrize("seed", range(4))
def test_the_cox_loss_counts_only_who_has_entered_of_the_stratum(seed: int) -> None:
    target, strata = _late(seed=seed)
    assert target.entry_days is not None
    loss, order = cox_loss(target, strata)
    eta = np.random.default_rng(seed).normal(size=len(target))
    expected = 0.0
    for i in np.flatnonzero(target.event):
        entered = (target.entry_days < target.time_days[i]) | (target.entry_days == 0)
        at_risk = (target.time_days >= target.time_days[i]) & entered & (strata == strata[i])
        expected += np.log(np.exp(eta[at_risk]).sum()) - eta[i]
    shaped, everyone = eta[order][:, None, None], np.ones((len(target), 1))
    assert loss.value(shaped, everyone)[0] == pytest.approx(expected)
    step = 1e-6
    for row in (0, 7, 39):
        moved = shaped.copy()
        moved[row] += step
        slope = (loss.value(moved, everyone)[0] - loss.value(shaped, everyone)[0]) / step
        assert loss.gradient(shaped, everyone)[row, 0, 0] == pytest.approx(slope, abs=1e-4)


def test_the_loss_of_causes_is_the_sum_of_their_cox_losses() -> None:
    target, strata = _late()
    causes = CompetingTarget(target.time_days, np.arange(len(target)) % 3, ("relapse", "death"), target.entry_days)
    loss, order = loss_of(causes, strata)
    eta = np.random.default_rng(0).normal(size=(len(target), 2))
    everyone = np.ones((len(target), 1))
    own = [cox_loss(causes.of_cause(k + 1), strata)[0] for k in (0, 1)]
    found = loss.value(eta[order][:, None, :], everyone)
    parts = [one.value(eta[order][:, None, k : k + 1], everyone) for k, one in enumerate(own)]
    np.testing.assert_allclose(found, parts[0] + parts[1])
    gradient = loss.gradient(eta[order][:, None, :], everyone)
    np.testing.assert_allclose(gradient[..., 1:], own[1].gradient(eta[order][:, None, 1:], everyone))


def test_where_nobody_is_left_at_risk_a_rounding_error_is_no_divisor() -> None:
    """With entry times the risk sets of censored rows may be empty; ages in days and weights of 0 make it likely."""
    generator = np.random.default_rng(0)
    entry = np.round(generator.uniform(40, 80, 100)) * 365.25
    target = SurvivalTarget(entry + np.ceil(generator.exponential(300, 100)), generator.random(100) < 0.5, entry)
    loss, order = cox_loss(target)
    eta = np.repeat(3 * generator.normal(size=100)[order][:, None, None], 4, axis=1)
    weights = (generator.random((100, 4)) < 0.8).astype(float)
    bend = loss.curvature(eta, generator.normal(size=eta.shape), weights)  # an overflow is a warning, so an error here
    assert np.isfinite(bend).all()
    assert (bend > 0).all()
