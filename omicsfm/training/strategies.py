"""Ways to spread a training run over processes; each is one YAML under configs/trainer.

All of them save the same states, so a run may be resumed with another of them.
"""

from datetime import timedelta

from pytorch_lightning.strategies import DDPStrategy, Strategy


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
    """DeepSpeed shards optimiser state (``stage`` 1), gradients too (2) and weights too (3), on GPUs or CPUs."""

    def __init__(
        self, *, stage: int, offload: bool = False, whole_below: int = 100_000, timeout_minutes: float | int = 30
    ) -> None:
        """``offload`` keeps what is sharded in host memory, where the optimiser steps; ``whole_below``: at stage 3 each
        process keeps weights of so few elements, which cost more to gather than to hold.
        """
        self.stage = stage
        self.offload = offload
        self.whole_below = whole_below
        self.timeout_minutes = timeout_minutes

    def __call__(self) -> Strategy:
        """The Lightning strategy.

        Raises:
            InputError: DeepSpeed is not installed, or there is no such stage.
        """
        from omicsfm.training.deepspeed_zero import zero_strategy

        timeout = timedelta(minutes=self.timeout_minutes)
        return zero_strategy(stage=self.stage, offload=self.offload, whole_below=self.whole_below, timeout=timeout)
