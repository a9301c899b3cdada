"""The one command for GPUs: what it judges with one and without, and that padding is computed but never counted."""

from typing import Any

import pytest
import torch

from benchmarks.contestants.gpu_step import batch_of, losses, pad
from benchmarks.contestants.step import Step
from benchmarks.gpu import SIZES, _goals, _rows, _task

RATES = {"visits_per_second": 9e3, "tokens_per_second": 5e6, "product": 8e14, "gb": 9.0}
FOUND: Any = {
    "parameters": 79_000_000,
    "packed": {**RATES, "flops": 3.2e14, "mfu": 0.4},
    "padded": {**RATES, "flops": 2.4e14, "mfu": 0.3},
}


def test_without_a_gpu_nothing_is_judged_or_shown_as_measured() -> None:
    assert {goal.verdict for goal in _goals(SIZES[1], "inductor", FOUND, "no GPU")} == {"no GPU"}
    assert all(goal.value is None for goal in _goals(SIZES[1], "inductor", FOUND, "no GPU"))
    assert all(row.count("not measured") == 4 for row in _rows(SIZES[1], "inductor", FOUND, "no GPU"))


@pytest.mark.parametrize(("size", "verdict"), [(SIZES[0], "pass"), (SIZES[1], "fail")])
def test_on_a_gpu_the_packed_and_compiled_step_must_reach_its_share_of_a_product(size: Any, verdict: str) -> None:
    packed, padded = _goals(size, "inductor", FOUND, None)
    assert packed.verdict == verdict
    assert packed.ratio == pytest.approx(0.4)
    assert not padded.must


def test_a_padded_step_computes_every_place_of_the_batch() -> None:
    task = _task(SIZES[0], None, on_gpu=False)
    batch, step, seen = batch_of(task, 0), Step(task["features"], task["overrides"]), []
    step.model.encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0].value)))
    step(batch)
    packed, places = seen[0], sum(m.values.numel() for m in batch.measurements.values())
    pad(step.model)
    step(batch)
    assert packed < sum(int(m.observed.sum()) for m in batch.measurements.values()) < places == seen[-1]


def test_losses_fall_and_are_nearly_the_same_in_half_precision() -> None:
    task = _task(SIZES[0], None, on_gpu=False)
    whole, half = (losses(task, torch.device("cpu"), dtype) for dtype in (None, torch.bfloat16))
    assert whole[-1] < whole[0]
    assert half == pytest.approx(whole, rel=2e-2)
    assert half != whole
