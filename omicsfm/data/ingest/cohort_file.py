"""COHORT.yaml: where a cohort's tables are and what their columns mean, checked before any table is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omicsfm.data.ingest.cohort import OPTIONAL_COLUMNS, CohortFile, LookupSpec, VisitsSpec
from omicsfm.data.ingest.columns import ColumnRule
from omicsfm.data.ingest.conditions import Conditions
from omicsfm.data.ingest.entries import DAYS, files, mapping, names, refuse_paths, text_or_none, time_rule
from omicsfm.data.ingest.modality_entry import parse_modality
from omicsfm.data.ingest.outcome_entry import parse_outcome
from omicsfm.data.ingest.plain_yaml import read_yaml
from omicsfm.errors import InputError, closest

TOP = ("name", "people", "visits", "modalities", "outcomes", "clinical", "subgroups", "require", "policy")
POLICY_KEYS = ("purposes", "jurisdictions", "min_cell_count", "expires")


def read_cohort_file(path: Path) -> CohortFile:
    """Read and check a COHORT.yaml; ``${oc.env:NAME}`` is replaced in paths, which are relative to the yaml.

    Raises:
        InputError: The file is missing or no yaml, a variable is not set, or a key or value is wrong.
    """
    return parse_cohort(read_yaml(path), where=path.name, folder=path.parent)


def parse_cohort(node: Any, *, where: str, folder: Path | None) -> CohortFile:
    """Check the mapping of a COHORT.yaml. ``folder`` None means that a .h5mu holds visits and matrices itself."""
    top = mapping(node, where, TOP)
    embedded = folder is None
    needed = ("modalities",) if embedded else ("name", "visits", "modalities")
    for key in needed:
        if key not in top:
            raise InputError(f"{where}: '{key}' is missing; {closest(key, top)}.")
    modalities = mapping(top["modalities"], f"{where}: modalities")
    if not modalities:
        raise InputError(f"{where}: modalities is empty. Name at least one matrix.")
    specs = {str(name): parse_modality(str(name), entry, where, folder) for name, entry in modalities.items()}
    require = names(top.get("require"), f"{where}: require")
    for name in require:
        if name not in specs:
            raise InputError(f"{where}: require names '{name}', which is no modality; {closest(name, specs)}.")
    visits = _visits(top.get("visits") or {}, f"{where}: visits", folder)
    return CohortFile(
        name=str(top.get("name", "cohort")),
        where=where,
        visits=visits,
        modalities=specs,
        outcomes={
            str(name): parse_outcome(str(name), entry, f"{where}: outcomes.{name}")
            for name, entry in mapping(top.get("outcomes") or {}, f"{where}: outcomes").items()
        },
        people=str(top.get("people") or ""),
        clinical=_clinical(top.get("clinical"), f"{where}: clinical", visits),
        subgroups=names(top.get("subgroups"), f"{where}: subgroups"),
        require=require,
        policy=mapping(top.get("policy") or {}, f"{where}: policy", POLICY_KEYS),
    )


def _visits(node: Any, where: str, folder: Path | None) -> VisitsSpec:
    known = ("path", "key", "participant_id", "visit", *DAYS, *OPTIONAL_COLUMNS, "keep", "where", "join")
    entry = mapping(node, where, known)
    if folder is None:  # the .h5mu contract fixes these names
        refuse_paths(entry, where)
        entry = {"participant_id": "participant_id", "visit": "visit", **entry}
        if not any(key in entry for key in DAYS):
            entry["time_days"] = "time_days"
    elif "path" not in entry or "participant_id" not in entry:
        raise InputError(f"{where}: needs path and participant_id, found {', '.join(entry) or 'nothing'}.")
    columns = {
        name: ColumnRule.parse(entry[name], f"{where}.{name}")
        for name in OPTIONAL_COLUMNS
        if entry.get(name) is not None
    }
    keep = entry.get("keep") or {}
    for name, rule in keep.items() if isinstance(keep, Mapping) else ((k, k) for k in names(keep, f"{where}.keep")):
        if name in columns or name in ("participant_id", "visit", "time_days"):
            raise InputError(f"{where}.keep: '{name}' is already a column of the visits; choose another name.")
        columns[str(name)] = ColumnRule.parse(rule, f"{where}.keep.{name}")
    lookups = entry.get("join") or []
    if not isinstance(lookups, list):
        raise InputError(f"{where}.join: expected a list such as [{{path: wards.csv, key: ward}}], found {lookups!r}.")
    return VisitsSpec(
        paths=() if folder is None else files(entry["path"], f"{where}.path", folder),
        participant_id=ColumnRule.parse(entry["participant_id"], f"{where}.participant_id"),
        key=text_or_none(entry.get("key")),
        visit=None if entry.get("visit") is None else ColumnRule.parse(entry["visit"], f"{where}.visit"),
        time=time_rule(entry, where),
        columns=columns,
        where=Conditions.parse(entry.get("where"), f"{where}.where"),
        join=tuple(_lookup(n, f"{where}.join[{i}]", folder) for i, n in enumerate(lookups)),
    )


def _lookup(node: Any, where: str, folder: Path | None) -> LookupSpec:
    entry = mapping(node, where, ("path", "key", "where", "columns"))
    if folder is None:
        raise InputError(f"{where}: a file that holds its own mapping has all its columns in .obs already.")
    if "path" not in entry or "key" not in entry:
        raise InputError(f"{where}: needs path and key, found {', '.join(entry) or 'nothing'}.")
    key, columns = entry["key"], entry.get("columns")
    if not isinstance(key, Mapping):
        key = {name: name for name in names(key, f"{where}.key")}
    if columns is not None and not isinstance(columns, Mapping):
        columns = {name: name for name in names(columns, f"{where}.columns")}
    return LookupSpec(
        paths=files(entry["path"], f"{where}.path", folder),
        key={str(own): str(theirs) for own, theirs in key.items()},
        where=Conditions.parse(entry.get("where"), f"{where}.where"),
        columns=None if columns is None else {str(new): str(old) for new, old in columns.items()},
    )


def _clinical(node: Any, where: str, visits: VisitsSpec) -> tuple[str, ...] | None:
    if node is None:
        return None
    listed = names(node, where)
    for name in listed:
        if name not in visits.columns:
            raise InputError(
                f"{where}: '{name}' is not a column of the store's visits; {closest(name, visits.columns)}. Carry it "
                f"there with keep under visits."
            )
    return listed
