"""The layers of a model, and how they run: changed from outside, and for the same results."""

from contextlib import nullcontext
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from omicsfm.training.arithmetic import repeated


def set_layers(model: nn.Module, *, recompute: bool, compile: str | None) -> None:
    """Change the forward pass of each layer in place.

    ``recompute``: what a layer computes is forgotten and computed again in the backward pass (activation
    checkpointing; Chen et al. 2016, arXiv:1604.06174). ``compile``: a backend of torch.compile, for each layer by
    itself: layers of one shape share the compiled code, and whoever shards them stays outside of it.
    """
    for layer in layers_of(model):
        if compile:
            layer.forward = torch.compile(layer.forward, backend=compile)
        if recompute:
            layer.forward = partial(
                checkpoint, layer.forward, use_reentrant=False, context_fn=lambda: (nullcontext(), repeated())
            )


def layers_of(module: nn.Module) -> list[nn.Module]:
    """The members of its lists of layers, each of which may be gathered by itself."""
    lists = [m for m in module.modules() if type(m) is nn.ModuleList]  # a low-rank correction is a subclass
    return [layer for layers in lists for layer in layers]
