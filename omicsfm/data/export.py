"""A store as one .h5mu that any program for annotated data can open, and that ``omicsfm prepare`` takes back.

.obs                              one row per visit: participant_id, visit, time_days, what the store keeps of a
                                  visit, and each outcome as outcome.NAME
.uns["omicsfm"]                   what a COHORT.yaml would say, as JSON
.mod[NAME].X                      values in the declared scale: NaN is not measured, 0 is zero; CSR stays CSR
.mod[NAME].layers["below_limit"]  where the value is a detection limit; only where the modality has any
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.buffers import Buffers
from omicsfm.data.export_tables import exported_features, exported_tables
from omicsfm.data.ingest.blocks import CELLS
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.errors import InputError

CHUNK = 1 << 18  # cells
STORED = {"compression": "gzip", "compression_opts": 1}


def export_store(store: OmicsStore, path: Path) -> Path:
    """Write a .h5mu; an existing file is replaced when the new one is complete.

    Matrices go through memory in blocks; the tables are held as a whole.

    Raises:
        InputError: ``path`` is no .h5mu, or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".h5mu":
        raise InputError(f"{path}: a store is exported as .h5mu. Name it, say, {path.with_suffix('.h5mu')}.")
    partial = path.with_name(f".{path.stem}.partial.h5mu")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_tables(store, partial)
        _write_matrices(store, partial)
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from None
    finally:
        partial.unlink(missing_ok=True)
    return path


def _write_tables(store: OmicsStore, file: Path) -> None:
    """Everything but the matrices, as mudata writes it."""
    import anndata
    import mudata

    obs, said = exported_tables(store)
    with warnings.catch_warnings(), mudata.set_options(pull_on_update=False):
        warnings.simplefilter("ignore")  # two modalities may name a feature alike: they are told apart by modality
        members = {
            name: anndata.AnnData(
                obs=pd.DataFrame(index=obs.index[np.asarray(matrix.rows)]),
                var=exported_features(store, name),
            )
            for name, matrix in store.modalities.items()
        }
        cohort = mudata.MuData(members)
        cohort = cohort[obs.index].copy()
        cohort.obs = obs
        cohort.uns["omicsfm"] = json.dumps(said, indent=1)
        cohort.write(file)


def _write_matrices(store: OmicsStore, file: Path) -> None:
    import h5py
    from tqdm import tqdm

    total = sum(len(matrix.rows) for matrix in store.modalities.values())
    with (
        h5py.File(file, "r+") as opened,
        tqdm(total=total, unit="row", unit_scale=True, delay=1.0, disable=not sys.stderr.isatty()) as bar,
    ):
        for name, matrix in store.modalities.items():
            group = opened["mod"][name]
            if "X" in group:
                del group["X"]
            limited = bool(store.manifest["modalities"][name]["below_limit"])
            dense = _array(group, "X", matrix, np.float32) if matrix.layout == "dense" else None
            sparse_rows = _Csr(group, matrix) if dense is None else None
            flags = _array(group.require_group("layers"), "below_limit", matrix, bool) if limited else None
            start, step = 0, max(1, CELLS // max(len(matrix.features), 1))
            while start < len(matrix.rows):
                part = slice(start, min(start + step, len(matrix.rows)))
                own = matrix.rows[part]
                if dense is not None or flags is not None:
                    values, below = matrix.read(own)
                if dense is not None:
                    dense[part] = values
                if flags is not None:
                    flags[part] = below
                if sparse_rows is not None:
                    stored = sparse_rows.append(own)
                    step = step if flags is not None else max(1, CELLS * len(own) // max(stored, 1))
                bar.update(len(own))
                start = part.stop
            if sparse_rows is not None:
                sparse_rows.finish()


def _array(group: Any, name: str, matrix: StoredMatrix, dtype: Any) -> Any:
    shape = (len(matrix.rows), len(matrix.features))
    chunks = (min(max(1, CHUNK // max(shape[1], 1)), shape[0]), shape[1])
    array = group.create_dataset(name, shape=shape, dtype=dtype, chunks=chunks, **STORED)
    array.attrs["encoding-type"], array.attrs["encoding-version"] = "array", "0.2.0"
    return array


class _Csr:
    """A sparse matrix that grows by rows, as anndata stores one."""

    def __init__(self, group: Any, matrix: StoredMatrix) -> None:
        self._matrix, self._buffers, self._lengths = matrix, Buffers(), [np.zeros(1, np.int64)]
        self._group = group.create_group("X")
        for name, value in (("encoding-type", "csr_matrix"), ("encoding-version", "0.1.0")):
            self._group.attrs[name] = value
        self._group.attrs["shape"] = np.array([len(matrix.rows), len(matrix.features)])
        growing = {"shape": (0,), "maxshape": (None,), "chunks": (CHUNK,), **STORED}
        self._ids = self._group.create_dataset("indices", dtype=np.int32, **growing)
        self._data = self._group.create_dataset("data", dtype=np.float32, **growing)

    def append(self, rows: np.ndarray) -> int:
        """Write these rows of the store; returns how many entries they store."""
        packed = self._matrix.read_packed(rows, self._buffers)
        start, added = len(self._data), len(packed.values)
        for array, own in ((self._ids, packed.feature_ids), (self._data, packed.values)):
            array.resize((start + added,))
            array[start:] = own
        self._lengths.append(np.diff(packed.offsets))
        return added

    def finish(self) -> None:
        """Write where each row begins."""
        self._group.create_dataset("indptr", data=np.cumsum(np.concatenate(self._lengths)))
