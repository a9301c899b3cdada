"""DeepSpeed ZeRO with the resume file of a single process, on GPUs or on CPUs."""

import logging
import math
import os
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, cast

import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, Strategy
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from omicsfm.errors import InputError

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps per parameter besides its number of steps."""
BUCKET = 50_000_000
"""Elements communicated at once, 200 MB in float32."""


def zero_strategy(*, stage: int, offload: bool, whole_below: int, timeout: timedelta) -> Strategy:
    """DeepSpeed at ``stage`` 1 to 3, over NCCL where there are GPUs and over gloo elsewhere.

    Raises:
        InputError: DeepSpeed is not installed, or there is no such stage.
    """
    if stage not in (1, 2, 3):
        raise InputError(f"trainer.strategy.stage is {stage}; expected 1, 2 or 3.")
    if find_spec("deepspeed") is None:
        raise InputError("trainer=deepspeed_* needs DeepSpeed: DS_BUILD_OPS=0 pip install 'omicsfm[deepspeed]'.")
    common: dict[str, Any] = {
        "stage": stage,
        "timeout": timeout,
        "offload_optimizer": offload,
        "offload_parameters": offload and stage == 3,
        "logging_level": logging.ERROR,  # its warnings are about modules it cannot look into: see deepspeed_zero3.py
        "logging_batch_size_per_gpu": 1,  # batches are made by our sampler: there is no size for DeepSpeed to find
        "allgather_bucket_size": BUCKET,
        "reduce_bucket_size": BUCKET,
    }
    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
        common |= {"process_group_backend": "gloo", "overlap_comm": False}
    if stage < 3:
        strategy: DeepSpeedStrategy = ZeroStrategy(**common) if on_gpu else ZeroOnCPU(**common)
    else:
        from omicsfm.training.deepspeed_zero3 import Zero3OnCPU, Zero3Strategy

        strategy = Zero3Strategy(**common) if on_gpu else Zero3OnCPU(**common)
    assert isinstance(strategy.config, dict)
    if stage == 3:
        strategy.config["zero_optimization"]["stage3_param_persistence_threshold"] = whole_below
    strategy.config["zero_force_ds_cpu_optimizer"] = False  # torch's AdamW needs no compiler on the machine
    return strategy


class ZeroStrategy(DeepSpeedStrategy):
    """Lightning's DeepSpeed strategy, but it saves one file with whole tensors instead of a folder of shards.

    DeepSpeed's folder is rewritten in place, loads on the same number of processes only, and is unpickled.
    """

    clips_gradients = True
    """Inside its own step; ``_judge_steps`` lets the module look at the norm before it is taken."""

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

    def setup(self, trainer: Any) -> None:
        super().setup(trainer)
        self._judge_steps()

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        self.lightning_module.load_state_dict(checkpoint["state_dict"], strict=strict)
        self._zero.refresh_fp32_params()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        state: dict[int, dict[str, Any]] = {}
        groups: list[dict[str, Any]] = []
        known = self._zero.optimizer.state  # nothing before the first step
        if known:
            self._link_moments()
        first = 0
        for (parameters, flat), group in zip(self._shares(), self._zero.optimizer.param_groups, strict=True):
            groups.append({**group, "params": list(range(first, first + len(parameters)))})
            first += len(parameters)
            for number, parameter in zip(groups[-1]["params"], parameters, strict=True):
                if known:
                    moments = {key: self._whole_moment(parameter, key).cpu() for key in MOMENTS}
                    state[number] = {"step": known[flat]["step"].clone().cpu(), **moments}
        return {"state": state, "param_groups": groups}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        (saved,) = checkpoint["optimizer_states"]
        groups = self._zero.optimizer.param_groups
        for (_, flat), group, saved_group in zip(self._shares(), groups, saved["param_groups"], strict=True):
            group.update({key: value for key, value in saved_group.items() if key != "params"})
            if saved["state"]:
                step = saved["state"][saved_group["params"][0]]["step"]
                moments = {key: torch.zeros_like(flat) for key in MOMENTS}
                self._zero.optimizer.state[flat] = {"step": step.to(flat.device, copy=True), **moments}
        if not saved["state"]:
            return
        self._link_moments()
        for (parameters, _), saved_group in zip(self._shares(), saved["param_groups"], strict=True):
            for parameter, number in zip(parameters, saved_group["params"], strict=True):
                for key in MOMENTS:
                    self._set_moment(parameter, key, saved["state"][number][key].to(parameter.device))

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        Strategy.save_checkpoint(self, checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def _judge_steps(self) -> None:
        """Let the module judge the norm of each step. One that it finds fault with is given to DeepSpeed as infinite,
        and DeepSpeed leaves such a step out.
        """
        own, module = self._zero.scaled_global_norm, cast(Any, self.lightning_module)

        def judged() -> Any:
            norm = own()
            return math.inf if module.judge(float(norm)) else norm

        self._zero.scaled_global_norm = judged

    def _shares(self) -> list[tuple[list[Parameter], Tensor]]:
        """The parameters of each group of the optimiser, and this process's share of them, end to end."""
        flats = [group["params"][0] for group in self._zero.optimizer.param_groups]
        return list(zip(self._zero.bit16_groups, flats, strict=True))

    def _whole_moment(self, parameter: Parameter, key: str) -> Tensor:
        from deepspeed.utils import safe_get_full_optimizer_state

        return safe_get_full_optimizer_state(parameter, key)

    def _set_moment(self, parameter: Parameter, key: str, value: Tensor) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state

        safe_set_full_optimizer_state(parameter, value, key)

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


class OnCPU(DeepSpeedStrategy):
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


class ZeroOnCPU(OnCPU, ZeroStrategy):
    """ZeRO-1 and ZeRO-2 on CPUs."""
