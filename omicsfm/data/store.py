"""OmicsStore: a prepared cohort on disk, memory-mapped, the same for 100 or 10 million visits.

    STORE/
      manifest.json                      format number, fingerprint, counts, outcomes, subgroups, policy
      visits.parquet                     one row per visit: participant_id, visit, time_days, other columns
      outcomes.parquet                   one row per visit: NAME, or NAME.time_days, NAME.event [and NAME.entry_days]
      modalities/NAME/features.parquet   feature_id, in matrix order
      modalities/NAME/rows.npy           store row of each matrix row; a visit without the assay has none
      modalities/NAME/values.npy         dense float32, NaN where not measured; or indptr, indices, data (CSR)
      modalities/NAME/below_limit.npy    dense boolean, only where some value lies below its limit

Nothing here knows torch, anndata or the model.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy import sparse

from omicsfm.data.covariates import CLINICAL, CovariateMatrix
from omicsfm.data.store_files import check_store_files
from omicsfm.data.store_writer import FORMAT, StoreWriter
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.errors import InputError, closest
from omicsfm.features import FeatureSpace
from omicsfm.outcome_spec import TIMED, OutcomeSpec


@dataclass(frozen=True)
class Matrix:
    """One modality in memory, on its way into a store.

    ``values`` are in the declared scale: NaN is not measured, 0 is zero, and where ``below_limit`` is true the
    value is the detection limit. In a sparse matrix an entry that is not stored is a measured zero.
    """

    features: FeatureSpace
    rows: Int[np.ndarray, " measured"]
    """Store row of each matrix row, ascending and without repeats."""
    values: np.ndarray | sparse.csr_matrix | sparse.csr_array
    below_limit: Bool[np.ndarray, "measured features"] | None = None


@dataclass(frozen=True)
class OmicsStore:
    """A prepared cohort. Open one with ``OmicsStore.open(path)``."""

    path: Path
    manifest: Mapping[str, Any]
    visits: pd.DataFrame
    outcomes: pd.DataFrame
    modalities: Mapping[str, StoredMatrix]
    outcome_specs: Mapping[str, OutcomeSpec] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | Path) -> "OmicsStore":
        """Open a store.

        Raises:
            InputError: There is no store at ``path``, a file of it is missing or changed, or a newer omicsfm wrote it.
        """
        path = Path(path)
        manifest_file = path / "manifest.json"
        if not manifest_file.exists():
            raise InputError(
                f"{path}: not a store (no manifest.json). Make one with: omicsfm prepare COHORT.yaml {path}"
            )
        try:
            manifest = json.loads(manifest_file.read_text())
            if manifest["format"] > FORMAT:
                raise InputError(
                    f"{path}: written in store format {manifest['format']}; this omicsfm reads up to {FORMAT}. "
                    "Update omicsfm, or prepare the store again."
                )
            check_store_files(path, manifest)
            modalities = {
                modality: StoredMatrix(
                    path / "modalities" / modality,
                    _read_features(path, modality, entry, manifest["name"]),
                    entry["layout"],
                )
                for modality, entry in manifest["modalities"].items()
            }
            specs = {
                name: OutcomeSpec(**{**spec, "classes": tuple(spec["classes"])})
                for name, spec in manifest["outcomes"].items()
            }
            visits = pd.read_parquet(path / "visits.parquet")
            outcomes = pd.read_parquet(path / "outcomes.parquet")
        except (OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: the store is damaged ({error}). Prepare it again.") from error
        return cls(path, manifest, visits, outcomes, modalities, specs)

    def __len__(self) -> int:
        return len(self.visits)

    @property
    def name(self) -> str:
        """The cohort's name."""
        return self.manifest["name"]

    @property
    def people(self) -> str:
        """Whose participant ids these are: where two stores say the same, equal ids are one person."""
        return self.manifest.get("people") or self.name

    @property
    def stores(self) -> tuple["OmicsStore", ...]:
        """The cohorts that this is made of: itself (a ``StoreUnion`` has several)."""
        return (self,)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Each store's share of the visits that training draws; None where every visit is drawn alike."""
        return None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything in the store."""
        return self.manifest["fingerprint"]

    @cached_property
    def inputs(self) -> Mapping[str, StoredMatrix]:
        """What a model may read of a visit: every modality, and ``clinical`` where a covariate is known of anybody."""
        clinical = CovariateMatrix(self)
        return {**self.modalities, CLINICAL: clinical} if len(clinical.rows) else self.modalities

    @cached_property
    def participant_number(self) -> Int[np.ndarray, " visits"]:
        """Each visit's participant as a number, in order of first appearance."""
        return pd.factorize(self.visits["participant_id"])[0]

    def outcome(self, name: str) -> OutcomeSpec:
        """What an outcome means.

        Raises:
            InputError: The store has no outcome of that name; the message gives the known ones.
        """
        if name not in self.outcome_specs:
            raise InputError(f"outcome '{name}' is not in store {self.path}; {closest(name, self.outcome_specs)}.")
        return self.outcome_specs[name]

    def outcome_observed(self, name: str) -> Bool[np.ndarray, " visits"]:
        """Which visits have a value of this outcome."""
        spec = self.outcome(name)
        columns = [f"{name}.time_days", f"{name}.event"] if spec.kind in TIMED else [name]
        return self.outcomes[columns].notna().all(axis=1).to_numpy()


def write_store(
    path: str | Path,
    *,
    name: str,
    visits: pd.DataFrame,
    outcomes: pd.DataFrame,
    outcome_specs: Mapping[str, OutcomeSpec],
    matrices: Mapping[str, Matrix],
    people: str = "",
    clinical: tuple[str, ...] | None = None,
    subgroups: tuple[str, ...] = (),
    policy: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
) -> OmicsStore:
    """Write a store under a temporary name, rename it to ``path``, and open it.

    ``visits`` and ``outcomes`` have one row per visit in the same order; ``people`` names whose participant ids they
    bear, where that is not the cohort's own; ``clinical`` names the columns of the visits that a clinician would
    predict from (None: age and sex); ``source`` is what the intake counted (matched and unmatched keys, say), kept in
    the manifest. An existing store at ``path`` is replaced, an existing folder that is no store is refused.
    What does not fit in memory goes through a ``StoreWriter``, block by block.
    """
    writer = StoreWriter(path)
    writer.discard()
    try:
        entries = {modality: _write_matrix(writer, matrix) for modality, matrix in matrices.items()}
        writer.finish(
            name=name,
            people=people or name,
            visits=visits,
            outcomes=outcomes,
            outcome_specs=outcome_specs,
            modalities=entries,
            clinical=clinical,
            subgroups=subgroups,
            policy=policy,
            source=source,
        )
    except BaseException:
        writer.discard()
        raise
    return OmicsStore.open(path)


def _write_matrix(writer: StoreWriter, matrix: Matrix) -> dict[str, Any]:
    values, below, entries = matrix.values, matrix.below_limit, None
    if not isinstance(values, np.ndarray):
        values = sparse.csr_matrix(values, copy=not values.has_canonical_format)
        values.sum_duplicates()  # and sorts the feature numbers of each row
        entries = np.diff(values.indptr)
    limited = below is not None and bool(below.any())
    own = writer.add(matrix.features, matrix.rows, entries=entries, below_limit=limited)
    own.write(np.arange(len(matrix.rows)), values, below if limited else None)
    return own.close()


def _read_features(path: Path, modality: str, entry: Mapping[str, Any], cohort: str) -> FeatureSpace:
    ids = pd.read_parquet(path / "modalities" / modality / "features.parquet")["feature_id"]
    return FeatureSpace(modality, tuple(ids), entry["namespace"], entry["scale"], entry["platform"], cohort)
