"""X of an .h5ad read in any order as it lies in the file: the values of the source, or a refusal."""

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse

from omicsfm.data.buffers import Buffers
from omicsfm.data.h5ad_matrix import H5adMatrix
from omicsfm.data.row_loader import make_row_loader
from omicsfm.errors import InputError


def counts() -> np.ndarray:
    table = np.random.default_rng(0).poisson(0.3, (50, 400)).astype(np.float32)
    table[[0, 17, 49]] = 0
    table[20] = 2
    return table


def write(path, values, **options):  # type: ignore[no-untyped-def]
    anndata.AnnData(values).write_h5ad(path, **options)
    return path


def in_chunks(path, size: int):  # type: ignore[no-untyped-def]
    """The same file with its sparse arrays in chunks of ``size`` numbers."""
    with h5py.File(path, "a") as file:
        for name in ("data", "indices"):
            values = file["X"][name][:]
            del file["X"][name]
            file["X"].create_dataset(name, data=values, chunks=(size,))
    return path


def rows_of(batch, width: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    indptr, ids = batch.offsets.numpy(), batch.feature_ids.numpy()
    return sparse.csr_matrix((batch.values.numpy(), ids, indptr), shape=(len(batch.row), width)).toarray()


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_rows_that_cross_chunks_come_back_whole_each_once_an_epoch(tmp_path, size: int) -> None:
    matrix = H5adMatrix(in_chunks(write(tmp_path / "x.h5ad", sparse.csr_matrix(counts())), size))
    seen = []
    for batch in make_row_loader(matrix, batch_size=8, seed=1):
        np.testing.assert_array_equal(rows_of(batch, 400), counts()[batch.row.numpy()])
        seen += batch.row.tolist()
    assert sorted(seen) == list(range(50))
    assert seen != sorted(seen)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float64, np.uint8])
def test_other_types_of_numbers_are_converted(tmp_path, kind) -> None:
    matrix = H5adMatrix(write(tmp_path / "x.h5ad", sparse.csr_matrix(counts().astype(kind))))
    packed = matrix.read_packed(np.array([20, 0, 3]), Buffers())
    assert packed.values.dtype == np.float32
    expected = sparse.csr_matrix((packed.values, packed.feature_ids, packed.offsets), shape=(3, 400)).toarray()
    np.testing.assert_array_equal(expected, counts()[[20, 0, 3]])


def test_a_dense_x_is_read_too(tmp_path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32)
    values[3, 4] = np.nan
    matrix = H5adMatrix(write(tmp_path / "x.h5ad", values))
    for batch in make_row_loader(matrix, batch_size=7, seed=1):
        np.testing.assert_array_equal(batch.values, values[batch.row.numpy()])


def test_an_x_that_does_not_lie_in_the_file_as_plain_rows_is_refused_with_the_way_out(tmp_path) -> None:
    packed = write(tmp_path / "packed.h5ad", sparse.csr_matrix(counts()), compression="gzip")
    with pytest.raises(InputError, match=r"compressed.*omicsfm prepare"):
        H5adMatrix(packed)
    with pytest.raises(InputError, match="by columns"):
        H5adMatrix(write(tmp_path / "columns.h5ad", sparse.csc_matrix(counts())))
    with pytest.raises(InputError):
        H5adMatrix(tmp_path / "absent.h5ad")


def test_a_feature_number_out_of_range_is_refused_when_it_is_read(tmp_path) -> None:
    path = write(tmp_path / "x.h5ad", sparse.csr_matrix(counts()))
    with h5py.File(path, "a") as file:
        file["X/indices"][100] = 400
    matrix = H5adMatrix(path)
    with pytest.raises(InputError, match="outside 0 to 399"):
        matrix.read_packed(np.arange(50), Buffers())
