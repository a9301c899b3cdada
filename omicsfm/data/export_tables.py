"""A store's tables as the ``.obs`` of a .h5mu, and the mapping that says what its columns mean."""

import json
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.annotated import LISTS
from omicsfm.data.ingest.clinical_columns import plain_name
from omicsfm.data.ingest.cohort import OPTIONAL_COLUMNS
from omicsfm.data.store import OmicsStore
from omicsfm.outcome_spec import TIMED, OutcomeSpec

FIXED = ("participant_id", "visit", "time_days")


def exported_tables(store: OmicsStore) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row per visit, and what a COHORT.yaml would say: ``omicsfm prepare`` makes the same store of the two."""
    columns: dict[str, pd.Series] = {name: store.visits[name] for name in FIXED}
    visits: dict[str, Any] = {}
    keep = {}
    for name in store.visits.columns.difference(FIXED, sort=False):
        written = _free(name, columns)
        columns[written] = store.visits[name]
        if name in OPTIONAL_COLUMNS:
            visits[name] = written
        else:
            keep[name] = written
    outcomes = {name: _outcome(store, spec, columns) for name, spec in store.outcome_specs.items()}
    obs = pd.DataFrame({name: _writable(series) for name, series in columns.items()})
    obs.index = pd.Index(_names(store.visits), name="visit_key")
    manifest = store.manifest
    said = {
        "name": store.name,
        "people": store.people,
        "visits": {**visits, **({"keep": keep} if keep else {})},
        "modalities": {name: _modality(store, name, obs) for name in store.modalities},
        "outcomes": outcomes,
        "subgroups": list(manifest.get("subgroups", ())),
        "policy": dict(manifest.get("policy", {})),
    }
    if manifest.get("clinical") is not None:
        said["clinical"] = list(manifest["clinical"])
    return obs, said


def exported_features(store: OmicsStore, modality: str) -> pd.DataFrame:
    """The ``.var`` of a modality: ids as its index, and what the store keeps beside them; lists as JSON."""
    table = pd.read_parquet(store.path / "modalities" / modality / "features.parquet").set_index("feature_id")
    lists = {name: [json.dumps(list(cell)) for cell in table[name]] for name in LISTS if name in table}
    return table.assign(**lists)


def _modality(store: OmicsStore, name: str, obs: pd.DataFrame) -> dict[str, Any]:
    features = store.modalities[name].features
    taken = {plain_name(str(column)) for column in (*obs.columns, obs.index.name)}
    allow = [feature for feature in features.ids if plain_name(feature) in taken]
    entry = {
        "namespace": features.namespace,
        "scale": features.scale,
        "platform": features.platform,
        "allow": allow,
        "about": list(exported_features(store, name).columns),
    }
    return {key: value for key, value in entry.items() if value}


def _outcome(store: OmicsStore, spec: OutcomeSpec, columns: dict[str, pd.Series]) -> dict[str, Any]:
    """Adds the outcome's columns; returns its entry."""
    entry: dict[str, Any] = {"kind": spec.kind, "level": spec.level}
    if spec.kind not in TIMED:
        entry["column"] = _free(f"outcome.{spec.name}", columns)
        columns[entry["column"]] = store.outcomes[spec.name]
        return {**entry, "classes": list(spec.classes)} if spec.classes else entry
    own = {key: store.outcomes.get(f"{spec.name}.{key}") for key in ("time_days", "event", "entry_days")}
    known = {key: series for key, series in own.items() if series is not None}
    if (
        spec.time_zero != "visit" and not spec.own_clock
    ):  # the store counts from each visit, a cohort file from the zero
        people, day = store.visits["participant_id"], store.visits["time_days"]
        passed = day - day.groupby(people).transform("min") if spec.time_zero == "first_visit" else day
        known |= {key: known[key] + passed for key in known if key != "event"}
    if spec.level == "participant":
        people = store.visits["participant_id"]
        spread = [key for key in known if key != "entry_days" or not spec.own_clock]
        known |= {key: known[key].groupby(people).transform("first") for key in spread}
    entry["time_zero"] = spec.time_zero
    if spec.kind == "competing_risks":
        entry["causes"] = {cause: number for number, cause in enumerate(spec.classes, 1)}
    for key, series in known.items():
        said = "cause" if key == "event" and spec.kind == "competing_risks" else key
        entry[said] = _free(f"outcome.{spec.name}.{key}", columns)
        columns[entry[said]] = series
    return entry


def _free(name: str, columns: dict[str, pd.Series]) -> str:
    """A name that HDF5 can hold and that is not taken yet."""
    written = str(name).replace("/", "_")
    while written in columns:
        written += "_"
    return written


def _writable(series: pd.Series) -> pd.Series:
    """Numbers as they are; text as categories, which can be unknown."""
    if pd.api.types.is_numeric_dtype(series):
        return series
    return series.astype(object).where(series.notna(), np.nan).astype("category")


def _names(visits: pd.DataFrame) -> list[str]:
    """A name for each visit; with its row where participant and visit alone would not tell it apart."""
    names = ("visit " + visits["participant_id"].astype(str) + " " + visits["visit"].astype(str)).tolist()
    return names if len(set(names)) == len(names) else [f"{name} ({row})" for row, name in enumerate(names)]
