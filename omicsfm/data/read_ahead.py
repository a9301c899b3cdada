"""Batches read ahead on one background thread.

Reading releases the interpreter's lock, so a thread does what a worker process would do without copying the batch from
one process to the other, which costs more than reading it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

from omicsfm.data.order import BatchSampler

Item = TypeVar("Item")


class Loader(Generic[Item]):
    """The batches of an epoch in the sampler's order, up to ``ahead`` of them read before they are asked for."""

    batch_sampler = None  # Lightning takes what has a sampler for a DataLoader and looks for this one too

    def __init__(self, sampler: BatchSampler, read: Callable[[np.ndarray, int], Item], *, ahead: int) -> None:
        """``read`` makes a batch of store rows and a seed; with ``ahead=0`` it is called when a batch is asked for."""
        self.sampler = sampler
        self.read = read
        self.ahead = ahead

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Item]:
        if not self.ahead:
            for request in self.sampler:
                yield self.read(*request)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as thread:
            waiting: deque[Future[Item]] = deque()
            try:
                for request in self.sampler:
                    waiting.append(thread.submit(self.read, *request))
                    if len(waiting) > self.ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # also where the consumer stops in the middle of an epoch
                for future in waiting:
                    future.cancel()
