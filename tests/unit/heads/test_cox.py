"""Cox heads: partial likelihoods with ties and delayed entry, safe at their edges, and a baseline that predicts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsfm.contracts import Survival
from omicsfm.heads.cox import CoxHead
from omicsfm.heads.cox_efron import EfronCoxHead
from omicsfm.heads.partial_likelihood import breslow, efron

People = list[tuple[float, int, bool, int]]
LIKELIHOODS = [breslow, efron]


def follow_up(time: torch.Tensor, event: torch.Tensor, observed: torch.Tensor | None = None) -> Survival:
    """Followed from time zero on."""
    known = torch.ones_like(event) if observed is None else observed
    return Survival(time_days=time, event=event, observed=known, entry_days=torch.zeros_like(time))


def naive(likelihood, log_hazard: torch.Tensor, time: torch.Tensor, event: torch.Tensor, entry: torch.Tensor) -> float:
    """The definitions, one risk set at a time; day 0 is before everything."""
    hazard, events = log_hazard.double().exp(), int(event.sum())
    total = -float(log_hazard[event].double().sum())
    for then in time[event].unique():
        at_risk = hazard[(time >= then) & ((entry < then) | (entry == 0))].sum()
        tied = hazard[event & (time == then)]
        for k in range(len(tied)):
            total += float(torch.log(at_risk - (k / len(tied) * tied.sum() if likelihood is efron else 0.0)))
    return total / max(events, 1)


participants = st.lists(
    st.tuples(st.floats(-5, 5, width=32), st.integers(1, 6), st.booleans(), st.integers(0, 5)), min_size=1, max_size=25
)


def columns(people: People) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Who would enter after leaving enters the day before."""
    log_hazard, time, event, entry = zip(*people, strict=True)
    until = torch.tensor(time, dtype=torch.float32)
    return torch.tensor(log_hazard), until, torch.tensor(event), torch.minimum(torch.tensor(entry).float(), until - 1)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@settings(max_examples=60, deadline=None)
@given(participants)
def test_the_loss_is_the_sum_over_risk_sets_with_ties_and_delayed_entry(likelihood, people) -> None:
    expected = naive(likelihood, *columns(people))
    assert likelihood(*columns(people)).item() == pytest.approx(expected, abs=1e-4, rel=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@settings(max_examples=30, deadline=None)
@given(participants)
def test_without_delayed_entry_the_loss_is_the_sum_over_risk_sets(likelihood, people) -> None:
    log_hazard, time, event, _ = columns(people)
    entry = torch.zeros_like(time)
    expected = naive(likelihood, log_hazard, time, event, entry)
    assert likelihood(log_hazard, time, event, entry).item() == pytest.approx(expected, abs=1e-4, rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(participants, st.randoms(use_true_random=False))
def test_the_order_of_participants_does_not_matter(people, random) -> None:
    shuffled = random.sample(people, len(people))
    for likelihood in LIKELIHOODS:
        expected = likelihood(*columns(people)).item()
        assert likelihood(*columns(shuffled)).item() == pytest.approx(expected, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("late", [0.0, 1.0])
def test_a_constant_added_to_every_log_hazard_changes_nothing(likelihood, late: float) -> None:
    log_hazard, time, event = torch.randn(20), torch.randint(2, 6, (20,)).float(), torch.rand(20) < 0.5
    entry = late * (torch.arange(20) % 2)
    torch.testing.assert_close(
        likelihood(log_hazard + 50, time, event, entry),
        likelihood(log_hazard, time, event, entry),
        atol=1e-4,
        rtol=1e-5,
    )


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("late", [0.0, 0.5])
def test_loss_and_gradient_are_finite_at_extreme_log_hazards(likelihood, late: float) -> None:
    log_hazard = torch.tensor([100.0, -100.0, 100.0, -100.0], requires_grad=True)
    entry = torch.tensor([0.0, 0.0, late, late])
    loss = likelihood(log_hazard, torch.tensor([1.0, 1.0, 2.0, 2.0]), torch.tensor([True] * 4), entry)
    loss.backward()
    assert loss.isfinite()
    assert log_hazard.grad is not None
    assert log_hazard.grad.isfinite().all()
    assert loss.item() == pytest.approx(100.0, rel=0.01)  # both early deaths at -100 stand behind 100


def test_who_has_not_entered_yet_is_in_no_risk_set() -> None:
    log_hazard, time = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([2.0, 5.0, 6.0])
    event, entry = torch.tensor([True, False, False]), torch.tensor([0.0, 0.0, 3.0])
    late = breslow(log_hazard, time, event, entry)
    torch.testing.assert_close(late, breslow(log_hazard[:2], time[:2], event[:2], entry[:2]))


def head_with(log_hazard: torch.Tensor, kind: type[CoxHead] = CoxHead) -> tuple[CoxHead, torch.Tensor]:
    head = kind(evidence_dim=1)
    with torch.no_grad():
        head.linear.weight.fill_(1.0)
    return head, log_hazard[:, None]


@pytest.mark.parametrize("kind", [CoxHead, EfronCoxHead])
@pytest.mark.parametrize("visits", [0, 1, 5])
def test_without_events_the_loss_is_zero_and_has_a_gradient(visits: int, kind: type[CoxHead]) -> None:
    head, evidence = head_with(torch.randn(visits), kind)
    outcome = follow_up(torch.ones(visits), torch.zeros(visits, dtype=torch.bool))
    loss = head.loss(head(evidence), outcome)
    assert loss.item() == 0.0
    loss.backward()
    assert head.linear.weight.grad is not None
    assert not head.linear.weight.grad.any()


def test_a_batch_of_one_death_has_a_zero_loss() -> None:
    known = torch.tensor([True])
    head, evidence = head_with(torch.tensor([3.0]))
    outcome = follow_up(torch.tensor([5.0]), known)
    assert head.loss(head(evidence), outcome).item() == 0.0


def test_visits_without_an_outcome_count_nowhere() -> None:
    time, event = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([True, True, False, True])
    head, evidence = head_with(torch.tensor([0.3, -1.0, 0.8, 90.0]))
    observed = torch.tensor([True, True, True, False])
    loss = head.loss(head(evidence), follow_up(time, event, observed))
    assert loss.item() == pytest.approx(naive(breslow, evidence[:3, 0], time[:3], event[:3], torch.zeros(3)), rel=1e-5)


def test_the_baseline_is_breslows_estimate_and_survival_is_its_exponential() -> None:
    generator = np.random.default_rng(0)
    risk = generator.normal(size=40)
    time, event = np.ceil(generator.exponential(5 * np.exp(-risk))), generator.uniform(size=40) < 0.7
    head = CoxHead(evidence_dim=1, num_times=64)
    outcome = follow_up(torch.tensor(time, dtype=torch.float32), torch.tensor(event))
    head.set_baseline(torch.tensor(risk, dtype=torch.float32), outcome)
    asked = np.array([0.0, 0.5, 1.0, 3.0, 3.5, 10.0, 1000.0])
    ours = head.survival_probability(torch.tensor([0.0, 1.3, -2.0]), torch.tensor(asked, dtype=torch.float32))
    for column, t in enumerate(asked):
        steps = [(event & (time == u)).sum() / np.exp(risk[time >= u]).sum() for u in np.unique(time[event]) if u <= t]
        expected = np.exp(-sum(steps) * np.exp([0.0, 1.3, -2.0]))
        np.testing.assert_allclose(ours[:, column].numpy(), expected, rtol=1e-4)
    assert (ours[:, 0] == 1.0).all()


def test_a_baseline_of_more_events_than_it_has_steps_keeps_its_first_and_last() -> None:
    head = CoxHead(evidence_dim=1, num_times=8)
    known = torch.ones(100, dtype=torch.bool)
    outcome = follow_up(torch.arange(1.0, 101.0), known)
    head.set_baseline(torch.zeros(100), outcome)
    assert head.baseline_time_days[0].item() == 1.0
    assert head.baseline_time_days[-1].item() == 100.0
    assert head.baseline_cumulative_hazard[-1].item() == pytest.approx(sum(1 / n for n in range(1, 101)), rel=1e-5)
    assert (head.baseline_cumulative_hazard.diff() > 0).all()
    everyone = head.survival_probability(torch.tensor([-100.0, 0.0, 100.0]), torch.tensor([0.0, 50.0, 200.0]))
    assert everyone.isfinite().all()
    assert ((everyone >= 0) & (everyone <= 1)).all()


def test_one_death_makes_a_baseline_of_one_step() -> None:
    head = CoxHead(evidence_dim=1, num_times=4)
    head.set_baseline(torch.zeros(2), follow_up(torch.tensor([3.0, 5.0]), torch.tensor([True, False])))
    curve = head.survival_probability(torch.zeros(1), torch.tensor([2.9, 3.0, 9.0]))[0]
    torch.testing.assert_close(curve, torch.tensor([1.0, np.exp(-0.5), np.exp(-0.5)], dtype=torch.float32))
