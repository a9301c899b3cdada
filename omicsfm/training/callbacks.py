"""What happens around training: keep the best weights, save to resume, log, show progress."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.strategies import Strategy
from torch import Tensor
from tqdm import tqdm

from omicsfm import distributed
from omicsfm.training.speed import Speed

VALIDATION_LOSS = "val/loss"
MODEL = "model."
"""Before the names of the model's weights among those of a training."""


class BestWeights(pl.Callback):
    """Keeps the weights of the epoch with the lowest validation loss, also through a resume."""

    def __init__(self) -> None:
        self.loss = float("inf")
        self.epoch = -1
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loss = float(trainer.callback_metrics[VALIDATION_LOSS])
        if loss < self.loss:
            self.loss, self.epoch = loss, trainer.current_epoch
            self.weights = whole_state(trainer.strategy)

    def state_dict(self) -> dict[str, Any]:
        return {"loss": self.loss, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loss, self.epoch, self.weights = state_dict["loss"], state_dict["epoch"], state_dict["weights"]


class Patience(EarlyStopping):
    """Stops when the validation loss has not fallen for ``patience`` epochs, in a resumed run as in any other."""

    def __init__(self, patience: int) -> None:
        # Lightning calls it last at the end of an epoch, behind SaveStates, which would miss the epoch's verdict
        super().__init__(VALIDATION_LOSS, patience=patience, check_finite=True, check_on_train_epoch_end=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:  # killed after its last epoch
            trainer.should_stop = True


class RunLog(pl.Callback):
    """One JSON line per epoch in ``log.jsonl``: the record that trackers mirror. Repeated epochs replace their line."""

    def __init__(self, file: Path, speed: Speed) -> None:
        self.file = file
        self.speed = speed

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if distributed.rank() == 0 and self.file.exists():
            lines = [json.loads(line) for line in self.file.read_text().splitlines()]
            kept = [json.dumps(line) + "\n" for line in lines if line["epoch"] < trainer.current_epoch]
            self.file.write_text("".join(kept))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        record: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        record |= {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        record |= self.speed.measured
        if distributed.rank() == 0:
            with self.file.open("a") as stream:
                stream.write(json.dumps(record) + "\n")


class Progress(pl.Callback):
    """A bar with loss, visits per second and time left on a terminal; a plain line per epoch elsewhere."""

    def __init__(self, *, title: str, total_steps: int, speed: Speed) -> None:
        self.title = title
        self.speed = speed
        self._shown = 0.0
        self.total_steps = total_steps
        self._bar: tqdm | None = None
        self._visits, self._started, self._first_step = 0, 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started, self._first_step = time.perf_counter(), trainer.global_step
        if distributed.rank() == 0 and sys.stderr.isatty():
            self._bar = tqdm(
                total=self.total_steps,
                initial=trainer.global_step,
                desc=self.title,
                unit="step",
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps "
                "[{elapsed}, {remaining} left{postfix}]",
            )

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:  # type: ignore[no-untyped-def]
        self._visits += len(batch) * distributed.world_size()
        if self._bar is not None:
            self._bar.update()
            now = time.monotonic()
            if now - self._shown > 1.0:  # to read the loss is to wait for the device
                self._shown = now
                said = f", loss {float(outputs['loss']):.3f}, gradient {pl_module.gradient_norm:.2g}"
                self._bar.set_postfix_str(f"{said}, {self._rate():.0f} visits/s{self.speed.said}", refresh=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if distributed.rank() or self._bar is not None:
            return
        done = trainer.global_step - self._first_step
        left = (time.perf_counter() - self._started) / max(done, 1) * (self.total_steps - trainer.global_step)
        train, val = (float(trainer.callback_metrics[name]) for name in ("train/loss", VALIDATION_LOSS))
        print(
            f"{self.title}: epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, loss {train:.4f}, "
            f"validation {val:.4f}, {self._rate():.0f} visits/s{self.speed.said}, at most {left:.0f} s left",
            flush=True,
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._bar is not None:
            self._bar.close()

    def _rate(self) -> float:
        return self._visits / max(time.perf_counter() - self._started, 1e-9)


class Export(pl.Callback):
    """Calls ``write`` on rank zero whenever the best weights are new."""

    def __init__(self, *, best: BestWeights, write: Callable[[dict[str, Tensor], int, float], None]) -> None:
        self.best = best
        self.write = write

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if distributed.rank() == 0 and self.best.epoch == trainer.current_epoch:
            self.write(self.best.weights, self.best.epoch, self.best.loss)


def whole_state(strategy: Strategy) -> dict[str, Tensor]:
    """A copy of the model's weights in host memory on every process, gathered where they are sharded."""
    whole = strategy.lightning_module_state_dict().items()
    return {
        name.removeprefix(MODEL): tensor.detach().to("cpu", copy=True)
        for name, tensor in whole
        if name.startswith(MODEL)
    }
