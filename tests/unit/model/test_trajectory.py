"""What a trajectory may know: the past of the same participant, whatever stands beside it in the batch."""

import pytest
import torch

from omicsfm.model.trajectory import TrajectoryEncoder
from omicsfm.model.trajectory_decoder import ForecastDecoder

VISITS = 12


@pytest.fixture
def encoder() -> TrajectoryEncoder:
    torch.manual_seed(0)
    encoder = TrajectoryEncoder(embedding_dim=5, dim=8, num_heads=2, depth=2, window=3)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # layers that start at zero would hide a leak
    return encoder.eval()


@pytest.fixture
def visits() -> dict[str, torch.Tensor]:
    """Three participants with 6, 4 and 2 visits at irregular times, in no order."""
    generator = torch.Generator().manual_seed(1)
    participant = torch.tensor([7] * 6 + [3] * 4 + [9] * 2)
    order = torch.randperm(VISITS, generator=generator)
    return {
        "visit": torch.randn(VISITS, 5, generator=generator),
        "participant": participant[order],
        "time_days": (torch.rand(VISITS, generator=generator) * 4000).round(),
        "age_years": torch.where(torch.arange(VISITS) % 3 > 0, 40.0 + torch.arange(VISITS), torch.nan),
    }


def replaced(visits: dict[str, torch.Tensor], rows: torch.Tensor, **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        name: torch.where(rows if value.ndim == 1 else rows[:, None], changes.get(name, value), value)
        for name, value in visits.items()
    }


def test_changing_the_future_or_somebody_else_does_not_change_a_state(encoder, visits) -> None:
    before = encoder(**visits)
    for row in range(VISITS):
        past = (visits["participant"] == visits["participant"][row]) & (visits["time_days"] < visits["time_days"][row])
        other = ~past
        other[row] = False
        changed = encoder(**replaced(visits, other, visit=visits["visit"] + 9.0, age_years=torch.full((VISITS,), 99.0)))
        torch.testing.assert_close(changed[row], before[row])


def test_changing_the_past_changes_a_state(encoder, visits) -> None:
    before = encoder(**visits)
    first = visits["time_days"] == visits["time_days"][visits["participant"] == 7].min()
    changed = encoder(**replaced(visits, first, visit=visits["visit"] + 9.0))
    moved = (changed - before).abs().amax(dim=1) > 1e-4
    assert moved.tolist() == (visits["participant"] == 7).tolist()


def test_a_state_does_not_depend_on_the_order_of_the_batch_or_on_batch_mates(encoder, visits) -> None:
    before, order = encoder(**visits), torch.randperm(VISITS)
    torch.testing.assert_close(encoder(**{name: value[order] for name, value in visits.items()}), before[order])
    own = visits["participant"] == 3
    torch.testing.assert_close(encoder(**{name: value[own] for name, value in visits.items()}), before[own])


def test_visits_at_one_time_do_not_see_each_other(encoder, visits) -> None:
    together = replaced(visits, torch.ones(VISITS, dtype=torch.bool), time_days=torch.full((VISITS,), 5.0))
    before = encoder(**together)
    changed = encoder(**replaced(together, torch.arange(VISITS) == 0, visit=visits["visit"] + 9.0))
    torch.testing.assert_close(changed[1:], before[1:])


def test_a_state_reaches_back_depth_times_window_visits(encoder) -> None:
    long = {
        "visit": torch.randn(20, 5),
        "participant": torch.zeros(20, dtype=torch.long),
        "time_days": torch.arange(20.0),
        "age_years": torch.full((20,), torch.nan),
    }
    before = encoder(**long)
    changed = encoder(**replaced(long, torch.arange(20) == 0, visit=long["visit"] + 9.0))
    moved = (changed - before).abs().amax(dim=1) > 1e-6
    assert moved.tolist() == [place <= encoder.reach for place in range(20)]


def test_the_time_between_visits_matters(encoder, visits) -> None:
    before = encoder(**visits)
    later = encoder(**{**visits, "time_days": 3 * visits["time_days"]})
    assert not torch.allclose(before, later, atol=1e-3)


def test_two_thousand_visits_of_one_participant_in_a_batch_are_finite(encoder) -> None:
    visits = 2_000  # whoever has more than a window comes in pieces (ParticipantSampler)
    state = encoder(
        torch.randn(visits, 5), torch.zeros(visits).long(), torch.arange(visits) * 1.0, torch.full((visits,), torch.nan)
    )
    assert state.isfinite().all()


def test_an_untrained_forecast_is_the_last_observation() -> None:
    encoder = TrajectoryEncoder(embedding_dim=5, dim=8, num_heads=2, depth=1)
    decoder = ForecastDecoder(num_features=4, dim=8)
    ahead = torch.tensor([30.0, 4000.0])
    last = torch.tensor([[1.5, torch.nan, -2.0], [0.3, 0.0, torch.nan]])
    ids = torch.tensor([[0, 1, 3], [3, 2, 1]])
    forecast = decoder(encoder.ahead(torch.randn(2, 8), ahead), ahead, last, ids)
    torch.testing.assert_close(forecast.mean, last.nan_to_num(0.0))  # 0 is the training median
