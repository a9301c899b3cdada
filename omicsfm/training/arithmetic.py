"""Counts the arithmetic of what runs, on every device."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_running: list["Arithmetic"] = []


class Arithmetic(FlopCounterMode):
    """torch's counter of floating-point operations (a multiply and an add are two), which knows the fused attention of
    GPUs, with that of CPUs; its backward pass counts as 2.5 times the forward, as theirs. Also knows products of
    many sizes at once.
    """

    def __init__(self) -> None:
        attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        own = {attention: _forward, backward: _backward, torch.ops.aten._grouped_mm: _grouped}
        super().__init__(display=False, custom_mapping=own)
        self._repeated = 0

    def __enter__(self) -> "Arithmetic":
        _running.append(self)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        _running.remove(self)

    @property
    def flops(self) -> int:
        """Operations so far; those that only repeat earlier ones do not count."""
        return int(self.get_total_flops()) - self._repeated


@contextmanager
def repeated() -> Iterator[None]:
    """What runs within was computed before and forgotten. The backward pass may run in a thread of its own."""
    before = [(counter, counter.get_total_flops()) for counter in _running]
    try:
        yield
    finally:
        for counter, flops in before:
            counter._repeated += counter.get_total_flops() - flops


def _forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


def _grouped(left: Any, right: Any, *_: Any, **__: Any) -> int:
    return 2 * left[-2] * left[-1] * right[-1]  # whichever axis is that of the groups, it counts once
