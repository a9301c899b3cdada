"""Ways to spread a training run over processes; each is one YAML under configs/trainer."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy, ModelParallelStrategy, Strategy


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
            torch.save(checkpoint, stream)  # noqa: TID251  a resume file, read back with weights_only
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(path)


class DistributedData:
    """Every process holds the model and takes a share of each batch (DDP; gloo on CPU, NCCL on GPUs)."""

    def __init__(self, *, timeout_minutes: float = 30.0) -> None:
        self.timeout_minutes = timeout_minutes

    def __call__(self) -> Strategy:
        return DDPStrategy(timeout=timedelta(minutes=self.timeout_minutes), find_unused_parameters=False)


class FullySharded:
    """FSDP2: parameters, gradients and optimiser state are sharded; sharding is applied from outside the model."""

    def __call__(self) -> Strategy:
        return ModelParallelStrategy(
            data_parallel_size="auto", tensor_parallel_size=1, save_distributed_checkpoint=False
        )


class DeepSpeedZero:
    """DeepSpeed ZeRO at ``stage`` 1 or 2 (optimiser state, and gradients, sharded); on GPUs, or on CPU over gloo."""

    def __init__(self, *, stage: int) -> None:
        self.stage = stage

    def __call__(self) -> Strategy:
        if torch.cuda.is_available():
            return DeepSpeedStrategy(stage=self.stage)
        os.environ["DS_ACCELERATOR"] = "cpu"
        return _DeepSpeedOnCPU(stage=self.stage, process_group_backend="gloo")


class _DeepSpeedOnCPU(DeepSpeedStrategy):
    """The same engine without the check for a CUDA device, so that every machine can test it."""

    def setup_environment(self) -> None:
        super(DeepSpeedStrategy, self).setup_environment()

    @property
    def root_device(self) -> torch.device:
        return torch.device("cpu")
