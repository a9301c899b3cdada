"""DeepSpeed ZeRO-3: the weights too are sharded, and gathered where they are needed."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from omicsfm.training.deepspeed_zero import OnCPU, ZeroStrategy
from omicsfm.training.layers import layers_of


class Zero3Strategy(ZeroStrategy):
    """As fully_sharded.py has it: each layer is gathered for its own pass, everything else once per step.

    DeepSpeed gathers what a module owns when that module is called. Ours also read each other's tables, and return
    classes of our own that it cannot look into; so what is no layer's belongs to the module that it calls itself.
    """

    def _setup_model_and_optimizer(self, model: nn.Module, optimizer: Any, lr_scheduler: Any = None) -> Any:
        import deepspeed

        inside = {p for layer in layers_of(model) for p in layer.parameters()}
        # before the engine would put the whole model on the device, and after the optimiser has seen the shapes
        deepspeed.zero.Init(module=model, config_dict_or_path=self.config, remote_device=self.remote_device)
        engine, sharded = super()._setup_model_and_optimizer(model, optimizer, lr_scheduler)
        for parameter in model.parameters():
            if parameter not in inside:
                deepspeed.zero.register_external_parameter(model, parameter)
        return engine, sharded

    def call_with_weights(self, method: Callable[..., Any]) -> Any:
        """Call a method of the module outside of a step, with the weights it reads."""
        assert self.lightning_module is not None
        return self._forward_redirection(self.model, self.lightning_module, method.__name__)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.lightning_module is not None
        state = self.lightning_module.state_dict()
        for name, parameter in self.lightning_module.named_parameters():
            with _gathered(parameter):
                state[name] = parameter.detach().to("cpu", copy=True)
        return state

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        whole = checkpoint["state_dict"]
        for name, buffer in self.lightning_module.named_buffers():
            if name in whole:
                buffer.copy_(whole[name])
        for name, parameter in self.lightning_module.named_parameters():
            with _gathered(parameter, writes=True):
                parameter.data.copy_(whole[name])
        self._zero.refresh_fp32_params()

    def _judge_steps(self) -> None:
        from deepspeed.runtime.utils import combine_grad_norm_groups

        own, module = self._zero._get_norm_groups, cast(Any, self.lightning_module)

        def judged() -> list[Any]:
            norms = own()
            return [math.inf] if module.judge(float(combine_grad_norm_groups(norms))) else norms

        self._zero._get_norm_groups = judged

    def _shares(self) -> list[tuple[list[Parameter], Tensor]]:
        return list(zip(self._zero.fp16_groups, self._zero.fp32_partitioned_groups_flat, strict=True))

    def _set_moment(self, parameter: Parameter, key: str, value: Tensor) -> None:
        from deepspeed.utils import safe_set_local_optimizer_state

        size = parameter.ds_tensor.numel()  # the last share is padded to the length of the others
        padded = F.pad(value.flatten(), (0, size * self.world_size - value.numel()))
        safe_set_local_optimizer_state(parameter, padded[size * self.global_rank :][:size], key)

    def _link_moments(self) -> None:
        """Each parameter knows where its moments are."""


class Zero3OnCPU(OnCPU, Zero3Strategy):
    """ZeRO-3 on CPUs."""


@contextmanager
def _gathered(parameter: Parameter, *, writes: bool = False) -> Iterator[None]:
    from deepspeed.runtime.zero import GatheredParameters

    with torch.no_grad(), GatheredParameters([parameter], modifier_rank=0 if writes else None):
        yield
