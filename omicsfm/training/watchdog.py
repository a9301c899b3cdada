"""A process that takes no step any more says where it stands, so that a hung run can be told from a slow one."""

import faulthandler
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from omicsfm import distributed


class Watchdog(pl.Callback):
    """Writes the stacks of this process to ``folder`` when a step takes longer than ``minutes``.

    Each process has one: those that wait in a collective name it, and the one they wait for stands elsewhere, or has
    no report because it was stopped or died.
    """

    def __init__(self, folder: Path, *, minutes: float | int) -> None:
        self.folder = folder
        self.seconds = 60.0 * minutes
        self._place, self._since = "", 0.0
        self._done = threading.Event()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._file = self.folder / f"rank-{distributed.rank()}.txt"
        self._rank = distributed.rank()
        self._reached("before the first step")
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self._reached(f"in step {trainer.global_step}")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._reached(f"waiting for the batch of step {trainer.global_step}")

    def on_validation_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._reached(f"in the validation after step {trainer.global_step}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._reached(f"at the end of epoch {trainer.current_epoch + 1}")

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self._done.set()

    def _reached(self, place: str) -> None:
        self._place, self._since = place, time.monotonic()

    def _watch(self) -> None:
        reported = -1.0
        while not self._done.wait(min(self.seconds / 4, 10.0)):
            since, place = self._since, self._place
            if time.monotonic() - since > self.seconds and since != reported:
                self._report(place)
                reported = since

    def _report(self, place: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._file.open("w") as stream:
            stream.write(f"rank {self._rank}, process {os.getpid()}, {place} for more than {self.seconds:.0f} s\n\n")
            stream.flush()
            faulthandler.dump_traceback(stream, all_threads=True)
        print(
            f"warning: rank {self._rank} is {place} for more than {self.seconds:.0f} s; its stacks are in {self._file}."
            " A rank without such a file has been stopped or has died.",
            file=sys.stderr,
            flush=True,
        )
