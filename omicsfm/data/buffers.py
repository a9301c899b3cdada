"""Arrays that are used again once nobody holds them any more."""

import math
import sys

import numpy as np
from numpy.typing import DTypeLike

HEADROOM = 1.25  # a batch that is a little larger than the last fits where that one was


class Buffers:
    """Hands out memory for batches and takes it back by itself.

    Fresh memory is expensive: the system clears every page of it. An array that was handed out is handed out again
    when neither it nor a view or tensor of it is left, so a batch that somebody keeps is never overwritten.
    """

    def __init__(self) -> None:
        self._arrays: dict[np.dtype, list[np.ndarray]] = {}

    def take(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array of undefined content."""
        size, dtype = math.prod(np.atleast_1d(shape).tolist()), np.dtype(dtype)
        known = self._arrays.setdefault(dtype, [])
        for number in range(len(known)):
            if sys.getrefcount(known[number]) <= IDLE:
                if known[number].size < size:
                    known[number] = np.empty(int(size * HEADROOM), dtype)
                return known[number][:size].reshape(shape)
        known.append(np.empty(int(size * HEADROOM), dtype))
        return known[-1][:size].reshape(shape)


def _references_of_an_idle_array() -> int:
    arrays = [np.empty(1)]
    return sys.getrefcount(arrays[0])


IDLE = _references_of_an_idle_array()
