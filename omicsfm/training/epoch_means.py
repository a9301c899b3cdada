"""Means of the losses over an epoch, kept through a resume in the middle of it."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from omicsfm import distributed
from omicsfm.errors import InputError


class Means:
    """Means over batches, each counting the visits that it holds on all processes together.

    Only sums on the training device are kept per step, where Lightning keeps and checks one metric object per value.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.sums: Tensor | None = None
        self.visits = 0

    def add(self, values: Mapping[str, Tensor], visits: int) -> None:
        """Values of this process, whose means over the processes are those of the batch."""
        row = torch.stack(list(values.values())).detach().double() * visits
        if tuple(values) != self.names and self.names:
            raise ValueError(f"a step gave the losses {tuple(values)}, the ones before {self.names}")
        self.names = tuple(values)
        self.sums = row if self.sums is None else self.sums + row.to(self.sums.device)
        self.visits += visits

    def state(self) -> dict[str, Any]:
        """As of one process; every process calls it."""
        shared = None if self.sums is None else distributed.all_sum(self.sums) / distributed.world_size()
        return {"names": list(self.names), "sums": None if shared is None else shared.tolist(), "visits": self.visits}

    def load(self, state: Mapping[str, Any]) -> None:
        self.names, self.visits = tuple(state["names"]), state["visits"]
        self.sums = None if state["sums"] is None else torch.tensor(state["sums"], dtype=torch.float64)

    def take(self) -> dict[str, float]:
        """The means so far, of all processes; the next epoch begins with nothing."""
        state = self.state()
        self.names, self.sums, self.visits = (), None, 0
        return {name: total / state["visits"] for name, total in zip(state["names"], state["sums"] or (), strict=True)}


class EpochMeans(pl.Callback):
    """Logs the means of an epoch's losses at its end; stands first, so that the other callbacks find them."""

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        means = pl_module.means["val"].take()
        pl_module.log_dict(means)
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise InputError(
                f"epoch {trainer.current_epoch + 1}: the {', '.join(broken)} of the validation visits is not finite, "
                "so no epoch can be chosen by it. Lower optimizer.learning_rate, or look for values without sense in "
                "the data (omicsfm inspect STORE)."
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        skipped = float(pl_module.guard.skipped)
        pl_module.log_dict({**pl_module.means["train"].take(), "train/skipped_steps": skipped})
