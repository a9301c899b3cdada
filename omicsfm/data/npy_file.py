"""A .npy file of known shape that is filled in any order, without being mapped or held in memory."""

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

LARGEST_WRITE = 1 << 30
"""Linux writes at most 2 GB at a call."""


class NpyFile:
    """An array on disk, written in pieces. The file is byte for byte what ``np.save`` would have written.

    Opening a file that is already there keeps what it holds, so that an interrupted intake can go on.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        self.dtype = np.dtype(dtype)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        )
        self._offset = len(header.getvalue())
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        os.pwrite(self._file, header.getvalue(), 0)
        os.ftruncate(self._file, self._offset + self.dtype.itemsize * int(np.prod(shape, dtype=np.int64)))

    def write(self, start: int, values: np.ndarray) -> None:
        """Write ``values`` from element ``start`` on, counted as if the array were flat."""
        left = np.ascontiguousarray(values, dtype=self.dtype).reshape(-1).view(np.uint8)
        place = self._offset + start * self.dtype.itemsize
        while len(left):
            written = os.pwrite(self._file, left[:LARGEST_WRITE].data, place)
            left, place = left[written:], place + written

    def flush(self) -> None:
        """Wait until everything is on the disk."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """No more will be written."""
        os.close(self._file)
