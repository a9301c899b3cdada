"""A store as it is written: block by block under a temporary name, the manifest last, then renamed.

A kill at any moment leaves nothing at the final name, or what was there before.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy import sparse

from omicsfm.data.npy_file import NpyFile
from omicsfm.data.store_files import fingerprint_of, hashes_of, sealed
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.outcome_spec import OutcomeSpec

FORMAT = 1
SMALL_IDS = 1 << 16
"""A modality of fewer features has them numbered in two bytes."""


class MatrixWriter:
    """One modality of a store, filled in blocks in any order."""

    def __init__(
        self,
        directory: Path,
        features: FeatureSpace,
        rows: Int[np.ndarray, " measured"],
        *,
        about: pd.DataFrame | None = None,
        entries: Int[np.ndarray, " measured"] | None = None,
        below_limit: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.features, self.layout = features, "dense" if entries is None else "csr"
        self.visits, self.missing, self.below_limit = len(rows), 0, 0
        table = pd.DataFrame({"feature_id": list(features.ids)})
        if about is not None:
            table = table.join(about.reset_index(drop=True))
        table.to_parquet(directory / "features.parquet")
        np.save(directory / "rows.npy", np.asarray(rows, dtype=np.int64))
        self._indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        if entries is None:
            self._files = {"values": NpyFile(directory / "values.npy", np.float32, (len(rows), len(features)))}
        else:
            np.cumsum(entries, out=self._indptr[1:])
            np.save(directory / "indptr.npy", self._indptr)
            ids = np.uint16 if len(features) < SMALL_IDS else np.int32
            stored = (int(self._indptr[-1]),)
            self._files = {
                "indices": NpyFile(directory / "indices.npy", ids, stored),
                "data": NpyFile(directory / "data.npy", np.float32, stored),
            }
        if below_limit:
            self._files["below_limit"] = NpyFile(directory / "below_limit.npy", bool, (len(rows), len(features)))

    def write(
        self,
        places: Int[np.ndarray, " block"],
        values: np.ndarray | sparse.csr_matrix | sparse.csr_array,
        below_limit: Bool[np.ndarray, "block features"] | None = None,
    ) -> None:
        """Write rows at these places of the matrix. Each place is written once."""
        if len(places) > 1 and not (np.diff(places) > 0).all():
            order = np.argsort(places)
            places, values = places[order], values[order]
            below_limit = None if below_limit is None else below_limit[order]
        breaks = np.flatnonzero(np.diff(places) != 1) + 1
        for first, last in zip((0, *breaks), (*breaks, len(places)), strict=True):
            if first < last:  # consecutive places are one piece of the file
                self._write_run(int(places[first]), slice(first, last), values, below_limit)
        numbers = values if isinstance(values, np.ndarray) else values.data
        self.missing += int(np.isnan(numbers).sum())
        self.below_limit += 0 if below_limit is None else int(below_limit.sum())

    def _write_run(self, place: int, run: slice, values: Any, below_limit: np.ndarray | None) -> None:
        width = len(self.features)
        if self.layout == "dense":
            self._files["values"].write(place * width, values[run])
        else:
            stored = slice(values.indptr[run.start], values.indptr[run.stop])
            self._files["indices"].write(int(self._indptr[place]), values.indices[stored])
            self._files["data"].write(int(self._indptr[place]), values.data[stored])
        if "below_limit" in self._files and below_limit is not None:
            self._files["below_limit"].write(place * width, below_limit[run])

    def flush(self) -> None:
        """Wait until what was written is on the disk."""
        for file in self._files.values():
            file.flush()

    def close(self) -> dict[str, Any]:
        """Finish; returns the modality's entry in the manifest."""
        for file in self._files.values():
            file.close()
        return {
            "namespace": self.features.namespace,
            "scale": self.features.scale,
            "platform": self.features.platform,
            "layout": self.layout,
            "features": len(self.features),
            "visits": self.visits,
            "missing": self.missing,
            "below_limit": self.below_limit,
            "feature_fingerprint": self.features.fingerprint,
        }


class StoreWriter:
    """Writes a store into ``partial``, a folder beside ``path``, and renames it when it is complete."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(f".{self.path.name}.partial")
        foreign = self.path.exists() and not (self.path / "manifest.json").exists()
        if foreign and (self.path.is_file() or any(self.path.iterdir())):
            raise InputError(f"{self.path}: exists and is not a store; it is left alone. Name another folder.")

    def add(
        self,
        features: FeatureSpace,
        rows: Int[np.ndarray, " measured"],
        *,
        about: pd.DataFrame | None = None,
        entries: Int[np.ndarray, " measured"] | None = None,
        below_limit: bool = False,
    ) -> MatrixWriter:
        """A modality to fill: ``rows`` are the store rows of its matrix rows, ascending; ``about`` further columns of
        features.parquet; ``entries`` the number of stored entries of each row where the matrix is CSR.
        """
        directory = self.partial / "modalities" / features.modality
        return MatrixWriter(directory, features, rows, about=about, entries=entries, below_limit=below_limit)

    def finish(
        self,
        *,
        name: str,
        people: str,
        visits: pd.DataFrame,
        outcomes: pd.DataFrame,
        outcome_specs: Mapping[str, OutcomeSpec],
        modalities: Mapping[str, Mapping[str, Any]],
        clinical: tuple[str, ...] | None = None,
        subgroups: tuple[str, ...] = (),
        policy: Mapping[str, Any] | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the tables and the manifest, and rename. ``modalities`` are the entries that ``close`` returned."""
        self.partial.mkdir(parents=True, exist_ok=True)
        visits.reset_index(drop=True).to_parquet(self.partial / "visits.parquet")
        outcomes.reset_index(drop=True).to_parquet(self.partial / "outcomes.parquet")
        files = sorted(str(file.relative_to(self.partial)) for file in self.partial.rglob("*") if file.is_file())
        hashes = hashes_of(self.partial, files)
        manifest = {
            "format": FORMAT,
            "name": name,
            "people": people,
            "participants": int(visits["participant_id"].nunique()),
            "visits": len(visits),
            "modalities": dict(modalities),
            "outcomes": {outcome: asdict(spec) for outcome, spec in outcome_specs.items()},
            "clinical": None if clinical is None else list(clinical),
            "subgroups": list(subgroups),
            "policy": dict(policy or {}),
            "source": dict(source or {}),
            "files": hashes,
            "fingerprint": fingerprint_of(hashes),
        }
        (self.partial / "manifest.json").write_text(json.dumps(sealed(manifest), indent=1))
        replaced = self.path.with_name(f".{self.path.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        if self.path.exists():
            self.path.rename(replaced)
        self.partial.rename(self.path)
        shutil.rmtree(replaced, ignore_errors=True)

    def discard(self) -> None:
        """Remove what was written so far."""
        shutil.rmtree(self.partial, ignore_errors=True)


def space_of(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk."""
    return sum(512 * file.stat().st_blocks for file in folder.rglob("*") if file.is_file())
