"""Batch: what is withheld stays withheld, and what is moved keeps its dtype."""

import pytest
import torch

from omicsfm.contracts import Batch, ClassLabel, Measurement, Quantity, Survival


@pytest.fixture
def batch() -> Batch:
    observed = torch.tensor([[True, True, False], [True, False, True]])
    measurement = Measurement(
        feature_ids=torch.tensor([[0, 1, 2], [0, 1, 2]]),
        values=torch.tensor([[1.0, 2.0, 0.0], [4.0, 0.0, 6.0]]),
        observed=observed,
        below_limit=torch.tensor([[False, True, False], [False, False, False]]),
        queried=torch.zeros(2, 3, dtype=torch.bool),
    )
    known = torch.tensor([True, True])
    return Batch(
        participant=torch.tensor([0, 1]),
        time_days=torch.tensor([0.0, 365.0]),
        row=torch.tensor([10, 11]),
        measurements={"proteome": measurement},
        outcomes={
            "severe": ClassLabel(class_id=torch.tensor([0, 1]), observed=known),
            "bmi": Quantity(value=torch.tensor([21.5, 30.1]), observed=known),
            "death": Survival(
                time_days=torch.tensor([365.0, 10_001.0], dtype=torch.float64),
                event=torch.tensor([True, False]),
                observed=known,
                entry_days=torch.zeros(2, dtype=torch.float64),
            ),
        },
    )


def test_a_queried_value_is_gone_from_values_and_flags(batch: Batch) -> None:
    asked = batch.query("proteome", torch.tensor([[False, True, True], [False, False, True]])).measurements["proteome"]
    torch.testing.assert_close(asked.values, torch.tensor([[1.0, 0.0, 0.0], [4.0, 0.0, 0.0]]))
    assert not asked.below_limit.any()
    assert asked.visible.tolist() == [[True, False, False], [True, False, False]]


def test_an_unmeasured_feature_cannot_be_queried(batch: Batch) -> None:
    asked = batch.query("proteome", torch.ones(2, 3, dtype=torch.bool)).measurements["proteome"]
    assert asked.queried.tolist() == [[True, True, False], [True, False, True]]


def test_a_query_leaves_the_truth_in_the_batch_it_was_asked_of(batch: Batch) -> None:
    before = batch.measurements["proteome"].values.clone()
    batch.query("proteome", torch.ones(2, 3, dtype=torch.bool))
    torch.testing.assert_close(batch.measurements["proteome"].values, before)
    assert not batch.measurements["proteome"].queried.any()


def test_two_queries_add_up(batch: Batch) -> None:
    first = torch.tensor([[True, False, False], [False, False, False]])
    second = torch.tensor([[False, False, False], [True, False, False]])
    both = batch.query("proteome", first).query("proteome", second).measurements["proteome"]
    assert both.queried[:, 0].tolist() == [True, True]


def test_moving_a_batch_keeps_every_dtype_and_value(batch: Batch) -> None:
    moved = batch.to("cpu")
    assert moved.participant.dtype == torch.int64
    assert moved.outcomes["severe"].class_id.dtype == torch.int64
    assert moved.outcomes["death"].time_days.dtype == torch.float64
    assert moved.outcomes["death"].time_days[0].item() == 365.0
    assert moved.measurements["proteome"].observed.dtype == torch.bool
    torch.testing.assert_close(moved.measurements["proteome"].values, batch.measurements["proteome"].values)


def test_lightnings_precision_plugins_leave_a_batch_alone(batch: Batch) -> None:
    from lightning_utilities.core.apply_func import apply_to_collection

    cast = apply_to_collection(
        batch, torch.Tensor, lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor
    )
    assert cast is batch
    assert batch.outcomes["death"].time_days[0].item() == 365.0


def test_a_batch_counts_its_visits(batch: Batch) -> None:
    assert len(batch) == 2
