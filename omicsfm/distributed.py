"""Collectives between the processes that share the batches of a training.

They act while a fit runs. Before and after it every process does the same work alone, and here they are the identity
on one process: a validation loss that each process computes over all rows must not be summed over processes.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_sharing = False


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Within, batches are cut over the processes of the default process group, once there is one."""
    global _sharing
    _sharing, before = True, _sharing
    try:
        yield
    finally:
        _sharing = before


def world_size() -> int:
    """Number of processes that share each batch, 1 outside of a fit."""
    return dist.get_world_size() if _sharing and dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among those that share each batch, 0 outside of a fit."""
    return dist.get_rank() if world_size() > 1 else 0


def is_first() -> bool:
    """Whether this process writes the files of a run, also before the processes have met.

    Until then the launcher's variables tell: torchrun's, Slurm's, or those that Lightning gives to its children.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return not any(int(os.environ.get(name, 0)) for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK"))


def all_sum(value: Tensor) -> Tensor:
    """The sum of ``value`` over processes, without gradient."""
    total = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of every process, in rank order, with gradient into each process's own.

    Ranks may hold different numbers of rows. Anything that depends on the whole batch, such as the risk
    sets of a Cox likelihood, goes through here.
    """
    if world_size() == 1:
        return rows
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    longest = int(max(counts))
    padded = torch.cat([rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])])
    parts = _Gather.apply(padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])


class _Gather(torch.autograd.Function):
    """Every process uses the gathered rows, so the gradient of a process's own is the sum of what all of them say."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows)
        return torch.stack(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous()
        dist.all_reduce(total)
        return total[rank()]
