"""A step that would spoil the weights is left out and its visits are named; a process that stands still says where."""

import math
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from omicsfm.errors import InputError
from omicsfm.training.guard import REMEMBERED, StepGuard
from omicsfm.training.speed import peak_flops, peak_memory
from omicsfm.training.watchdog import Watchdog


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_step_without_a_finite_gradient_is_at_fault(norm: float) -> None:
    assert "not finite" in StepGuard(spike=None, most_skipped=3).fault(norm)


def test_a_gradient_far_out_of_line_is_at_fault_once_the_usual_is_known() -> None:
    guard = StepGuard(spike=10, most_skipped=2)
    assert not any(guard.fault(norm) for norm in [1000.0, *[1.0] * (REMEMBERED // 2)])
    assert "the gradient norm is 11, usually 1" in guard.fault(11.0)
    assert not guard.ends_the_run
    assert guard.fault(math.inf)
    assert guard.ends_the_run
    assert guard.fault(9.0) == ""
    assert (guard.in_a_row, guard.skipped) == (0, 2)


def test_a_resumed_guard_judges_as_one_that_was_not_stopped() -> None:
    guard, resumed = (StepGuard(spike=10, most_skipped=2) for _ in range(2))
    for norm in [*[1.0] * REMEMBERED, math.nan]:
        guard.fault(norm)
    resumed.load_state_dict(guard.state_dict())
    assert resumed.fault(11.0) == guard.fault(11.0) != ""
    assert resumed.ends_the_run


@pytest.mark.parametrize("trainer", ["cpu", "ddp"])
def test_a_bad_batch_is_left_out_and_named_and_a_third_in_a_row_ends_the_run(
    simulated_store, composed, monkeypatch, tmp_path, capsys, trainer: str
) -> None:
    from omicsfm.training import fit
    from omicsfm.training.run import run

    settings = (
        "task=pretrain",
        "model=tiny",
        "task.epochs=2",
        "data.batch_size=12",
        "logger=none",
        f"trainer={trainer}",
    )
    one = ("trainer.devices=1",) if trainer == "ddp" else ()
    step, planted, before = fit.TrainingModule.training_step, [2], {}

    def plant(module: Any, batch: Any, index: int) -> Any:
        number = module.trainer.global_step
        if number in planted:
            before[number] = module.model.summary.weight.detach().clone()
            tokens = next(iter(batch.measurements.values())).values
            tokens[1] = torch.inf
            batch.row[1] = 12345
        elif number - 1 in before:
            assert torch.equal(module.model.summary.weight, before[number - 1])
        return step(module, batch, index)

    monkeypatch.setattr(fit.TrainingModule, "training_step", plant)
    folder = tmp_path / "run"
    command = [*settings, *one, f"data.store={simulated_store.path}"]
    run(composed(*command, f"run_dir={folder}"))
    assert "step 2: the gradient is not finite; left out. Store rows of its visits: 12345." in capsys.readouterr().err
    planted[:] = [3, 4, 5]
    with pytest.raises(InputError, match=r"step 5.*visits: 12345\. It is number 3 in a row, so the run ends"):
        run(composed(*command, f"run_dir={tmp_path / 'again'}"))


def test_a_process_that_stands_still_writes_its_stacks_and_where_it_was(tmp_path, capsys) -> None:
    watchdog = Watchdog(tmp_path / "hang", minutes=0.05 / 60)
    trainer: Any = SimpleNamespace(global_step=7)
    watchdog.on_train_start(trainer, trainer)
    watchdog.on_train_batch_start(trainer)
    deadline = time.monotonic() + 20
    while "warning" not in (said := capsys.readouterr().err) and time.monotonic() < deadline:
        time.sleep(0.02)
    watchdog.teardown(trainer, trainer, "fit")
    assert "rank 0 is in step 7 for more than" in said
    assert sys._getframe().f_code.co_name in (tmp_path / "hang" / "rank-0.txt").read_text()


def test_the_peak_and_the_memory_of_this_machine_are_numbers_above_zero() -> None:
    assert peak_flops(torch.device("cpu"), "32-true") > 1e8
    assert peak_memory(torch.device("cpu")) > 0.01
