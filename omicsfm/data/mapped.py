"""A file of numbers mapped into memory, and read ahead of where rows are about to be copied from.

Left alone, the system answers a missing page of a mapping with everything around it, up to megabytes for a row of a
few kilobytes. So the mapping is declared random, and what a reader is about to copy is asked for in one go, the
pieces of a batch side by side, which keeps the disk busy.
"""

import mmap
import os
import weakref
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy.typing import DTypeLike

SAMPLED = 4  # ranges looked at to tell whether a batch is in memory
CAN_ASK = hasattr(os, "RWF_NOWAIT") and hasattr(os, "posix_fadvise")


class MappedArray:
    """An array on disk. ``array`` is the map itself."""

    def __init__(self, file: Path, dtype: DTypeLike | None = None) -> None:
        """A .npy file, or with a ``dtype`` the whole of any file as numbers of it."""
        mapped = (
            np.load(file, mmap_mode="r")
            if dtype is None
            else np.memmap(file, dtype, mode="r", shape=_whole(file, dtype))
        )
        self.array, self._offset = np.asarray(mapped), mapped.offset  # indexing the subclass costs microseconds
        if self.array.size:
            self._file = os.open(file, os.O_RDONLY)
            weakref.finalize(self, os.close, self._file)
        if self.array.size and CAN_ASK:
            mapped._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[union-attr]

    def ask_for(self, starts: Int[np.ndarray, " ranges"], stops: Int[np.ndarray, " ranges"]) -> None:
        """Have the system read these ranges of the first axis into memory, unless a sample of them is there already."""
        if not (len(starts) and self.array.size and CAN_ASK):
            return
        item = self.array.strides[0]
        starts, stops = starts * item + self._offset, stops * item + self._offset
        step = max(1, len(starts) // SAMPLED)
        if all(self._is_there(start) for start in starts[::step].tolist()):
            return
        order = np.argsort(starts)
        starts, stops = starts[order], np.maximum.accumulate(stops[order])
        gaps = np.flatnonzero(starts[1:] > stops[:-1]) + 1
        for first, last in zip(
            starts[np.r_[0, gaps]].tolist(), stops[np.r_[gaps - 1, len(stops) - 1]].tolist(), strict=True
        ):
            os.posix_fadvise(self._file, first, last - first, os.POSIX_FADV_WILLNEED)

    def copy_of(self, starts: Int[np.ndarray, " ranges"], stops: Int[np.ndarray, " ranges"]) -> np.ndarray:
        """These ranges of the first axis, one after the other, past the map: a page that is touched in a map counts
        as this process's memory, with its neighbours, until the system wants it back.
        """
        lengths, item = stops - starts, self.array.strides[0]
        copied = np.empty((int(lengths.sum()), *self.array.shape[1:]), self.array.dtype)
        left = memoryview(copied.reshape(-1).view(np.uint8).data)
        places = (starts * item + self._offset).tolist()
        for place, size in zip(places, (lengths * item).tolist(), strict=True):
            while size:
                read = os.preadv(self._file, [left[:size]], place)
                if not read:
                    raise OSError(f"the file ends before byte {place + size:,}")
                left, place, size = left[read:], place + read, size - read
        return copied

    def _is_there(self, place: int) -> bool:
        try:
            os.preadv(self._file, [bytearray(1)], place, os.RWF_NOWAIT)
        except OSError:  # it would have to wait, or the file system cannot tell
            return False
        return True


def _whole(file: Path, dtype: DTypeLike) -> tuple[int]:
    return (file.stat().st_size // np.dtype(dtype).itemsize,)
