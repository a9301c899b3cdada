"""One modality of a store, read from the memory map."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from omicsfm.data.buffers import Buffers
from omicsfm.data.mapped import MappedArray
from omicsfm.errors import InputError, closest
from omicsfm.features import FeatureSpace


@dataclass(frozen=True)
class PackedRows:
    """Rows of a sparse matrix end to end, without what is not stored: row i is ``offsets[i]`` to ``offsets[i + 1]``."""

    feature_ids: Int32[np.ndarray, " stored"]
    values: Float[np.ndarray, " stored"]
    offsets: Int[np.ndarray, " rows_and_one"]


@dataclass(frozen=True)
class Picked:
    """Some features of each of some visits."""

    values: Float[np.ndarray, "visits tokens"]
    """NaN where not measured."""
    below_limit: Bool[np.ndarray, "visits tokens"]
    total: Float[np.ndarray, "visits 1"]
    """Sum of the visit's values over the features counted, whether picked or not."""


class StoredMatrix:
    """One modality of a store. What is read is copied; nothing else is kept in memory."""

    layout: Literal["dense", "csr"] = "dense"

    def __init__(
        self, directory: Path, features: FeatureSpace | Callable[[], FeatureSpace], layout: Literal["dense", "csr"]
    ) -> None:
        """``features`` may be read when they are first asked for: copying rows does not need their names."""
        if isinstance(features, FeatureSpace):
            self.features = features
        else:
            self._features_later = features
        self.layout = layout
        self._directory = directory
        self.rows: Int[np.ndarray, " measured"] = np.asarray(np.load(directory / "rows.npy", mmap_mode="r"))
        if layout == "dense":
            self._values = MappedArray(directory / "values.npy")
        else:
            self._indptr = np.asarray(np.load(directory / "indptr.npy", mmap_mode="r"))
            self._indices, self._data = MappedArray(directory / "indices.npy"), MappedArray(directory / "data.npy")
        limit = directory / "below_limit.npy"
        self._below_limit = MappedArray(limit) if limit.exists() else None
        self._complete = len(self.rows) > 0 and bool(self.rows[-1] == len(self.rows) - 1)  # ascending, without repeats

    @cached_property
    def features(self) -> FeatureSpace:
        """What the columns are."""
        return self._features_later()

    def read(
        self, rows: Int[np.ndarray, " visits"]
    ) -> tuple[Float[np.ndarray, "visits features"], Bool[np.ndarray, "visits features"]]:
        """Values (NaN where not measured) and below-limit flags of these store rows, in the order asked for."""
        present, places = self._places(rows)
        values = np.full((len(rows), len(self.features)), np.nan, dtype=np.float32)
        below = np.zeros(values.shape, dtype=bool)
        if self.layout == "dense":
            self._values.ask_for(places, places + 1)
            values[present] = self._values.array[places]
        else:
            values[present] = self._spread(places)
        if self._below_limit is not None:
            self._below_limit.ask_for(places, places + 1)
            below[present] = self._below_limit.array[places]
        return values, below

    def read_once(self, rows: Int[np.ndarray, " visits"]) -> Float[np.ndarray, "visits features"] | PackedRows:
        """Values of these store rows, all of which were measured, as the matrix is laid out: dense, or packed.

        For what looks at many rows once: nothing of the memory map is touched, and nothing compiled.
        """
        _, places = self._places(rows)
        if self.layout == "dense":
            return self._values.copy_of(places, places + 1)
        starts, stops = self._bounds(places)
        ids = self._indices.copy_of(starts, stops).astype(np.int32, copy=False)
        if len(ids) and int(ids.max()) >= len(self.features):
            raise self._damaged(f"indices.npy names a feature beyond {len(self.features)}")
        return PackedRows(ids, self._data.copy_of(starts, stops), np.concatenate([[0], np.cumsum(stops - starts)]))

    def read_dense(self, rows: Int[np.ndarray, " visits"], buffers: Buffers) -> Float[np.ndarray, "visits features"]:
        """Values of these store rows, NaN where not measured, in reused memory. For a dense matrix."""
        present, places = self._places(rows)
        values = buffers.take((len(rows), self._values.array.shape[1]), np.float32)
        self._values.ask_for(places, places + 1)
        if len(places) == len(rows):
            return np.take(self._values.array, places, axis=0, out=values, mode="clip")  # 'raise' would copy twice
        values[:] = np.nan
        values[present] = self._values.array[places]
        return values

    def read_packed(self, rows: Int[np.ndarray, " visits"], buffers: Buffers) -> PackedRows:
        """What is stored of these store rows, in reused memory; nothing of a row that was not measured. For CSR.

        What is stored is what is not zero, or not measured (NaN); a feature that is not stored is a measured zero.
        """
        present, places = self._places(rows)
        packed = self._pack(places, buffers)
        if len(places) == len(rows):
            return packed
        lengths = np.zeros(len(rows) + 1, dtype=np.int64)
        lengths[present + 1] = np.diff(packed.offsets)
        return PackedRows(packed.feature_ids, packed.values, np.cumsum(lengths))

    def pick(
        self,
        rows: Int[np.ndarray, " visits"],
        columns: Int[np.ndarray, "visits tokens"],
        counted: Bool[np.ndarray, " features"],
    ) -> Picked:
        """These features of these store rows, each row its own; a negative column is a feature that is not measured.

        In a CSR matrix the work goes with what is stored and asked for, not with the number of features.
        """
        present, places = self._places(rows)
        values = np.full(columns.shape, np.nan, dtype=np.float32)
        below, total = np.zeros(columns.shape, dtype=bool), np.zeros((len(rows), 1))
        if len(present) and columns.shape[1]:
            known = columns[present] >= 0
            own = np.where(known, columns[present], 0)
            found, total[present, 0] = self._pick(places, own, counted)
            values[present] = np.where(known, found, np.nan)
            if self._below_limit is not None:
                below[present] = self._below_limit.array[places[:, None], own] & known
        return Picked(values, below, total)

    def _places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of ``rows`` were measured, and the matrix rows of those."""
        if self._complete and (not len(rows) or (rows.min() >= 0 and rows.max() < len(self.rows))):
            return np.arange(len(rows)), rows
        if not len(self.rows):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        present = np.flatnonzero(self.rows[places] == rows)
        return present, places[present]

    def _pick(self, places: np.ndarray, columns: np.ndarray, counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from omicsfm.data.gather import pick_from_rows

        if self.layout == "dense":
            self._values.ask_for(places, places + 1)
            whole = self._values.array[places]
            total = np.where(counted, np.nan_to_num(whole), 0.0).sum(axis=1, dtype=np.float64)
            return np.take_along_axis(whole, columns, axis=1), total
        self._spans(places)
        found, total = np.empty(columns.shape, np.float32), np.empty(len(places))
        arrays = self._indptr, self._indices.array, self._data.array
        if not pick_from_rows(*arrays, places, columns, counted, found, total):
            raise self._damaged(f"indices.npy names a feature beyond {len(self.features)}")
        return found, total

    def _spans(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the entries of these matrix rows start and stop; they are asked for from the disk."""
        starts, stops = self._bounds(places)
        self._indices.ask_for(starts, stops)
        self._data.ask_for(starts, stops)
        return starts, stops

    def _bounds(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts, stops = self._indptr[places], self._indptr[places + 1]
        stored = min(len(self._indices.array), len(self._data.array))
        if len(places) and not (starts.min() >= 0 and (starts <= stops).all() and stops.max() <= stored):
            raise self._damaged(f"indptr.npy points outside of {stored} entries")
        return starts, stops

    def _pack(self, places: np.ndarray, buffers: Buffers) -> PackedRows:
        from omicsfm.data.gather import copy_pieces

        starts, stops = self._spans(places)
        offsets = np.zeros(len(places) + 1, dtype=np.int64)
        np.cumsum(stops - starts, out=offsets[1:])
        ids, values = (buffers.take(int(offsets[-1]), dtype) for dtype in (np.int32, np.float32))
        lengths = stops - starts
        copy_pieces(self._indices.array, starts, lengths, ids)
        copy_pieces(self._data.array, starts, lengths, values)
        return PackedRows(ids, values, offsets)

    def _spread(self, places: np.ndarray) -> np.ndarray:
        from omicsfm.data.gather import spread

        packed = self._pack(places, Buffers())
        values = np.zeros((len(places), len(self.features)), dtype=np.float32)
        if not spread(packed.feature_ids, packed.values, packed.offsets, values):
            raise self._damaged(f"indices.npy names a feature beyond {len(self.features)}")
        return values

    def _damaged(self, found: str) -> InputError:
        return InputError(f"{self._directory}: the store is damaged ({found}). Prepare it again.")


def open_matrix(store: Path, modality: str) -> StoredMatrix:
    """One modality of a store without the rest of it: no tables of visits and outcomes, no pandas.

    Raises:
        InputError: There is no such store, or it has no such modality.
    """
    try:
        manifest = json.loads((store / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{store}: not a store, or damaged ({error}).") from error
    if modality not in manifest["modalities"]:
        raise InputError(f"{store}: no modality '{modality}'; {closest(modality, manifest['modalities'])}.")
    entry, folder = manifest["modalities"][modality], store / "modalities" / modality

    def features() -> FeatureSpace:
        import pyarrow.parquet as parquet

        ids = parquet.ParquetFile(folder / "features.parquet").read(columns=["feature_id"]).column(0).to_pylist()
        own = {name: entry[name] for name in ("namespace", "scale", "platform")}
        return FeatureSpace(modality, tuple(ids), cohort=manifest["name"], **own)

    return StoredMatrix(folder, features, entry["layout"])
