"""Heads with a hazard in each interval, and of several causes: their likelihoods, their edges, their curves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsfm.contracts import CompetingRisks, Survival
from omicsfm.errors import InputError
from omicsfm.heads.competing_risks import CauseSpecificHead
from omicsfm.heads.cox import CoxHead
from omicsfm.heads.discrete_hazard import DiscreteHazardHead
from omicsfm.heads.intervals import IntervalHead
from omicsfm.heads.piecewise_hazard import PiecewiseHazardHead

CUTS = [2.0, 5.0, 9.0]
HEADS = [DiscreteHazardHead, PiecewiseHazardHead]
People = list[tuple[list[float], int, bool, int]]
people = st.lists(
    st.tuples(
        st.lists(st.floats(-3, 2, width=32), min_size=3, max_size=3),
        st.integers(1, 12),
        st.booleans(),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=15,
)


def columns(rows: People) -> tuple[torch.Tensor, Survival]:
    prediction, time, event, entry = zip(*rows, strict=True)
    until = torch.tensor(time, dtype=torch.float32)
    late = torch.minimum(torch.tensor(entry).float(), until - 1)
    return torch.tensor(prediction), Survival(until, torch.tensor(event), torch.ones(len(rows), dtype=torch.bool), late)


@settings(max_examples=50, deadline=None)
@given(people)
def test_the_discrete_loss_is_that_of_the_intervals_seen_whole(rows) -> None:
    prediction, outcome = columns(rows)
    total, edges = 0.0, [0.0, *CUTS]
    for eta, time, event, entry in zip(prediction, outcome.time_days, outcome.event, outcome.entry_days, strict=True):
        for j in range(3):
            begin, end, hazard = edges[j], edges[j + 1], 1 - np.exp(-np.exp(float(eta[j])))
            if entry > begin or time <= begin:
                continue
            if time <= end and event:
                total -= np.log(hazard)
            elif time >= end:
                total -= np.log(1 - hazard)
    head = DiscreteHazardHead(evidence_dim=1, cut_days=CUTS)
    assert head.loss(prediction, outcome).item() == pytest.approx(total / len(rows), rel=1e-4, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(people)
def test_the_piecewise_loss_is_that_of_constant_hazards_with_exact_times(rows) -> None:
    prediction, outcome = columns(rows)
    total, edges = 0.0, [0.0, *CUTS]
    for eta, time, event, entry in zip(prediction, outcome.time_days, outcome.event, outcome.entry_days, strict=True):
        for j in range(3):
            begin, end = edges[j], edges[j + 1]
            seen = max(0.0, min(float(time), end) - max(float(entry), begin)) / (end - begin)
            total += seen * np.exp(float(eta[j]))
            total -= float(eta[j]) if event and begin < time <= end else 0.0
    head = PiecewiseHazardHead(evidence_dim=1, cut_days=CUTS)
    assert head.loss(prediction, outcome).item() == pytest.approx(total / len(rows), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("level", [-100.0, 100.0])
def test_loss_gradient_and_curves_are_finite_at_extreme_hazards(kind: type[IntervalHead], level: float) -> None:
    prediction = torch.full((4, 3), level, requires_grad=True)
    known = torch.ones(4, dtype=torch.bool)
    outcome = Survival(
        torch.tensor([1.0, 3.0, 9.0, 30.0]), torch.tensor([True, False, True, True]), known, torch.zeros(4)
    )
    head = kind(evidence_dim=1, cut_days=CUTS)
    loss = head.loss(prediction, outcome)  # type: ignore[operator]
    loss.backward()
    assert loss.isfinite()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert head.survival_probability(prediction, torch.tensor([0.0, 5.0, 99.0])).isfinite().all()
    assert head.readout(prediction).isfinite().all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("visits", [0, 3])
def test_without_known_outcomes_the_loss_is_zero_and_has_a_gradient(kind: type[IntervalHead], visits: int) -> None:
    head = kind(evidence_dim=2, cut_days=CUTS)
    nobody = torch.zeros(visits, dtype=torch.bool)
    loss = head.loss(head(torch.randn(visits, 2)), Survival(torch.ones(visits), nobody, nobody, torch.zeros(visits)))  # type: ignore[operator]
    loss.backward()
    assert loss.item() == 0.0
    assert head.linear.weight.grad is not None
    assert not head.linear.weight.grad.any()


@pytest.mark.parametrize("cuts", [[], [0.0, 1.0], [3.0, 2.0]])
def test_cuts_that_are_no_intervals_are_refused(cuts: list[float]) -> None:
    with pytest.raises(InputError, match="expected ascending days above 0"):
        DiscreteHazardHead(evidence_dim=1, cut_days=cuts)


@pytest.mark.parametrize("kind", HEADS)
def test_filled_with_a_cox_model_a_head_predicts_its_survival_at_the_cuts(kind: type[IntervalHead]) -> None:
    generator = np.random.default_rng(1)
    evidence = generator.normal(size=(300, 2))
    risk = evidence @ np.array([0.8, -0.5])
    time = torch.tensor(np.ceil(generator.exponential(6 * np.exp(-risk))), dtype=torch.float32)
    outcome = Survival(time, torch.tensor(generator.uniform(size=300) < 0.8), time > 0, torch.zeros(300))
    cox, head = CoxHead(evidence_dim=2, num_times=300), kind(evidence_dim=2, cut_days=CUTS)
    x, log_hazard = torch.tensor(evidence, dtype=torch.float32), torch.tensor(risk, dtype=torch.float32)
    for one in (cox, head):
        one.standardise(x)
        one.fill(np.array([[0.8], [-0.5]]), np.zeros(1))
        one.set_baseline(log_hazard, outcome)
    asked = torch.tensor([0.0, *CUTS])
    torch.testing.assert_close(
        head.survival_probability(head(x), asked), cox.survival_probability(cox(x), asked), atol=1e-4, rtol=1e-3
    )
    order = head.readout(head(x)).argsort()
    assert (log_hazard[order].diff() > -1e-4).all()


def two_causes(rows: int = 200, grain: float = 1.0) -> tuple[torch.Tensor, CompetingRisks]:
    generator = np.random.default_rng(2)
    log_hazard = torch.tensor(generator.normal(size=(rows, 2)), dtype=torch.float32)
    first, second = (generator.exponential(20 * np.exp(-log_hazard[:, k].numpy())) for k in (0, 1))
    censored = generator.uniform(5, 60, rows)
    time = np.ceil(np.minimum(np.minimum(first, second), censored) / grain) * grain
    cause = np.where(censored < np.minimum(first, second), 0, np.where(first < second, 1, 2))
    known = torch.ones(rows, dtype=torch.bool)
    return log_hazard, CompetingRisks(
        torch.tensor(time, dtype=torch.float32), torch.tensor(cause), known, torch.zeros(rows)
    )


def test_the_loss_of_causes_is_the_sum_of_cox_losses_in_which_others_are_censored() -> None:
    log_hazard, outcome = two_causes()
    head, cox = CauseSpecificHead(evidence_dim=1, num_causes=2), CoxHead(evidence_dim=1)
    expected = sum(cox.loss(log_hazard[:, k], outcome.of_cause(k + 1)).item() for k in (0, 1))
    assert head.loss(log_hazard, outcome).item() == pytest.approx(expected)


def test_the_incidences_and_survival_add_up_to_one_and_never_fall() -> None:
    log_hazard, outcome = two_causes()
    head = CauseSpecificHead(evidence_dim=1, num_causes=2, num_times=40)
    assert not head.has_baseline
    head.set_baseline(log_hazard, outcome)
    assert head.has_baseline
    days = torch.tensor([0.0, 3.0, 10.0, 25.0, 500.0])
    extreme = torch.cat([log_hazard, torch.tensor([[100.0, -100.0], [-100.0, 100.0]])])
    incidence = head.cumulative_incidence(extreme, days)
    assert incidence.isfinite().all()
    assert (incidence[:, :, 0] == 0).all()
    assert (incidence.diff(dim=2) >= 0).all()
    torch.testing.assert_close(incidence.sum(dim=1) + head.survival_probability(extreme, days), torch.ones(202, 5))
    risen = head.subdistribution_log_hazard(log_hazard, days)
    assert ((risen.diff(dim=2) >= 0).all(), risen.isfinite().all()) == (True, True)


@pytest.mark.filterwarnings("ignore")  # lifelines jitters ties and says so
def test_without_covariates_the_incidence_is_aalen_and_johansens() -> None:
    lifelines = pytest.importorskip("lifelines")
    _, outcome = two_causes(grain=0.01)  # with few ties exp(-hazard) is nearly 1 - hazard
    head = CauseSpecificHead(evidence_dim=1, num_causes=2, num_times=200)
    head.set_baseline(torch.zeros(200, 2), outcome)
    days = torch.tensor([5.0, 10.0, 20.0, 30.0])
    ours = head.cumulative_incidence(torch.zeros(1, 2), days)[0]
    for cause in (1, 2):
        theirs = lifelines.AalenJohansenFitter(calculate_variance=False, seed=0).fit(
            outcome.time_days.numpy(), outcome.cause.numpy(), event_of_interest=cause
        )
        expected = theirs.cumulative_density_.iloc[:, 0].reindex(days.numpy(), method="ffill").to_numpy()
        np.testing.assert_allclose(ours[cause - 1].numpy(), expected, atol=4e-3)
