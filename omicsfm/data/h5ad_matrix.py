"""X of an .h5ad, its rows copied in any order from a map of the file, without the HDF5 library and without a store.

An array that is not compressed lies in the file as plain numbers, in one piece or in chunks of one size whose places
the file knows. That is what anndata writes unless it is told to compress.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from omicsfm.data.buffers import Buffers
from omicsfm.data.ingest.hdf5 import check_hdf5
from omicsfm.data.ingest.hdf5_matrix import CsrArray, open_array
from omicsfm.data.mapped import MappedArray
from omicsfm.data.stored_matrix import PackedRows
from omicsfm.errors import InputError


class PlainNumbers:
    """A one-dimensional, uncompressed HDF5 array, seen as the whole file and where its chunks stand in it."""

    def __init__(self, path: Path, node: Any) -> None:
        """Raises: InputError: The numbers are compressed or do not lie in the file as such."""
        width, plain = node.dtype.itemsize, node.dtype.isnative and not node.id.get_create_plist().get_nfilters()
        size = int(np.prod(node.shape))
        self.chunk = node.chunks[0] if node.chunks else max(size, 1)
        places = np.zeros(-(-size // self.chunk), dtype=np.int64)
        if not node.chunks and size:
            places[:] = -1 if node.id.get_offset() is None else node.id.get_offset()
        elif plain and len(node.shape) == 1:
            places[:] = -1
            for number in range(node.id.get_num_chunks()):
                found = node.id.get_chunk_info(number)
                places[found.chunk_offset[0] // self.chunk] = found.byte_offset
        self.file, self.places = MappedArray(path, node.dtype), places // width
        beyond = len(places) and int(self.places.max()) + min(self.chunk, size) > len(self.file.array)
        if not plain or len(node.shape) > 1 < len(places) or (places < 0).any() or (places % width).any() or beyond:
            raise InputError(
                f"{path}: {node.name} is compressed or in pieces that cannot be read as they lie. Make a store of it "
                "(omicsfm prepare), or write the file again without compression."
            )

    def copy(self, starts: Int[np.ndarray, " rows"], lengths: Int[np.ndarray, " rows"], out: np.ndarray) -> None:
        """Copy these stretches end to end into ``out``."""
        from omicsfm.data.gather import copy_pieces

        first = starts // self.chunk
        pieces = np.maximum((starts + lengths - 1) // self.chunk - first + 1, 1)  # a stretch may cross into more chunks
        owner = np.repeat(np.arange(len(starts)), pieces)
        chunk = first[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        low = np.maximum(starts[owner], chunk * self.chunk)
        high = np.minimum((starts + lengths)[owner], (chunk + 1) * self.chunk)
        chunk = np.minimum(chunk, len(self.places) - 1)  # an empty stretch at the end
        place = self.places[chunk] + low - chunk * self.chunk
        self.file.ask_for(place, place + high - low)
        copy_pieces(self.file.array, place, high - low, out)


class H5adMatrix:
    """X, dense or CSR, as ``make_row_loader`` reads it."""

    def __init__(self, path: str | Path) -> None:
        """Raises: InputError: The file is not safe, its X is by columns (CSC), or compressed."""
        import h5py

        path = Path(path)
        check_hdf5(path)
        with h5py.File(path) as file:
            array = open_array(file["X"], f"{path}: X")
            self.shape = array.shape
            if isinstance(array, CsrArray):
                self.layout: Literal["dense", "csr"] = "csr"
                self._bounds = np.concatenate([[0], np.cumsum(array.entries)])
                self._indices = PlainNumbers(path, file["X/indices"])
                self._values = PlainNumbers(path, file["X/data"])
            elif isinstance(file["X"], h5py.Dataset):
                self.layout = "dense"
                self._values = PlainNumbers(path, file["X"])
            else:
                raise InputError(f"{path}: X is stored by columns (CSC), which has no rows to read. Write it as CSR.")
        self._path, self.rows = path, np.arange(self.shape[0])

    def read_dense(self, rows: Int[np.ndarray, " visits"], buffers: Buffers) -> Float[np.ndarray, "visits features"]:
        """These rows, in reused memory."""
        values = buffers.take((len(rows), self.shape[1]), np.float32)
        width = np.full(len(rows), self.shape[1])
        self._values.copy(rows * self.shape[1], width, values.reshape(-1))
        return values

    def read_packed(self, rows: Int[np.ndarray, " visits"], buffers: Buffers) -> PackedRows:
        """What is stored of these rows, in reused memory."""
        starts = self._bounds[rows]
        lengths = self._bounds[rows + 1] - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids, values = (buffers.take(int(offsets[-1]), kind) for kind in (np.int32, np.float32))
        self._indices.copy(starts, lengths, ids)
        self._values.copy(starts, lengths, values)
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= self.shape[1]):
            raise InputError(
                f"{self._path}: X names a feature outside 0 to {self.shape[1] - 1:,}. The file is damaged."
            )
        return PackedRows(ids, values, offsets)
