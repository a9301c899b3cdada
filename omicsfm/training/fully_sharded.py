"""FSDP2: the model is written for one device and sharded from outside."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
from pytorch_lightning.strategies import ModelParallelStrategy, Strategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from omicsfm.training.layers import layers_of


class FullyShardedStrategy(ModelParallelStrategy):
    """Lightning's FSDP2 strategy over all processes, with the resume file of a single process.

    Lightning numbers an optimiser's parameters in the model's order, torch in the order of the groups: its files would
    not load elsewhere, and an ordinary one would load here into the wrong parameters. Ours are torch's.
    """

    def __init__(self, *, timeout: timedelta) -> None:
        super().__init__(data_parallel_size=1, tensor_parallel_size=1, timeout=timeout)

    def setup_environment(self) -> None:
        """Also decides the size of the mesh, which Lightning would take as one process per node."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.model is not None
        return {name: unshard(value) for name, value in self.model.state_dict().items()}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.model is not None
        options = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(self.model, checkpoint["state_dict"], options=options)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        state = Strategy.optimizer_state(self, optimizer)
        whole = {
            number: {key: unshard(value) for key, value in entries.items()}
            for number, entries in state["state"].items()
        }
        return {**state, "state": whole}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            sharded = {
                number: {key: _shard_like(value, parameters[number]) for key, value in entries.items()}
                for number, entries in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": sharded})

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        Strategy.save_checkpoint(self, checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)


def shard(module: nn.Module, mesh: DeviceMesh, *, steps: tuple[str, ...]) -> None:
    """Shard the parameters of ``module`` in place; its methods named in ``steps`` gather what they need.

    Each member of a list of layers is gathered for its own forward pass. Everything else is gathered once per step:
    decoders read the tokenizers' tables, so no module of it owns its parameters alone.
    """
    for layer in layers_of(module):
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    for step in steps:
        register_fsdp_forward_method(module, step)


def unshard(value: Any) -> Any:
    """A sharded tensor gathered into host memory, on every process; anything else as it is."""
    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def _shard_like(value: Any, parameter: Tensor) -> Any:
    if isinstance(parameter, DTensor) and isinstance(value, torch.Tensor) and value.shape == parameter.shape:
        device = parameter.device_mesh.device_type
        return distribute_tensor(value.to(device), parameter.device_mesh, parameter.placements)
    return value
