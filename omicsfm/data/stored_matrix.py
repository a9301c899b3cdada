"""One modality of a store, read from the memory map."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.features import FeatureSpace


class StoredMatrix:
    """One modality of a store, read in slices from the memory map."""

    def __init__(self, directory: Path, features: FeatureSpace, layout: Literal["dense", "csr"]) -> None:
        self.features = features
        self.layout = layout
        self.rows: Int[np.ndarray, " measured"] = np.load(directory / "rows.npy")
        mapped = {"dense": ("values",), "csr": ("indptr", "indices", "data")}[layout]
        self._arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in mapped}
        limit = directory / "below_limit.npy"
        self._below_limit = np.load(limit, mmap_mode="r") if limit.exists() else None

    def read(
        self, rows: Int[np.ndarray, " visits"]
    ) -> tuple[Float[np.ndarray, "visits features"], Bool[np.ndarray, "visits features"]]:
        """Values (NaN where not measured) and below-limit flags of these store rows, in the order asked for."""
        place = np.searchsorted(self.rows, rows)
        place = np.minimum(place, max(len(self.rows) - 1, 0))
        present = np.flatnonzero(self.rows[place] == rows) if len(self.rows) else np.empty(0, dtype=int)
        values = np.full((len(rows), len(self.features)), np.nan, dtype=np.float32)
        below = np.zeros(values.shape, dtype=bool)
        if self.layout == "dense":
            values[present] = self._arrays["values"][place[present]]
        else:
            self._read_csr(values, present, place)
        if self._below_limit is not None:
            below[present] = self._below_limit[place[present]]
        return values, below

    def _read_csr(self, values: np.ndarray, present: np.ndarray, place: np.ndarray) -> None:
        indptr, indices, data = (self._arrays[name] for name in ("indptr", "indices", "data"))
        values[present] = 0.0
        for target in present:
            span = slice(indptr[place[target]], indptr[place[target] + 1])
            values[target, indices[span]] = data[span]
