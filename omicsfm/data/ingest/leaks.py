"""Leaks looked for while a cohort is prepared: in what was written, and between the tables that it came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from omicsfm.data.ingest.cohort import CohortFile
from omicsfm.data.ingest.contradictions import contradictions
from omicsfm.data.ingest.join import key_columns
from omicsfm.data.ingest.modality_intake import ModalityIntake
from omicsfm.data.ingest.visits import Visits
from omicsfm.data.leakage.look import look_for_leaks
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.outcome_spec import OutcomeSpec


def refuse_leaks(
    store: OmicsStore, sources: Mapping[str, pd.Series], keys: Mapping[str, pd.Series] | None = None
) -> list[str]:
    """Look at a store before it is finished. Returns what to warn of; ``sources`` and ``keys`` as in
    ``look_for_leaks``.

    Raises:
        InputError: A leak is certain.
    """
    found = look_for_leaks(store, sources=sources, keys=keys)
    if certain := [leak.message for leak in found if leak.certain]:
        raise InputError(" ".join(certain))
    return [leak.message for leak in found]


def unfinished_store(
    folder: Path,
    name: str,
    visits: pd.DataFrame,
    outcomes: pd.DataFrame,
    specs: Mapping[str, OutcomeSpec],
    entries: Mapping[str, Mapping[str, Any]],
) -> OmicsStore:
    """The store that lies in ``folder`` without its tables and manifest, whose matrices have ``entries`` there."""
    return OmicsStore(
        folder,
        {"name": name},
        visits,
        outcomes,
        {modality: _written(folder, modality, entry) for modality, entry in entries.items()},
        specs,
    )


def contradicting_labels(said: CohortFile, visits: Visits, modalities: Mapping[str, ModalityIntake]) -> list[str]:
    """What the files of the matrices say otherwise than the clinical table, to warn of."""
    return [
        leak.message
        for name, own in modalities.items()
        if said.modalities[name].path not in said.visits.paths
        for leak in contradictions(said.modalities[name], own.source.features, own.visits, visits.table)
    ]


def join_keys(said: CohortFile, visits: Visits) -> dict[str, pd.Series]:
    """Ids by which matrices were joined, where they are not the participant or the visit itself."""
    columns = list(visits.table.columns)
    own = [visits.store[name].astype(str).tolist() for name in ("participant_id", "visit")]
    found = {}
    for spec in said.modalities.values():
        for column in key_columns(said, spec, columns)[0]:
            ids = visits.table[column].reset_index(drop=True).astype("string")
            if ids.fillna("").tolist() not in own:
                found[f"column {column}"] = ids
    return found


def _written(folder: Path, name: str, entry: Mapping[str, Any]) -> StoredMatrix:
    directory = folder / "modalities" / name
    ids = tuple(pd.read_parquet(directory / "features.parquet")["feature_id"])
    space = FeatureSpace(name, ids, entry["namespace"], entry["scale"], entry["platform"])
    return StoredMatrix(directory, space, entry["layout"])
