"""Weights that no objective reads, such as decoders under a contrast alone, do not train, in any strategy alike."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from omicsfm.contracts import Batch


def freeze_idle(model: nn.Module, objectives: Mapping[str, nn.Module], batch: Batch) -> None:
    """Let only those parameters train that the objectives' losses depend on.

    Without a gradient DDP would wait for one in vain, and ZeRO would decay the weight. Which ones are idle is a matter
    of the objectives and not of the data (a modality that is absent keeps its place in the graph), so any ``batch`` can
    tell; only its forward pass is run.
    """
    with torch.enable_grad():
        reached = _leaves(sum(objective(model, batch).total for objective in objectives.values()))
    for parameter in [*model.parameters(), *(p for own in objectives.values() for p in own.parameters())]:
        if parameter not in reached:
            parameter.requires_grad_(False)


def _leaves(loss: Tensor) -> set[Tensor]:
    """The parameters at the ends of the graph that made ``loss``."""
    found: set[Tensor] = set()
    seen: set[Any] = set()
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(node.variable)
        ahead += [before for before, _ in node.next_functions]
    return found
