"""DeepSpeed ZeRO with the resume file of a single process, on GPUs or on CPUs."""

import os
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, Strategy
from torch.optim import Optimizer

from omicsfm.errors import InputError

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps per parameter besides its number of steps."""
BUCKET = 50_000_000
"""Elements communicated at once, 200 MB in float32."""


def zero_strategy(*, stage: int, timeout: timedelta) -> Strategy:
    """DeepSpeed at ``stage`` 1 or 2, over NCCL where there are GPUs and over gloo elsewhere.

    Raises:
        InputError: DeepSpeed is not installed, or the stage is another.
    """
    if stage not in (1, 2):
        raise InputError(f"trainer.strategy.stage is {stage}; expected 1 or 2. To shard parameters take trainer=fsdp.")
    if find_spec("deepspeed") is None:
        raise InputError("trainer=deepspeed_zero2 needs DeepSpeed: DS_BUILD_OPS=0 pip install 'omicsfm[deepspeed]'.")
    common: dict[str, Any] = {
        "stage": stage,
        "timeout": timeout,
        "logging_batch_size_per_gpu": 1,  # batches are made by our sampler: there is no size for DeepSpeed to find
        "allgather_bucket_size": BUCKET,
        "reduce_bucket_size": BUCKET,
    }
    if torch.cuda.is_available():
        return ZeroStrategy(**common)
    os.environ["DS_ACCELERATOR"] = "cpu"
    return ZeroOnCPU(**common, process_group_backend="gloo", overlap_comm=False)


class ZeroStrategy(DeepSpeedStrategy):
    """Lightning's DeepSpeed strategy, but it saves one file with whole tensors instead of a folder of shards.

    DeepSpeed's folder is rewritten in place, loads on the same number of processes only, and is unpickled.
    """

    clips_gradients = True
    """Inside its own step, before anything could be left out."""

    def _configure_launcher(self) -> None:
        """Also refuses a precision that DeepSpeed would reach by casting the model: the export would be cast too."""
        if self.precision_plugin.precision != "32-true":
            raise InputError(
                f"trainer.precision is {self.precision_plugin.precision}; with DeepSpeed it must be 32-true, because "
                "DeepSpeed casts the weights themselves. For bf16-mixed take trainer=ddp or trainer=fsdp."
            )
        super()._configure_launcher()

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        self.lightning_module.load_state_dict(checkpoint["state_dict"], strict=strict)
        self._zero.refresh_fp32_params()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        from deepspeed.utils import safe_get_full_optimizer_state

        self._link_moments()
        state: dict[int, dict[str, Any]] = {}
        groups = []
        for parameters, group in zip(self._zero.bit16_groups, self._zero.optimizer.param_groups, strict=True):
            numbers = list(range(len(state), len(state) + len(parameters)))
            step = self._zero.optimizer.state[group["params"][0]]["step"]
            for number, parameter in zip(numbers, parameters, strict=True):
                moments = {key: safe_get_full_optimizer_state(parameter, key).cpu() for key in MOMENTS}
                state[number] = {"step": step.clone().cpu(), **moments}
            groups.append({**group, "params": numbers})
        return {"state": state, "param_groups": groups}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state

        (saved,) = checkpoint["optimizer_states"]
        groups = self._zero.optimizer.param_groups
        for group, saved_group in zip(groups, saved["param_groups"], strict=True):
            group.update({key: value for key, value in saved_group.items() if key != "params"})
            (flat,) = group["params"]  # this process's share of all parameters of the group, end to end
            step = saved["state"][saved_group["params"][0]]["step"]
            moments = {key: torch.zeros_like(flat) for key in MOMENTS}
            self._zero.optimizer.state[flat] = {"step": step.clone(), **moments}
        self._link_moments()
        for parameters, saved_group in zip(self._zero.bit16_groups, saved["param_groups"], strict=True):
            for parameter, number in zip(parameters, saved_group["params"], strict=True):
                for key in MOMENTS:
                    value = saved["state"][number][key].to(parameter.device)
                    safe_set_full_optimizer_state(parameter, value, key)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        Strategy.save_checkpoint(self, checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def _link_moments(self) -> None:
        """Let each parameter find its moments in the flat shares.

        DeepSpeed 0.19 does so after the step of the first group, when the second has none yet.
        """
        self._zero._hp_optimizer_states_linked = False
        self._zero._lazy_init_hp_params_optimizer_state()

    @property
    def _zero(self) -> Any:
        """DeepSpeed's optimiser; the one it wraps holds the flat shares."""
        return self.deepspeed_engine.optimizer


class ZeroOnCPU(ZeroStrategy):
    """The same engine without Lightning's checks for a CUDA device, so that every machine can train and test it."""

    def setup_environment(self) -> None:
        import deepspeed

        # else it compiles shared-memory kernels at start
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        super(DeepSpeedStrategy, self).setup_environment()

    def setup_distributed(self) -> None:
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    @property
    def root_device(self) -> torch.device:
        return torch.device("cpu:0")
