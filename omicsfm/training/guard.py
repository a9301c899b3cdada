"""Which optimiser steps are taken: one whose gradient is not finite, or far out of line, is left out."""

import math
import statistics
from collections import deque
from typing import Any

REMEMBERED = 64
"""Gradient norms that a spike is judged by; none is judged before half as many are known."""


class StepGuard:
    """Judges each step by its gradient norm, which all processes share, and so alike on all of them.

    A step that is left out changes neither weights nor moments. Steps left out one after the other end the run: the
    data or the learning rate is at fault, and a run that goes on and learns nothing would hide it.
    """

    def __init__(self, *, spike: float | int | None, most_skipped: int) -> None:
        """``spike``: how many times the median norm is too much; None: any finite norm is taken.
        ``most_skipped``: so many in a row end the run.
        """
        self.spike = spike
        self.most_skipped = most_skipped
        self.skipped = 0
        self.in_a_row = 0
        self._norms: deque[float] = deque(maxlen=REMEMBERED)

    def fault(self, norm: float) -> str:
        """What is wrong with a step of this gradient norm; empty where it is to be taken."""
        fault = self._fault(norm)
        self.in_a_row = self.in_a_row + 1 if fault else 0
        self.skipped += bool(fault)
        if not fault:
            self._norms.append(norm)
        return fault

    @property
    def ends_the_run(self) -> bool:
        """Whether as many steps in a row were left out as may be."""
        return self.in_a_row >= self.most_skipped

    def state_dict(self) -> dict[str, Any]:
        """For a resumed run to judge as one that was not stopped."""
        return {"norms": list(self._norms), "in_a_row": self.in_a_row, "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._norms = deque(state["norms"], maxlen=REMEMBERED)
        self.in_a_row, self.skipped = state["in_a_row"], state["skipped"]

    def _fault(self, norm: float) -> str:
        if not math.isfinite(norm):
            return "the gradient is not finite"
        if self.spike is None or len(self._norms) < REMEMBERED // 2:
            return ""
        usual = statistics.median(self._norms)
        return f"the gradient norm is {norm:.3g}, usually {usual:.3g}" if norm > self.spike * usual > 0 else ""
