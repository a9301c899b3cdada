"""A run that is started twice gives the same result, and so does one that was killed on the way."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from omicsfm.errors import InputError
from omicsfm.training import callbacks, fit
from omicsfm.training import run as run_module
from omicsfm.training.main import compose
from omicsfm.training.resume import folder as resume_folder
from omicsfm.training.run import run

REPOSITORY = Path(__file__).resolve().parents[2]
EPOCHS = 6
SMALL = (
    "task=pretrain",
    "model=tiny",
    "model.dim=8",
    "model.num_latents=2",
    f"task.epochs={EPOCHS}",
    f"task.patience={EPOCHS}",
    "data.batch_size=24",
    "data.max_features=8",
    "logger=none",
)
KILLED_IN_EPOCH_3 = """
import os, signal, sys
from omicsfm.training import callbacks, main

def die(self, trainer, *_):
    if trainer.current_epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

callbacks.RunLog.on_train_batch_end = die
sys.argv[0] = "train.py"
main.main()
"""

Overrides = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def overrides(simulated_store) -> Overrides:
    """The command line of a run in a folder."""
    return lambda folder: [*SMALL, f"data.store={simulated_store.path}", f"run_dir={folder}"]


@pytest.fixture(scope="module")
def reference(overrides: Overrides, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("resume") / "reference"
    run(compose(overrides(folder)))
    return folder


def log(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    clock = ("visits_per_second", "tokens_per_second", "data_wait", "mfu", "memory_gb")
    return [{name: value for name, value in line.items() if name not in clock} for line in lines]


def assert_same_run(folder: Path, reference: Path) -> None:
    ours, theirs = log(folder), log(reference)
    assert [line["epoch"] for line in ours] == list(range(EPOCHS))
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-6)
    weights, expected = (load_file(f / "checkpoint" / "model.safetensors") for f in (folder, reference))
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, atol=1e-6, rtol=1e-6)
    assert json.loads((folder / "finished.json").read_text()) == pytest.approx(
        json.loads((reference / "finished.json").read_text())
    )
    assert not (folder / "resume").exists()


def test_the_same_command_gives_the_same_losses_and_weights(overrides, reference, tmp_path) -> None:
    torch.manual_seed(999)  # nothing may hang on the global generators
    np.random.seed(999)
    run(compose(overrides(tmp_path / "again")))
    assert log(tmp_path / "again") == log(reference)
    ours, theirs = (f / "checkpoint" / "model.safetensors" for f in (tmp_path / "again", reference))
    assert ours.read_bytes() == theirs.read_bytes()


def test_another_seed_gives_other_losses(overrides, reference, tmp_path) -> None:
    run(compose([*overrides(tmp_path / "other"), "seed=1", "task.epochs=1"]))
    assert log(tmp_path / "other")[0]["val/loss"] != pytest.approx(log(reference)[0]["val/loss"], rel=1e-4)


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(overrides, reference, tmp_path) -> None:
    folder = tmp_path / "killed"
    threads = str(torch.get_num_threads())
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": threads}
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_IN_EPOCH_3, *overrides(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [line["epoch"] for line in log(folder)] == [0, 1, 2]
    assert not (folder / "finished.json").exists()
    run(compose(overrides(folder)))
    assert_same_run(folder, reference)


def test_a_run_resumes_after_its_last_whole_epoch_and_not_from_the_start(
    overrides, reference, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "crashed"
    epochs: list[int] = []
    step = fit.TrainingModule.training_step

    def crash(module: Any, batch: Any, index: int) -> Any:
        epochs.append(module.trainer.current_epoch)
        if len(epochs) == 11:
            raise RuntimeError("power cut")
        return step(module, batch, index)

    monkeypatch.setattr(fit.TrainingModule, "training_step", crash)
    with pytest.raises(RuntimeError, match="power cut"):
        run(compose(overrides(folder)))
    done, before = epochs[-1], len(epochs)
    assert 0 < done < EPOCHS - 1
    run(compose(overrides(folder)))
    assert epochs[before] == done
    assert_same_run(folder, reference)


@pytest.mark.parametrize("when", ["before its patience ends", "after its patience ended"])
def test_a_resumed_run_remembers_its_best_epoch_and_how_long_it_has_waited(
    overrides, tmp_path, monkeypatch, when: str
) -> None:
    folder = tmp_path / "flat"
    command = [*overrides(folder), "optimizer.learning_rate=0.0", "task.patience=3", "task.epochs=8"]
    step = fit.TrainingModule.training_step

    def crash(module: Any, batch: Any, index: int) -> Any:
        if module.trainer.current_epoch == 2:
            raise OSError("power cut")
        return step(module, batch, index)

    def fail(file: Path, text: str) -> None:
        raise OSError("power cut") if file.name == "finished.json" else AssertionError

    with monkeypatch.context() as patch:
        if when == "before its patience ends":
            patch.setattr(fit.TrainingModule, "training_step", crash)
        else:
            run_module.claim(folder, compose(command))
            patch.setattr(run_module, "_write", fail)
        with pytest.raises(OSError, match="power cut"):
            run(compose(command))
    run(compose(command))
    # nothing is learnt: the first epoch is the best, and the third after it the last
    assert [line["epoch"] for line in log(folder)] == [0, 1, 2, 3]
    assert json.loads((folder / "finished.json").read_text())["best epoch"] == 1


@pytest.mark.parametrize("when", ["writing a state", "after the export", "before finished.json"])
def test_a_crash_while_files_are_written_loses_nothing(overrides, reference, tmp_path, monkeypatch, when: str) -> None:
    folder = tmp_path / "crashed"
    with monkeypatch.context() as patch:
        if when == "writing a state":
            calls: list[Path] = []
            write = resume_folder.write_tensors

            def truncated(file: Path, tensors: Any) -> str:
                calls.append(file)
                if len(calls) == 3:
                    file.write_bytes(b"half")
                    raise OSError(errno.ENOSPC, "No space left on device")
                return write(file, tensors)

            patch.setattr(resume_folder, "write_tensors", truncated)
        elif when == "after the export":
            export = callbacks.Export.on_train_epoch_end

            def crash(callback: Any, trainer: Any, module: Any) -> None:
                export(callback, trainer, module)
                if trainer.current_epoch == 2:
                    raise OSError("No space left on device")

            patch.setattr(callbacks.Export, "on_train_epoch_end", crash)
        else:
            write_text = run_module._write

            def fail(file: Path, text: str) -> None:
                if file.name == "finished.json":
                    raise OSError("No space left on device")
                write_text(file, text)

            patch.setattr(run_module, "_write", fail)
        with pytest.raises((OSError, InputError), match="No space left"):
            run(compose(overrides(folder)))
    assert not [left for left in folder.glob("resume/*") if left.name.startswith(".")]
    run(compose(overrides(folder)))
    assert_same_run(folder, reference)


def test_a_finished_run_is_left_alone(overrides, reference, capsys) -> None:
    before = {file: file.stat().st_mtime_ns for file in reference.rglob("*") if file.is_file()}
    assert run(compose(overrides(reference))) == reference / "checkpoint"
    assert "this run is finished" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in reference.rglob("*") if file.is_file()} == before


def test_another_config_in_the_folder_of_a_run_is_refused(overrides, reference) -> None:
    with pytest.raises(InputError, match=r"data\.batch_size is 24; this start has 12"):
        run(compose([*overrides(reference), "data.batch_size=12"]))
