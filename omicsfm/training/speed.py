"""How fast a run trains, and how much of the machine that is."""

import resource
import time
from typing import Any

import pytorch_lightning as pl
import torch

from omicsfm import distributed
from omicsfm.contracts import Batch
from omicsfm.training.arithmetic import Arithmetic


class Speed(pl.Callback):
    """Measures each epoch. Counted are values that were measured and taken in (tokens), never padding.

    ``mfu`` (model FLOPs utilisation; Chowdhery et al. 2022, arXiv:2204.02311) is the arithmetic of a step, forward and
    backward, as torch's counter finds it in the first one, per visit, times visits per second, over the peak: the best
    of a few large matrix products on the same device in the same precision, measured when training starts. What is
    computed again to save memory does not count.
    """

    def __init__(self) -> None:
        self.measured: dict[str, float] = {}
        self._counter: Arithmetic | None = None
        self._flops_per_visit = 0.0
        self._peak = 0.0
        self._visits, self._started = 0, 0.0
        self._tokens = torch.zeros((), dtype=torch.long)

    @property
    def said(self) -> str:
        """Of the last epoch, for people."""
        found = self.measured
        return f" (waited {found['data_wait']:.0%}, MFU {found['mfu']:.0%})" if found else ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._peak = peak_flops(pl_module.device, trainer.precision)
        self._begin(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if not self._flops_per_visit and len(batch):
            self._counter = Arithmetic()
            self._counter.__enter__()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self._flops_per_visit = self._counter.flops / len(batch)
            self._counter = None
        self._visits += len(batch)
        self._tokens = self._tokens + sum(m.observed.sum() for m in batch.measurements.values())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        seconds = time.perf_counter() - self._started
        counted = torch.tensor([self._visits, int(self._tokens)], dtype=torch.float64, device=pl_module.device)
        visits, tokens = distributed.all_sum(counted).tolist()
        waited = trainer.train_dataloader.waited_seconds  # type: ignore[union-attr]
        per_process = visits / distributed.world_size() / seconds
        self.measured = {
            "visits_per_second": round(visits / seconds, 1),
            "tokens_per_second": round(tokens / seconds, 1),
            "data_wait": round(waited / seconds, 4),
            "mfu": round(self._flops_per_visit * per_process / self._peak, 4),
            "memory_gb": round(peak_memory(pl_module.device), 3),
        }

    def _begin(self, trainer: pl.Trainer) -> None:
        self._visits, self._tokens, self._started = 0, torch.zeros((), dtype=torch.long), time.perf_counter()
        trainer.train_dataloader.waited_seconds = 0.0  # type: ignore[union-attr]


def peak_flops(device: torch.device, precision: str) -> float:
    """Floating-point operations per second of large matrix products: what this device gives at best."""
    dtype = torch.bfloat16 if precision.startswith("bf16") else torch.float32
    size, repeats = (8192, 10) if device.type == "cuda" else (1024, 3)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    a @ b
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def peak_memory(device: torch.device) -> float:
    """GB that this process took at most: of the GPU where it has one, else of the host."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
