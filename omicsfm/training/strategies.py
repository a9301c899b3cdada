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
