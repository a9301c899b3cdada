"""What one process wants, all do at the same step boundary."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist

from omicsfm import distributed


class Agreement:
    """Wishes of the processes of a fit, exchanged at each step boundary and known at the next.

    The exchange travels during the step between, on a group of host tensors of its own, so nobody waits for it and no
    GPU is asked to hold.
    """

    def __init__(self, wishes: int) -> None:
        """``wishes``: how many there are. Every process of the fit makes its agreement at the same place."""
        self._alone = distributed.world_size() == 1
        self._group = None if self._alone else dist.new_group(backend="gloo")
        self._wanted = torch.zeros(wishes, dtype=torch.uint8)
        self._travelling: Any = None

    def exchange(self, wishes: Sequence[bool]) -> tuple[bool, ...]:
        """What any process wanted at the boundary before this one."""
        agreed = self._arrived()
        self._wanted = torch.tensor(wishes, dtype=torch.uint8)
        if not self._alone:
            self._travelling = dist.all_reduce(self._wanted, dist.ReduceOp.MAX, group=self._group, async_op=True)
        return agreed

    def exchange_now(self, wishes: Sequence[bool]) -> tuple[bool, ...]:
        """What any process wants; waits for all of them."""
        self.exchange(wishes)
        return self._arrived()

    def _arrived(self) -> tuple[bool, ...]:
        if self._travelling is not None:
            self._travelling.wait()
            self._travelling = None
        return tuple(map(bool, self._wanted.tolist()))
