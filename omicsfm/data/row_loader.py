"""Random batches of one modality's rows as they are stored, from the memory map into tensors."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from omicsfm.data.buffers import Buffers
from omicsfm.data.order import BatchSampler
from omicsfm.data.read_ahead import Loader
from omicsfm.data.stored_matrix import PackedRows


@dataclass(frozen=True)
class SparseRows:
    """Rows of a sparse modality end to end, without what is not stored: row i is ``offsets[i]`` to ``offsets[i + 1]``.

    A feature that is not stored is a measured zero; NaN is not measured.
    """

    row: Int[Tensor, " visits"]
    """Row in the store."""
    feature_ids: Int[Tensor, " stored"]
    values: Float[Tensor, " stored"]
    offsets: Int[Tensor, " visits_and_one"]


@dataclass(frozen=True)
class DenseRows:
    """Rows of a dense modality; NaN is not measured."""

    row: Int[Tensor, " visits"]
    values: Float[Tensor, "visits features"]


@runtime_checkable
class RowSource(Protocol):
    """A matrix whose rows can be copied in any order: of a store, or X of an .h5ad."""

    layout: Literal["dense", "csr"]
    rows: Int[np.ndarray, " measured"]

    def read_dense(self, rows: Int[np.ndarray, " visits"], buffers: Buffers) -> Float[np.ndarray, "visits features"]:
        """These rows of a dense matrix, in memory of ``buffers``."""

    def read_packed(self, rows: Int[np.ndarray, " visits"], buffers: Buffers) -> PackedRows:
        """What is stored of these rows of a CSR matrix, in memory of ``buffers``."""


def make_row_loader(
    matrix: RowSource,
    rows: Int[np.ndarray, " visits"] | None = None,
    *,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    ahead: int = 2,
) -> Loader[SparseRows | DenseRows]:
    """One modality's measured rows as they are stored, untransformed, straight from the memory map.

    A batch's memory is used again when nobody holds the batch, so memory stays at ``ahead`` + 2 batches however
    many rows there are.
    """
    buffers = Buffers()

    def sparse(rows: np.ndarray, seed: int) -> SparseRows:
        packed = matrix.read_packed(rows, buffers)
        return SparseRows(*map(torch.from_numpy, (rows, packed.feature_ids, packed.values, packed.offsets)))

    def dense(rows: np.ndarray, seed: int) -> DenseRows:
        return DenseRows(torch.from_numpy(rows), torch.from_numpy(matrix.read_dense(rows, buffers)))

    sampler = BatchSampler(matrix.rows if rows is None else rows, batch_size=batch_size, seed=seed, shuffle=shuffle)
    return Loader(sampler, sparse if matrix.layout == "csr" else dense, ahead=ahead)
