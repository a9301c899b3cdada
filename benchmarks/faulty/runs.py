"""Small runs in forked processes: importing torch a hundred times would take longer than the training."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from omicsfm.command import run_command
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.synthetic import simulate
from omicsfm.training import module, speed
from omicsfm.training.main import compose
from omicsfm.training.preemption import ToBeContinued, exit_status
from omicsfm.training.run import run

EPOCHS = 3
TRAINING = (
    "task=pretrain", "model=tiny", f"task.epochs={EPOCHS}", f"task.patience={EPOCHS}", "data.batch_size=12",
    "data.max_features=8", "logger=none", "resume.every_minutes=0",
)  # fmt: skip
Change = Callable[[], None]
"""What is changed in a process before it trains."""


speed.peak_flops = lambda *_: 1.0  # a part of a second of each start, for a figure that nobody reads here


def make_store(folder: Path) -> Path:
    """A small simulated store."""
    cohort = simulate(folder / "cohort.h5mu", participants=48, visits=2, seed=1, genes=24, proteins=16, metabolites=12)
    prepare(cohort, folder / "store")
    return folder / "store"


class Trained:
    """A run folder, and the processes that train in it; a state is saved after every step."""

    def __init__(self, store: Path, folder: Path, *overrides: str) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.command = [*TRAINING, f"data.store={store}", f"run_dir={self.run}", *overrides]
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, change: Change | None = None, **variables: str) -> int:
        """The id of a forked process that trains; what it says goes to ``said``."""
        process = os.fork()
        if process:
            return process
        try:
            said = os.open(self.folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os.environ |= variables
            if variables.get("RANK", "0") == "0":
                self._note_steps()
            if change:
                change()
            run_command(self._train)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(70)
        sys.stdout.flush()
        os._exit(0)

    def start_pair(self) -> tuple[int, int]:
        """The ids of two processes that train together, the first first."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {"TORCHELASTIC_RUN_ID": "faults", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
        shared |= {"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
        return self.start(RANK="0", LOCAL_RANK="0", **shared), self.start(RANK="1", LOCAL_RANK="1", **shared)

    def finish(self, process: int, *, seconds: float = 600) -> int:
        """The exit status of a process, negative where a signal ended it; one that hangs is killed and is -9."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def steps(self) -> list[tuple[int, int]]:
        """The process and the number of every step that was taken, in order."""
        file = self.folder / "steps"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(process), int(step)) for process, step in map(str.split, lines)]

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text() if (self.folder / "said").exists() else ""

    def result(self) -> tuple[Any, ...]:
        """Losses of every epoch and weights of the export, for comparison with another run's."""
        lines = [json.loads(line) for line in (self.run / "log.jsonl").read_text().splitlines()]
        losses = tuple(tuple(v for k, v in sorted(line.items()) if k.endswith("loss")) for line in lines)
        weights = load_file(self.run / "checkpoint" / "model.safetensors")
        return losses, {name: tensor.numpy().tobytes() for name, tensor in weights.items()}

    def _train(self) -> int:
        try:
            run(compose(self.command))
        except ToBeContinued as why:
            print(f"{why}; the same command goes on from there", file=sys.stderr, flush=True)
            return exit_status()
        return 0

    def _note_steps(self) -> None:
        step = module.TrainingModule.training_step
        notes = os.open(self.folder / "steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def noted(own: Any, batch: Any, index: int) -> Any:
            os.write(notes, f"{os.getpid()} {own.trainer.global_step}\n".encode())
            return step(own, batch, index)

        module.TrainingModule.training_step = noted  # type: ignore[method-assign]
