"""Batches read ahead on one background thread.

Reading releases the interpreter's lock, so a thread does what a worker process would do without copying the batch from
one process to the other, which costs more than reading it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np

from omicsfm.data.order import BatchSampler, Request

Item = TypeVar("Item")


class Loader(Generic[Item]):
    """The batches of an epoch in the sampler's order, up to ``ahead`` of them read before they are asked for."""

    batch_sampler = None  # Lightning takes what has a sampler for a DataLoader and looks for this one too

    def __init__(self, sampler: BatchSampler, read: Callable[[np.ndarray, int], Item], *, ahead: int) -> None:
        """``read`` makes a batch of store rows and a seed; with ``ahead=0`` it is called when a batch is asked for."""
        self.sampler = sampler
        self.read = read
        self.ahead = ahead
        self.waited_seconds = 0.0
        """How long who asks for batches had to wait for them; whoever reads it may set it back."""
        self._first = 0
        self._given = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch were given out; the order is the sampler's."""
        return {"batches": self._given % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next epoch begin behind the batches that ``state_dict`` counted."""
        self._first = state["batches"]

    def __iter__(self) -> Iterator[Item]:
        self._given, self._first = self._first, 0
        batches = self._read(islice(self.sampler, self._given, None))
        while True:
            asked = perf_counter()
            try:
                item = next(batches)
            except StopIteration:
                return
            self.waited_seconds += perf_counter() - asked
            self._given += 1
            yield item

    def _read(self, requests: Iterator[Request]) -> Iterator[Item]:
        if not self.ahead:
            for request in requests:
                yield self.read(*request)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as thread:
            waiting: deque[Future[Item]] = deque()
            try:
                for request in requests:
                    waiting.append(thread.submit(self.read, *request))
                    if len(waiting) > self.ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # also where the consumer stops in the middle of an epoch
                for future in waiting:
                    future.cancel()
