"""When a run saves its state, and how it stops: at step boundaries, all processes at the same one."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from omicsfm.errors import InputError
from omicsfm.training.agreement import Agreement
from omicsfm.training.preemption import ToBeContinued, stop_request
from omicsfm.training.resume.checkpoint_io import StateIO


class SaveStates(pl.Callback):
    """Saves the state after each epoch, every ``every_minutes`` within one, and when the run is asked to stop, which
    it then does; stands last among the callbacks.
    """

    def __init__(self, folder: Path, *, every_minutes: float | int | None) -> None:
        self.folder = folder
        self.every_seconds = float("inf") if every_minutes is None else every_minutes * 60
        self._saved = 0.0
        self._stops = False

    def state_dict(self) -> dict[str, Any]:
        return {"means": self._module.means["train"].state(), "guard": self._module.guard.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._module.means["train"].load(state_dict["means"])
        self._module.guard.load_state_dict(state_dict["guard"])

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        self._module = pl_module

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._agreement = Agreement(wishes=3)
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        loop = trainer.fit_loop
        stop, save, failed = self._agreement.exchange(self._wishes(trainer))
        if loop.epoch_loop.batch_progress.is_last_batch or loop._should_accumulate():
            return  # the end of the epoch saves; a state between steps has no place for half a gradient
        self._act(trainer, save=save or stop, failed=failed)
        if stop:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stops, _, failed = self._agreement.exchange_now(self._wishes(trainer))
        self._act(trainer, save=True, failed=failed)
        trainer.should_stop |= self._stops  # only after this does Lightning hand the epoch's means to the loggers

    def _wishes(self, trainer: pl.Trainer) -> tuple[bool, bool, bool]:
        due = trainer.is_global_zero and time.monotonic() - self._saved > self.every_seconds
        return bool(stop_request), due, self._io(trainer).failed

    def _act(self, trainer: pl.Trainer, *, save: bool, failed: bool) -> None:
        if failed:
            self._fail(trainer)
        if save:
            trainer.save_checkpoint(self.folder / f"step-{trainer.global_step:09d}")
            self._saved = time.monotonic()

    def _stop(self, trainer: pl.Trainer) -> None:
        self.finish(trainer)
        reason = stop_request.reason or "another process was asked to stop"
        raise ToBeContinued(f"{reason}: saved at step {trainer.global_step}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._stops:
            self._stop(trainer)
        self.finish(trainer)

    def finish(self, trainer: pl.Trainer) -> None:
        """Return when the last state is on the disk, on every process."""
        try:
            self._io(trainer).wait()
        except InputError:
            self._agreement.exchange_now((False, False, True))
            raise
        if self._agreement.exchange_now((False, False, False))[2]:
            self._fail(trainer)

    def _fail(self, trainer: pl.Trainer) -> None:
        self._io(trainer).wait()  # raises where the write failed
        raise InputError("the first process cannot save the state; it says why.")

    def _io(self, trainer: pl.Trainer) -> StateIO:
        io = trainer.strategy.checkpoint_io
        assert isinstance(io, StateIO)
        return io
