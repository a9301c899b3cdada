"""A run that is asked to stop saves at the next step and, started again, ends as if it had not been stopped."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from omicsfm import cli
from omicsfm.checkpoint import load_checkpoint
from omicsfm.errors import InputError
from omicsfm.training import fit, preemption
from omicsfm.training.main import compose
from omicsfm.training.preemption import ToBeContinued
from omicsfm.training.resume.folder import read_state, saved_states
from omicsfm.training.run import run

EPOCHS = 3
Start = Callable[..., None]


@pytest.fixture(scope="module")
def start(simulated_store) -> Start:
    """Starts a run of about four steps an epoch in a folder."""

    def started(folder: Path, *overrides: str) -> None:
        command = (
            "task=pretrain", "model=tiny", "model.dim=8", "model.num_latents=2", f"task.epochs={EPOCHS}",
            f"task.patience={EPOCHS}", "data.batch_size=20", "data.max_features=8", "logger=none",
            f"data.store={simulated_store.path}", f"run_dir={folder}",
        )  # fmt: skip
        run(compose([*command, *overrides]))

    return started


@pytest.fixture(scope="module")
def reference(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("preemption") / "reference"
    start(folder)
    return folder


def log(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "/" in k or k in ("epoch", "step")} for line in lines]


def stop_at(monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...], number: signal.Signals) -> list[int]:
    """Send ourselves a signal in the middle of these steps; returns the list that collects the steps taken."""
    taken: list[int] = []
    step = fit.TrainingModule.training_step

    def stopping(module: Any, batch: Any, index: int) -> Any:
        loss = step(module, batch, index)
        taken.append(module.trainer.global_step)
        if taken[-1] in steps and taken.count(taken[-1]) == 1:
            os.kill(os.getpid(), number)
            while not preemption.stop_request:
                time.sleep(0.001)
        return loss

    monkeypatch.setattr(fit.TrainingModule, "training_step", stopping)
    return taken


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_run_stopped_in_the_middle_of_epochs_takes_every_step_once(
    start: Start, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    expected = log(reference)
    stops = (0, 2, expected[0]["step"] - 1, expected[0]["step"] + 1)  # at first, within, at the end of an epoch
    taken = stop_at(monkeypatch, tuple(map(int, stops)), number)
    folder = tmp_path / "run"
    for _ in stops:
        with pytest.raises(ToBeContinued, match=f"{number.name}: saved at step"):
            start(folder)
    start(folder)
    assert taken == list(range(int(expected[-1]["step"])))
    assert log(folder) == expected
    ours, theirs = (load_file(f / "checkpoint" / "model.safetensors") for f in (folder, reference))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_state_saved_within_an_epoch_by_the_clock_changes_nothing(
    start: Start, reference: Path, tmp_path: Path
) -> None:
    start(tmp_path / "run", "resume.every_minutes=0", "resume.keep=1")
    assert log(tmp_path / "run") == log(reference)


def test_a_run_stops_when_its_time_is_over(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ToBeContinued, match="the time it has is nearly over: saved at step"):
        start(tmp_path / "run", "resume.stop_after_minutes=0.03", "task.epochs=2000", "task.patience=2000")
    assert len(saved_states(tmp_path / "run" / "resume")) <= 3
    with pytest.raises(InputError, match="stop_after_minutes is -1"):
        start(tmp_path / "run", "resume.stop_after_minutes=-1")


def test_where_a_stopped_run_stands_is_exported_as_a_checkpoint(
    start: Start, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, exported = tmp_path / "run", tmp_path / "exported"
    stop_at(monkeypatch, (6,), signal.SIGUSR1)
    with pytest.raises(ToBeContinued):
        start(folder)
    cli.main(["export", str(folder), str(exported)])
    assert f"step 8 of {folder}" in capsys.readouterr().out  # all agree one step after the one that was asked
    weights = load_checkpoint(exported).model.state_dict()
    state = read_state(saved_states(folder / "resume")[0])["state_dict"]
    assert all(torch.equal(state[f"model.{name}"], tensor) for name, tensor in weights.items())
    assert load_checkpoint(exported).provenance["metrics"] == {"steps taken": 8}
    cli.main(["export", str(reference), str(tmp_path / "best")])
    assert "the best epoch" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1"):
        cli.main(["export", str(folder), str(exported)])


def test_a_run_that_is_killed_while_its_states_are_removed_is_finished(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(folder: Path, **_: Any) -> None:
        (saved_states(folder)[0] / "state.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("omicsfm.training.run.shutil", SimpleNamespace(rmtree=killed))
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "run")
    start(tmp_path / "run")
    assert "this run is finished" in capsys.readouterr().out


def test_the_handlers_of_the_process_are_those_of_before(start: Start, reference: Path) -> None:
    before = [signal.getsignal(number) for number in preemption.STOP_SIGNALS]
    start(reference)
    assert [signal.getsignal(number) for number in preemption.STOP_SIGNALS] == before


def test_a_damaged_newest_state_is_passed_over_for_the_one_before(
    start: Start, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    stop_at(monkeypatch, (9,), signal.SIGUSR1)
    with pytest.raises(ToBeContinued):
        start(folder)
    newest, before, *_ = saved_states(folder / "resume")
    tensors = newest / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    start(folder)
    warned = capsys.readouterr().err
    assert f"{tensors}: differs from what was written" in warned
    assert log(folder) == log(reference)
    assert before.name < newest.name
