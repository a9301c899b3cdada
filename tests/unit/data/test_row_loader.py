"""Rows of a store straight into tensors: each once an epoch, equal to the source, in memory that is used again."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from omicsfm.data.buffers import Buffers
from omicsfm.data.order import BatchSampler
from omicsfm.data.read_ahead import Loader
from omicsfm.data.row_loader import make_row_loader
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.data.stored_matrix import open_matrix
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace

VISITS, FEATURES = 60, 700
ROWS = np.delete(np.arange(VISITS), [0, 7, 31])


def source() -> tuple[np.ndarray, np.ndarray]:
    """A sparse and a dense matrix: one row is empty, one is full, and some values are not measured."""
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.4, (VISITS, FEATURES)).astype(np.float32)
    counts[3], counts[4] = 0, 9
    counts[5, :3] = np.nan
    dense = generator.normal(size=(VISITS, 30)).astype(np.float32)
    dense[generator.random(dense.shape) < 0.1] = np.nan
    return counts, dense


@pytest.fixture(scope="module", params=["complete", "with gaps"])
def opened(request, tmp_path_factory) -> OmicsStore:
    rows = np.arange(VISITS) if request.param == "complete" else ROWS
    return write(tmp_path_factory.mktemp("stores") / "store", rows)


def write(path: Path, rows: np.ndarray) -> OmicsStore:
    counts, dense = source()
    below = np.zeros(counts.shape, bool)
    below[:, 4] = True
    space = FeatureSpace("rna", tuple(f"G{n}" for n in range(FEATURES)), "local", "counts")
    protein = FeatureSpace("protein", tuple(f"P{n}" for n in range(30)), "local", "log2")
    return write_store(
        path,
        name="c",
        visits=pd.DataFrame({"participant_id": [f"S{n}" for n in range(VISITS)], "visit": "1", "time_days": 0.0}),
        outcomes=pd.DataFrame(index=range(VISITS)),
        outcome_specs={},
        matrices={
            "rna": Matrix(space, rows, sparse.csr_matrix(counts[rows]), below[rows]),
            "protein": Matrix(protein, rows, dense[rows]),
        },
    )


def densified(batch) -> np.ndarray:  # type: ignore[no-untyped-def]
    out = np.zeros((len(batch.row), FEATURES), np.float32)
    for i in range(len(out)):
        span = slice(batch.offsets[i], batch.offsets[i + 1])
        out[i, batch.feature_ids[span].numpy()] = batch.values[span].numpy()
    return out


@pytest.mark.parametrize("ahead", [0, 2])
def test_every_measured_row_comes_once_an_epoch_with_the_values_of_the_source(opened, ahead: int) -> None:
    counts, dense = source()
    for name, whole in (("rna", counts), ("protein", dense)):
        loader = make_row_loader(opened.modalities[name], batch_size=8, seed=3, ahead=ahead)
        seen = []
        for batch in loader:
            values = densified(batch) if name == "rna" else batch.values.numpy()
            np.testing.assert_array_equal(values, whole[batch.row.numpy()])
            seen += batch.row.tolist()
        assert sorted(seen) == opened.modalities[name].rows.tolist()
        assert seen != sorted(seen)


def test_a_batch_that_somebody_keeps_is_not_overwritten(opened) -> None:
    kept = list(make_row_loader(opened.modalities["rna"], batch_size=8, seed=3))
    counts, _ = source()
    for batch in kept:
        np.testing.assert_array_equal(densified(batch), counts[batch.row.numpy()])


def test_memory_is_used_again_once_no_tensor_of_it_is_left() -> None:
    buffers = Buffers()
    first = buffers.take(100, np.float32)
    place, tensor = first.ctypes.data, torch.from_numpy(first[10:20])
    del first
    assert buffers.take(100, np.float32).ctypes.data != place
    del tensor
    assert place in {buffers.take(size, np.float32).ctypes.data for size in (100,)}


def test_a_long_epoch_needs_no_more_memory_than_a_short_one(opened) -> None:
    matrix = opened.modalities["rna"]
    places = {batch.values.data_ptr() for batch in make_row_loader(matrix, batch_size=2, seed=0, ahead=2)}
    assert len(places) <= 8  # of 30 batches; growing ones are made anew


def test_a_visit_without_the_assay_has_nothing_stored_and_is_told_from_one_of_zeros(tmp_path) -> None:
    matrix = write(tmp_path / "store", ROWS).modalities["rna"]
    packed = matrix.read_packed(np.array([7, 3, 8]), Buffers())
    counts, _ = source()
    assert packed.offsets.tolist() == [0, 0, 0, np.count_nonzero(counts[8])]
    values, _ = matrix.read(np.array([7, 3]))
    assert np.isnan(values[0]).all()
    assert (values[1] == 0).all()


@pytest.mark.parametrize("name", ["rna", "protein"])
def test_picking_features_gives_what_reading_the_whole_row_gives(opened, name: str) -> None:
    matrix, rows = opened.modalities[name], np.array([9, 5, 7, 3, 4])
    columns = np.random.default_rng(1).integers(-1, len(matrix.features), (len(rows), 20))
    columns[:, :4] = [0, 4, 2, -1]
    counted = np.arange(len(matrix.features)) % 3 > 0
    picked, (values, below) = matrix.pick(rows, columns, counted), matrix.read(rows)
    expected = np.where(columns < 0, np.nan, np.take_along_axis(values, np.maximum(columns, 0), 1))
    np.testing.assert_array_equal(picked.values, expected)
    np.testing.assert_array_equal(
        picked.below_limit, np.take_along_axis(below, np.maximum(columns, 0), 1) & (columns >= 0)
    )
    np.testing.assert_allclose(picked.total[:, 0], np.nansum(values[:, counted], axis=1, dtype=float), rtol=1e-12)


@pytest.mark.parametrize("file, change, said", [("indptr", 10**9, "indptr.npy"), ("indices", FEATURES, "indices.npy")])
def test_a_store_whose_numbers_point_nowhere_is_refused_rather_than_followed(tmp_path, file, change, said) -> None:
    store = write(tmp_path / "store", np.arange(VISITS))
    path = store.path / "modalities" / "rna" / f"{file}.npy"
    spoilt = np.load(path)
    spoilt[5] += change
    np.save(path, spoilt)
    matrix = OmicsStore.open(store.path).modalities["rna"]
    with pytest.raises(InputError, match=said):
        matrix.read(np.arange(8))
    with pytest.raises(InputError, match=said):
        matrix.pick(np.arange(8), np.zeros((8, 2), dtype=np.int64), np.ones(FEATURES, dtype=bool))


def test_many_features_are_numbered_in_four_bytes_and_read_as_few(tmp_path) -> None:
    wide = FeatureSpace("rna", tuple(f"G{n}" for n in range(70_000)), "local", "counts")
    counts = sparse.random_array((9, 70_000), density=1e-3, format="csr", rng=0, dtype=np.float32)
    visits = pd.DataFrame({"participant_id": [f"S{n}" for n in range(9)], "visit": "1", "time_days": 0.0})
    tables = {"visits": visits, "outcomes": pd.DataFrame(index=range(9)), "outcome_specs": {}}
    store = write_store(
        tmp_path / "store", name="c", **tables, matrices={"rna": Matrix(wide, np.arange(9), counts.tocsr())}
    )
    folder = store.path / "modalities" / "rna"
    assert np.load(folder / "indices.npy").dtype == np.int32
    assert json.loads((store.path / "manifest.json").read_text())["modalities"]["rna"]["layout"] == "csr"
    np.testing.assert_array_equal(store.modalities["rna"].read(np.arange(9))[0], counts.toarray())


def test_what_goes_wrong_in_the_background_is_raised_where_the_batch_is_asked_for() -> None:
    def read(rows: np.ndarray, seed: int) -> int:
        if 13 in rows:
            raise InputError("row 13 is damaged")
        return len(rows)

    loader = Loader(BatchSampler(np.arange(20), batch_size=4, seed=0, shuffle=False), read, ahead=3)
    batches = iter(loader)
    assert [next(batches) for _ in range(3)] == [4, 4, 4]
    with pytest.raises(InputError, match="row 13"):
        next(batches)


def test_a_loader_reads_no_further_ahead_than_it_was_told_and_stops_when_its_reader_stops() -> None:
    read: list[int] = []
    loader = Loader(
        BatchSampler(np.arange(100), batch_size=1, seed=0, shuffle=False), lambda rows, seed: read.append(1), ahead=3
    )
    batches = iter(loader)
    next(batches)
    next(batches)
    batches.close()
    assert 2 <= len(read) <= 5


def test_one_modality_can_be_opened_without_the_rest_of_the_store(opened) -> None:
    alone, whole = open_matrix(opened.path, "rna"), opened.modalities["rna"]
    np.testing.assert_array_equal(alone.read(np.array([5, 3]))[0], whole.read(np.array([5, 3]))[0])
    assert alone.features == whole.features
    with pytest.raises(InputError, match="did you mean 'rna'"):
        open_matrix(opened.path, "rnaa")
    with pytest.raises(InputError, match="not a store"):
        open_matrix(opened.path / "modalities", "rna")
