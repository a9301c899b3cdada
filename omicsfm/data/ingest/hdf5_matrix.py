"""The array of an AnnData file, read in slices of rows: dense, by rows (CSR) or by columns (CSC)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from omicsfm.data.ingest.blocks import BEYOND_FLOAT32, CELLS, Values
from omicsfm.errors import InputError

GATHERED = 8 * CELLS
"""Entries of a CSC array gathered in one pass over it: each block of rows costs a pass."""
WIDEST = 8 * CELLS
"""Most cells of a block that follows the chunks in which a dense array was stored."""


class DenseArray:
    """A two-dimensional array."""

    def __init__(self, node: Any, where: str) -> None:
        if node.ndim != 2:
            raise InputError(f"{where} has {node.ndim} dimensions, expected 2 (visits, features).")
        _check_numbers(node, where)
        self.shape: tuple[int, int] = node.shape
        self._node = node

    entries = None

    def ranges(self, most: int) -> Iterator[tuple[int, int]]:
        """Bounds of consecutive rows to read at once, where it can be chosen at most so many."""
        step = min(max(1, CELLS // max(self.shape[1], 1)), most)
        chunk = self._node.chunks[0] if self._node.chunks else 1
        if chunk * self.shape[1] <= WIDEST:  # a compressed chunk is inflated as a whole
            step = max(chunk, step // chunk * chunk)
        yield from ((low, min(low + step, self.shape[0])) for low in range(0, self.shape[0], step))

    @BEYOND_FLOAT32
    def rows(self, low: int, high: int) -> Values:
        """These rows as float32."""
        return np.asarray(self._node[low:high], dtype=np.float32)


class CsrArray:
    """Sparse rows."""

    def __init__(self, group: Any, where: str) -> None:
        self.shape, self._indptr = _shape_and_bounds(group, where, axis=0)
        self._group, self._where = group, where
        self.entries = np.diff(self._indptr)

    def ranges(self, most: int) -> Iterator[tuple[int, int]]:
        """Bounds of consecutive rows to read at once, at most so many."""
        yield from row_ranges(self._indptr, CELLS, most)

    @BEYOND_FLOAT32
    def rows(self, low: int, high: int) -> Values:
        """These rows, feature numbers ascending in each."""
        stored = slice(int(self._indptr[low]), int(self._indptr[high]))
        indices = _numbered(self._group["indices"][stored], self.shape[1], self._where)
        data = np.asarray(self._group["data"][stored], dtype=np.float32)
        indptr = (self._indptr[low : high + 1] - stored.start).astype(np.int32)
        block = sparse.csr_matrix((data, indices, indptr), shape=(high - low, self.shape[1]))
        block.sum_duplicates()
        return block


class CscArray:
    """Sparse columns. Every block of rows is a pass over the whole array, so that memory stays bounded."""

    def __init__(self, group: Any, where: str) -> None:
        self.shape, self._indptr = _shape_and_bounds(group, where, axis=1)
        self._group, self._where = group, where
        self.entries = np.zeros(self.shape[0], dtype=np.int64)
        for rows, _, _ in self._pieces():
            self.entries += np.bincount(rows, minlength=self.shape[0])

    def ranges(self, most: int) -> Iterator[tuple[int, int]]:
        """Bounds of consecutive rows to read at once, at most so many."""
        yield from row_ranges(np.concatenate([[0], np.cumsum(self.entries)]), GATHERED, most)

    @BEYOND_FLOAT32
    def rows(self, low: int, high: int) -> Values:
        """These rows, feature numbers ascending in each."""
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for rows, columns, stored in self._pieces():
            inside = np.flatnonzero((rows >= low) & (rows < high))
            if len(inside):
                data = np.asarray(self._group["data"][stored], dtype=np.float32)[inside]
                found.append((data, rows[inside] - low, columns[inside]))
        shape = (high - low, self.shape[1])
        if not found:
            return sparse.csr_matrix(shape, dtype=np.float32)
        data, in_rows, in_columns = (np.concatenate(part) for part in zip(*found, strict=True))
        return sparse.csr_matrix((data, (in_rows, in_columns)), shape=shape)

    def _pieces(self) -> Iterator[tuple[np.ndarray, np.ndarray, slice]]:
        for start in range(0, int(self._indptr[-1]), CELLS):
            stored = slice(start, min(start + CELLS, int(self._indptr[-1])))
            rows = _numbered(self._group["indices"][stored], self.shape[0], self._where)
            columns = np.searchsorted(self._indptr, np.arange(stored.start, stored.stop), side="right") - 1
            yield rows, columns.astype(np.int32), stored


StoredArray = DenseArray | CsrArray | CscArray


def open_array(node: Any, where: str) -> StoredArray:
    """The array behind an HDF5 node of an AnnData file.

    Raises:
        InputError: It is no array of numbers, or its parts do not fit each other.
    """
    import h5py

    if isinstance(node, h5py.Dataset):
        return DenseArray(node, where)
    kind = str(node.attrs.get("encoding-type") or node.attrs.get("h5sparse_format", "?"))
    kinds: dict[str, type[CsrArray | CscArray]] = {
        "csr_matrix": CsrArray,
        "csr": CsrArray,
        "csc_matrix": CscArray,
        "csc": CscArray,
    }
    if kind not in kinds:
        raise InputError(f"{where} is stored as '{kind}'; expected a dense, CSR or CSC array of numbers.")
    return kinds[kind](node, where)


def row_ranges(bounds: np.ndarray, entries: int, most: int) -> Iterator[tuple[int, int]]:
    """Consecutive rows of about ``entries`` entries together, at most ``most`` rows; ``bounds`` is where each row's
    entries begin, and where the last one's end.
    """
    low, rows = 0, len(bounds) - 1
    while low < rows:
        high = int(np.searchsorted(bounds, bounds[low] + entries, side="right")) - 1
        high = min(max(high, low + 1), low + most, rows)
        yield low, high
        low = high


def _shape_and_bounds(group: Any, where: str, axis: int) -> tuple[tuple[int, int], np.ndarray]:
    said = group.attrs.get("shape", group.attrs.get("h5sparse_shape"))
    for part in ("data", "indices", "indptr"):
        if said is None or part not in group:
            raise InputError(f"{where} is a sparse array without {part if said is not None else 'shape'}; damaged?")
        _check_numbers(group[part], f"{where}/{part}")
    shape = (int(said[0]), int(said[1]))
    indptr = np.asarray(group["indptr"][:], dtype=np.int64)
    stored = (len(group["data"]), len(group["indices"]), int(indptr[-1]) if len(indptr) else -1)
    if len(indptr) != shape[axis] + 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any() or len(set(stored)) > 1:
        raise InputError(
            f"{where}: the parts of the sparse array do not fit each other ({stored[0]:,} values, {stored[1]:,} "
            f"indices, {len(indptr):,} bounds that end at {stored[2]:,}, shape {shape[0]:,} x {shape[1]:,}). Write the "
            "file again."
        )
    return shape, indptr


def _numbered(indices: np.ndarray, size: int, where: str) -> np.ndarray:
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= size):
        raise InputError(f"{where}: index {int(indices.max()):,} of the sparse array is outside 0 to {size - 1:,}.")
    return indices.astype(np.int32, copy=False)


def _check_numbers(node: Any, where: str) -> None:
    if node.dtype.kind not in "fiub":
        raise InputError(f"{where} holds {node.dtype}, expected real numbers.")
