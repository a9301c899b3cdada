"""Runs of train.py over two gloo processes on this machine, beside the same runs on one."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from omicsfm.data.store import OmicsStore

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 300
"""Longest a run may take before it counts as stuck; it takes about 10."""
LOSS_TOLERANCE = 2e-6
"""Relative. Measured: 2.3e-7, two units of float32, over 10 epochs of 6 steps."""
WEIGHT_TOLERANCE = 5e-6
"""Absolute, of weights of order one. Measured: 4.8e-7."""

Process = subprocess.Popen[str]


class Runs:
    """Starts runs, waits for them or kills them, and compares what they leave."""

    train = (sys.executable, str(REPOSITORY / "train.py"))

    def start(self, *command: str, **variables: str) -> Process:
        """A started program, in a process group of its own."""
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            command,
            env={**environment, **variables},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self, *processes: Process) -> None:
        """Wait for programs and require that each ends with status 0 and no warning."""
        ended = []
        for process in processes:
            try:
                ended.append(process.communicate(timeout=SECONDS))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                ended.append(process.communicate())
        for process, (printed, errors) in zip(processes, ended, strict=True):
            assert process.returncode == 0, f"{printed}\n{errors}"
            assert "Warning" not in errors, errors

    def kill(self, process: Process, *, after: str) -> None:
        """SIGKILL to all processes of a run once it prints a line with ``after``."""
        stuck = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        stuck.start()
        assert process.stdout is not None
        reached = any(after in line for line in process.stdout)
        stuck.cancel()
        if reached:
            os.killpg(process.pid, signal.SIGKILL)
        errors = process.communicate()[1]
        assert reached, f"ended, or was stuck for {SECONDS} s, before it printed '{after}'\n{errors}"
        assert process.returncode == -signal.SIGKILL, errors

    def assert_same(self, run: Path, expected: Path) -> None:
        """Require the losses of every epoch and the exported weights of another run."""
        self.assert_same_losses(run, expected)
        weights, wanted = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (run, expected))
        torch.testing.assert_close(weights, wanted, rtol=0, atol=WEIGHT_TOLERANCE)

    def assert_same_losses(self, run: Path, expected: Path, tolerance: float = LOSS_TOLERANCE) -> None:
        """Require the losses of every epoch of another run, each term of them."""
        records, wanted = self._log(run), self._log(expected)
        assert [record["epoch"] for record in records] == [record["epoch"] for record in wanted]
        for record, want in zip(records, wanted, strict=True):
            losses = {name: value for name, value in want.items() if "/" in name}
            assert {"train/loss", "val/loss"} < losses.keys()
            found = {name: record[name] for name in losses}
            assert found == pytest.approx(losses, rel=tolerance, abs=1e-6), f"epoch {want['epoch']}"

    def _log(self, run: Path) -> list[dict[str, float]]:
        return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def runs() -> Runs:
    return Runs()


@pytest.fixture(scope="session")
def pretraining(simulated_store: OmicsStore) -> tuple[str, ...]:
    """A pretraining in which little is even: the last batch holds one of 82 visits, so that a rank has none; of nine
    visits one rank has five and often no proteome; features are drawn; gradients are clipped to a tenth.
    """
    return (
        *Runs.train,
        "task=pretrain",
        f"data.store={simulated_store.path}",
        "model=tiny",
        "task.epochs=4",
        "task.gradient_clip=0.1",
        "data.batch_size=9",
        "data.max_features=8",
    )


@pytest.fixture(scope="session")
def alone(runs: Runs, pretraining: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that pretraining on one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    runs.finish(runs.start(*pretraining, f"run_dir={folder}"))
    return folder
