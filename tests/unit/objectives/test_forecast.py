"""The forecast objective: from the history, never from the visit that is forecast."""

from dataclasses import replace

import pytest
import torch

from omicsfm.contracts import Batch
from omicsfm.model.trajectory import is_earlier
from omicsfm.objectives.forecast import Forecast, carried_forward


@pytest.fixture
def longitudinal(make_spec):
    """A model that reads histories, with weights that are random everywhere."""
    from omicsfm.build import build

    spec = make_spec()
    sizes = {name: parts["tokenizer"]["num_features"] for name, parts in spec["modalities"].items()}
    for name, parts in spec["modalities"].items():
        forecaster = {"_target_": "omicsfm.model.trajectory_decoder.ForecastDecoder", "dim": 8}
        parts["forecaster"] = {**forecaster, "num_features": sizes[name]}
    trajectory = {"embedding_dim": 24, "dim": 8, "num_heads": 2, "depth": 1}
    spec["trajectory"] = {"_target_": "omicsfm.model.trajectory.TrajectoryEncoder", **trajectory}
    torch.manual_seed(0)
    model = build(spec)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def batch(make_batch) -> Batch:
    """Six visits of two participants, the last of them alone."""
    made = make_batch()
    return made._with(participant=torch.tensor([0, 0, 0, 1, 1, 2]), time_days=torch.tensor([0.0, 10, 400, 5, 6, 0]))


def with_values(batch: Batch, rows: list[int], shift: float) -> Batch:
    moved = {
        name: replace(m, values=m.values + shift * torch.isin(torch.arange(len(batch)), torch.tensor(rows))[:, None])
        for name, m in batch.measurements.items()
    }
    return batch._with(measurements=moved)


def test_a_visit_is_forecast_without_its_own_values(longitudinal, batch, monkeypatch) -> None:
    """The last visit of a participant is asked for, so changing it changes the loss and no forecast."""
    seen = []
    original = type(longitudinal).forecast

    def spy(self, *args, **kwargs):
        found = original(self, *args, **kwargs)
        seen.append(found.mean.detach().clone())
        return found

    monkeypatch.setattr(type(longitudinal), "forecast", spy)
    objective = Forecast(skip=0.0)
    first = objective(longitudinal, batch).total
    changed = objective(longitudinal, with_values(batch, [2, 4], 3.0)).total
    half = len(seen) // 2
    for before, after in zip(seen[:half], seen[half:], strict=True):
        torch.testing.assert_close(before, after)
    assert not torch.isclose(first, changed)


def test_visits_without_a_history_give_no_loss_and_a_gradient(longitudinal, batch) -> None:
    alone = batch._with(participant=torch.arange(6))
    loss = Forecast()(longitudinal, alone)
    assert loss.total == 0.0
    loss.total.backward()
    assert all(p.grad is not None for n, p in longitudinal.named_parameters() if "forecaster.kept" in n)


def test_a_history_ends_at_the_visit_before_or_at_any_earlier_one(batch) -> None:
    earlier = is_earlier(batch.participant, batch.time_days)
    nearest, there = Forecast(skip=0.0)._ends(batch, earlier)
    assert there.tolist() == [False, True, True, False, True, False]
    assert nearest[there].tolist() == [0, 1, 3]
    ends = {int(Forecast(skip=1.0)._ends(batch._with(seed=seed), earlier)[0][2]) for seed in range(40)}
    assert ends == {0, 1}


def test_values_are_carried_over_visits_that_lack_them(batch) -> None:
    earlier = is_earlier(batch.participant, batch.time_days)
    measured = batch.measurements["transcriptome"]
    panel = carried_forward(measured, earlier, 9)
    for feature in range(9):
        known = None
        for row in (0, 1, 2):
            place = (measured.visible[row] & (measured.feature_ids[row] == feature)).nonzero()
            known = measured.values[row, place[0, 0]] if len(place) else known
            found = panel[row, feature]
            assert found.isnan() if known is None else found == known


def test_a_queried_value_is_not_carried_forward(batch) -> None:
    name = "transcriptome"
    withheld = batch.query(name, batch.measurements[name].observed)
    panel = carried_forward(withheld.measurements[name], is_earlier(batch.participant, batch.time_days), 9)
    assert panel.isnan().all()
