"""Which visits are looked at, and some of their features: bounded, whatever the size of the cohort."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from omicsfm.data.leakage.targets import Target
from omicsfm.data.stored_matrix import PackedRows, StoredMatrix

CELLS_AT_ONCE = 2_000_000
Rows: TypeAlias = np.ndarray | sparse.csr_matrix
"""float32, visits by features, as the matrix is laid out."""


def drawn(target: Target, rows: Int[np.ndarray, " rows"], most: int, seed: int) -> Int[np.ndarray, " sample"]:
    """At most ``most`` rows, of a class target the classes in equal parts as far as they go."""
    if len(rows) <= most:
        return rows
    shuffled = np.random.default_rng(seed).permutation(rows)
    if target.is_class:
        codes = target.value[shuffled]
        turn = np.zeros(len(shuffled))
        for code in np.unique(codes):
            own = codes == code
            turn[own] = np.arange(own.sum())
        shuffled = shuffled[np.argsort(turn, kind="stable")]  # the first of each class, then the second, ...
    return np.sort(shuffled[:most])


def blocks_of(matrix: StoredMatrix, rows: Int[np.ndarray, " rows"]) -> Iterator[Rows]:
    """The values of these visits, a few visits at a time."""
    step = max(1, CELLS_AT_ONCE // max(len(matrix.features), 1))
    for at in range(0, len(rows), step):
        read = matrix.read_once(rows[at : at + step])
        if isinstance(read, PackedRows):
            packed, shape = (read.values, read.feature_ids, read.offsets), (len(read.offsets) - 1, len(matrix.features))
            yield sparse.csr_matrix(packed, shape=shape)
        else:
            yield read


def columns_of(
    matrix: StoredMatrix, rows: Int[np.ndarray, " rows"], features: Int[np.ndarray, " chosen"] | None = None
) -> Float[np.ndarray, "rows chosen"]:
    """Some features of these visits, or all, NaN where not measured."""
    chosen = slice(None) if features is None else features
    blocks = [dense(block[:, chosen]) for block in blocks_of(matrix, rows)]
    width = len(matrix.features) if features is None else len(features)
    return np.concatenate(blocks) if blocks else np.zeros((0, width), dtype=np.float32)


def dense(values: Rows) -> Float[np.ndarray, "rows features"]:
    """As an array."""
    return values if isinstance(values, np.ndarray) else values.toarray()
