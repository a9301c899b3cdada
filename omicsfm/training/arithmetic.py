"""Counts the arithmetic of what runs, on every device."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count


def counter() -> FlopCounterMode:
    """torch's counter of floating-point operations (a multiply and an add are two), which knows the fused attention of
    GPUs, with that of CPUs; its backward pass counts as 2.5 times the forward, as theirs. Also knows products of
    many sizes at once.
    """
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    own = {attention: _forward, backward: _backward, torch.ops.aten._grouped_mm: _grouped}
    return FlopCounterMode(display=False, custom_mapping=own)


def _forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


def _grouped(left: Any, right: Any, *_: Any, **__: Any) -> int:
    return 2 * left[-2] * left[-1] * right[-1]  # whichever axis is that of the groups, it counts once
