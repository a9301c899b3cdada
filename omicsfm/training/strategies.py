"""Ways to spread a training run over processes; each is one YAML under configs/trainer.

All of them write the same resume file, so a run may be resumed with another of them.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a resume file beside its final name, syncs it and renames it.

    Lightning stages in TMPDIR and moves: with TMPDIR on another file system, usual on clusters, a kill during the
    move leaves a truncated file under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as stream:
            torch.save(checkpoint, stream)  # noqa: TID251  a resume file is Lightning's own and read with weights_only
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(path)


def plugins() -> list[Any]:
    """Parts of Lightning that every run replaces.

    Its requeueing on Slurm saves, a collective, inside a signal handler while another process may wait in another
    collective, and neither returns. The batch shell requeues: see slurm/environment.sh.
    """
    slurm = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    return [AtomicCheckpointIO(), *slurm]


class DistributedData:
    """Every process holds the model and takes a share of each batch (DDP; gloo on CPU, NCCL on GPUs)."""

    def __init__(self, *, timeout_minutes: float | int = 30) -> None:
        """``timeout_minutes``: how long a process waits for the others before the run fails."""
        self.timeout_minutes = timeout_minutes

    def __call__(self) -> Strategy:
        """The Lightning strategy."""
        return DDPStrategy(timeout=timedelta(minutes=self.timeout_minutes), find_unused_parameters=False)


class FullySharded:
    """Parameters, gradients and optimiser state are sharded over the processes (FSDP2)."""

    def __init__(self, *, timeout_minutes: float | int = 30) -> None:
        self.timeout_minutes = timeout_minutes

    def __call__(self) -> Strategy:
        """The Lightning strategy."""
        from omicsfm.training.fully_sharded import FullyShardedStrategy

        return FullyShardedStrategy(timeout=timedelta(minutes=self.timeout_minutes))


class DeepSpeedZero:
    """Optimiser state (``stage`` 1), and gradients too (``stage`` 2), are sharded by DeepSpeed, on GPUs or CPUs."""

    def __init__(self, *, stage: int, timeout_minutes: float | int = 30) -> None:
        self.stage = stage
        self.timeout_minutes = timeout_minutes

    def __call__(self) -> Strategy:
        """The Lightning strategy.

        Raises:
            InputError: DeepSpeed is not installed, or the stage shards parameters.
        """
        from omicsfm.training.deepspeed_zero import zero_strategy

        return zero_strategy(stage=self.stage, timeout=timedelta(minutes=self.timeout_minutes))
