"""Class and quantity heads: they take over a linear model exactly, and start at what the mean participant has."""

import numpy as np
import pytest
import torch

from omicsfm.baselines.penalised import fit_penalised
from omicsfm.contracts import ClassLabel, Quantity
from omicsfm.heads.classification import ClassificationHead
from omicsfm.heads.cox import CoxHead
from omicsfm.heads.linear import LinearHead
from omicsfm.heads.regression import RegressionHead
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget

ROWS, DIM = 60, 5


@pytest.fixture
def evidence(rng) -> np.ndarray:
    """Coordinates of very different location and spread, one of them constant."""
    values = 10 + 3 * rng.normal(size=(ROWS, DIM)) * np.array([1.0, 10.0, 0.1, 1.0, 0.0])
    return values.astype(np.float32)


def filled(head: LinearHead, evidence: np.ndarray, target) -> tuple[torch.Tensor, np.ndarray]:
    """What the head reads out once it has taken over a penalised model, and what that model predicts."""
    fit = fit_penalised(evidence.astype(np.float64), target, groups=np.arange(ROWS), seed=0, penalty=1.0)
    head.standardise(torch.from_numpy(evidence))
    head.fill(fit.coefficients, fit.intercept)
    with torch.no_grad():
        return head.readout(head(torch.from_numpy(evidence))), fit.predict(evidence.astype(np.float64))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_filled_class_head_reproduces_the_linear_models_probabilities(rng, evidence, classes: int) -> None:
    class_id = (evidence[:, 0] + rng.normal(size=ROWS) > 10).astype(int) + (classes - 2) * (rng.random(ROWS) < 0.3)
    target = ClassTarget(class_id.astype(np.int64), ("a", "b", "c")[:classes])
    head = ClassificationHead(evidence_dim=DIM, num_classes=classes, frequencies=[1.0, 20.0, 3.0][:classes])
    ours, theirs = filled(head, evidence, target)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
    assert theirs.std(axis=0).min() > 0.05


def test_a_filled_quantity_head_reproduces_the_linear_model_in_the_outcomes_unit(rng, evidence) -> None:
    value = 500.0 + 40.0 * evidence[:, 0] + rng.normal(size=ROWS)
    head = RegressionHead(evidence_dim=DIM, location=float(value.mean()), unit=float(value.std()))
    ours, theirs = filled(head, evidence, QuantityTarget(value))
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5)
    assert np.corrcoef(ours.numpy(), value)[0, 1] > 0.99


def test_a_filled_cox_head_reproduces_the_linear_models_log_hazards(rng, evidence) -> None:
    time = rng.exponential(np.exp(10 - evidence[:, 0].astype(float)))
    target = SurvivalTarget(time, rng.random(ROWS) < 0.7)
    ours, theirs = filled(CoxHead(evidence_dim=DIM), evidence, target)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-5)
    assert theirs.std() > 0.1


def test_an_untrained_class_head_predicts_the_base_rates() -> None:
    head = ClassificationHead(evidence_dim=DIM, num_classes=3, frequencies=[10.0, 30.0, 60.0])
    probability = head.readout(head(torch.randn(7, DIM)))
    torch.testing.assert_close(probability, torch.tensor([[0.1, 0.3, 0.6]]).expand(7, -1))


def test_an_untrained_quantity_head_predicts_the_training_mean() -> None:
    head = RegressionHead(evidence_dim=DIM, location=72.5, unit=4.0)
    torch.testing.assert_close(head.readout(head(torch.randn(7, DIM))), torch.full((7,), 72.5))


def test_the_class_loss_is_the_log_loss_of_visits_whose_class_is_known() -> None:
    from sklearn.metrics import log_loss

    head = ClassificationHead(evidence_dim=DIM, num_classes=3)
    logits = torch.randn(6, 3)
    label = ClassLabel(
        class_id=torch.tensor([0, 2, 1, 1, 0, 0]), observed=torch.tensor([True, True, True, True, False, False])
    )
    probability = head.readout(logits)[:4].numpy()
    expected = log_loss([0, 2, 1, 1], probability / probability.sum(axis=1, keepdims=True), labels=[0, 1, 2])
    assert head.loss(logits, label).item() == pytest.approx(expected, rel=1e-5)


def test_the_quantity_loss_is_the_error_in_units_of_the_training_variance() -> None:
    head = RegressionHead(evidence_dim=DIM, location=10.0, unit=2.0)
    outcome = Quantity(value=torch.tensor([12.0, 6.0, 1e6]), observed=torch.tensor([True, True, False]))
    assert head.loss(torch.zeros(3), outcome).item() == pytest.approx((1.0 + 4.0) / 2)


@pytest.mark.parametrize("visits", [0, 3])
def test_without_a_known_outcome_the_loss_is_zero_and_has_a_gradient(visits: int) -> None:
    nobody = torch.zeros(visits, dtype=torch.bool)
    cases = [
        (
            ClassificationHead(evidence_dim=DIM, num_classes=2),
            ClassLabel(torch.zeros(visits, dtype=torch.long), nobody),
        ),
        (RegressionHead(evidence_dim=DIM), Quantity(torch.full((visits,), 1e6), nobody)),
    ]
    for head, outcome in cases:
        loss = head.loss(head(torch.randn(visits, DIM)), outcome)
        assert loss.item() == 0.0
        loss.backward()
        assert head.linear.weight.grad is not None
        assert not head.linear.weight.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_are_finite_and_in_full_precision_under_autocast(dtype: torch.dtype) -> None:
    from omicsfm.contracts import Survival

    known = torch.ones(8, dtype=torch.bool)
    cases = [
        (ClassificationHead(evidence_dim=DIM, num_classes=2), ClassLabel(torch.tensor([0, 1] * 4), known)),
        (RegressionHead(evidence_dim=DIM), Quantity(torch.randn(8), known)),
        (CoxHead(evidence_dim=DIM), Survival(torch.arange(1.0, 9.0), known, known, torch.zeros(8))),
    ]
    for head, outcome in cases:
        with torch.no_grad():
            head.linear.weight.normal_(0, 20)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = head.loss(head(torch.randn(8, DIM)), outcome)
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert head.linear.weight.grad is not None
        assert head.linear.weight.grad.isfinite().all()


def test_standardised_coordinates_have_mean_0_and_spread_1_and_a_constant_stays_finite(evidence) -> None:
    head = LinearHead(evidence_dim=DIM, outputs=1)
    head.standardise(torch.from_numpy(evidence))
    scaled = (torch.from_numpy(evidence) - head.center) / head.spread
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(DIM), atol=1e-3, rtol=0)
    torch.testing.assert_close(scaled.std(dim=0, correction=0), torch.tensor([1.0, 1, 1, 1, 0]), atol=1e-3, rtol=0)
