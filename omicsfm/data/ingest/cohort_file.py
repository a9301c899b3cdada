"""COHORT.yaml: where a cohort's tables are and what their columns mean, checked before any table is read."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from omicsfm.contracts import OutcomeKind
from omicsfm.data.ingest.cohort import (
    OPTIONAL_COLUMNS,
    CohortFile,
    Layout,
    LookupSpec,
    ModalitySpec,
    OutcomeRule,
    TimeRule,
    VisitsSpec,
)
from omicsfm.data.ingest.columns import ColumnRule, compile_pattern
from omicsfm.data.ingest.conditions import Conditions, Test
from omicsfm.data.transforms.scales import SCALES
from omicsfm.errors import InputError, closest
from omicsfm.features import NAMESPACES

REPEATED = ("refuse", "number")
LAYOUTS = ("rows_are_visits", "columns_are_visits")
DAYS = {"time_days": 1.0, "time_weeks": 7.0, "time_months": 30.4375, "time_years": 365.25}
"""Keys that name a time column, with the days in one unit of it (a month is a twelfth of 365.25 days)."""
POLICY_KEYS = ("purposes", "jurisdictions", "min_cell_count", "expires")


def read_cohort_file(path: Path) -> CohortFile:
    """Read and check a COHORT.yaml; ``${oc.env:NAME}`` is replaced and paths are relative to the yaml.

    Raises:
        InputError: The file is missing or no yaml, a variable is not set, or a key or value is wrong.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        node = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")), resolve=True)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable COHORT.yaml ({' '.join(str(error).split())}).") from None
    except OmegaConfBaseException as error:
        said = str(error).partition("\n")[0].rpartition("interpolation: ")[2].strip('"')
        raise InputError(f"{path}: {said}. Set the variable, or write the path out.") from None
    return parse_cohort(node, where=path.name, folder=path.parent)


def parse_cohort(node: Any, *, where: str, folder: Path | None) -> CohortFile:
    """Check the mapping of a COHORT.yaml. ``folder`` None means that a .h5mu holds visits and matrices itself."""
    top = _mapping(
        node, where, ("name", "people", "visits", "modalities", "outcomes", "subgroups", "require", "policy")
    )
    embedded = folder is None
    needed = ("modalities",) if embedded else ("name", "visits", "modalities")
    for key in needed:
        if key not in top:
            raise InputError(f"{where}: '{key}' is missing; {closest(key, top)}.")
    modalities = _mapping(top["modalities"], f"{where}: modalities")
    if not modalities:
        raise InputError(f"{where}: modalities is empty. Name at least one matrix.")
    specs = {str(name): _modality(str(name), entry, where, folder) for name, entry in modalities.items()}
    require = _names(top.get("require"), f"{where}: require")
    for name in require:
        if name not in specs:
            raise InputError(f"{where}: require names '{name}', which is no modality; {closest(name, specs)}.")
    return CohortFile(
        name=str(top.get("name", "cohort")),
        where=where,
        visits=_visits(top.get("visits") or {}, f"{where}: visits", folder),
        modalities=specs,
        outcomes={
            str(name): _outcome(str(name), entry, f"{where}: outcomes.{name}")
            for name, entry in _mapping(top.get("outcomes") or {}, f"{where}: outcomes").items()
        },
        people=str(top.get("people") or ""),
        subgroups=_names(top.get("subgroups"), f"{where}: subgroups"),
        require=require,
        policy=_mapping(top.get("policy") or {}, f"{where}: policy", POLICY_KEYS),
    )


def _visits(node: Any, where: str, folder: Path | None) -> VisitsSpec:
    known = ("path", "key", "participant_id", "visit", *DAYS, *OPTIONAL_COLUMNS, "keep", "where", "join")
    entry = _mapping(node, where, known)
    if folder is None:  # the .h5mu contract fixes these names
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
    for name, rule in keep.items() if isinstance(keep, Mapping) else ((k, k) for k in _names(keep, f"{where}.keep")):
        if name in columns or name in ("participant_id", "visit", "time_days"):
            raise InputError(f"{where}.keep: '{name}' is already a column of the visits; choose another name.")
        columns[str(name)] = ColumnRule.parse(rule, f"{where}.keep.{name}")
    lookups = []
    for place, lookup in enumerate(entry.get("join") or []):
        own = _mapping(lookup, f"{where}.join[{place}]", ("path", "key"))
        if folder is None:
            raise InputError(f"{where}.join: a file that holds its own mapping has all its columns in .obs already.")
        if "path" not in own or "key" not in own:
            raise InputError(f"{where}.join[{place}]: needs path and key, found {', '.join(own) or 'nothing'}.")
        lookups.append(LookupSpec(folder / str(own["path"]), _names(own["key"], f"{where}.join[{place}].key")))
    return VisitsSpec(
        path=None if folder is None else folder / str(entry["path"]),
        participant_id=ColumnRule.parse(entry["participant_id"], f"{where}.participant_id"),
        key=None if entry.get("key") is None else str(entry["key"]),
        visit=None if entry.get("visit") is None else ColumnRule.parse(entry["visit"], f"{where}.visit"),
        time=_time(entry, where),
        columns=columns,
        where=Conditions.parse(entry.get("where"), f"{where}.where"),
        join=tuple(lookups),
    )


def _modality(name: str, node: Any, file: str, folder: Path | None) -> ModalitySpec:
    where = f"{file}: modalities.{name}"
    known = (
        "path",
        "namespace",
        "scale",
        "layout",
        "key",
        "features",
        "layer",
        "columns",
        "drop",
        "allow",
        "below_limit",
    )
    entry = _mapping(node, where, (*known, "repeated_features", "platform", "where"))
    for key in ("namespace", "scale") if folder is None else ("path", "namespace", "scale"):
        if entry.get(key) is None:
            raise InputError(
                f"{where}: '{key}' is missing; nothing is guessed. Given: {', '.join(entry) or 'nothing'}."
            )
    for key, allowed in (
        ("namespace", tuple(NAMESPACES)),
        ("scale", SCALES),
        ("layout", LAYOUTS),
        ("repeated_features", REPEATED),
    ):
        if key in entry and entry[key] not in allowed:
            raise InputError(f"{where}: {key} '{entry[key]}' is not known; {closest(str(entry[key]), allowed)}.")
    _check_name(name, where)
    key_node, key_pattern = entry.get("key"), None
    if isinstance(key_node, Mapping):
        own = _mapping(key_node, f"{where}.key", ("from", "pattern"))
        key_node, key_pattern = own.get("from"), str(own.get("pattern", "(.*)"))
        compile_pattern(key_pattern, f"{where}.key")
    return ModalitySpec(
        name=name,
        path=None if folder is None else folder / str(entry["path"]),
        namespace=entry["namespace"],
        scale=entry["scale"],
        layout=cast(Layout, entry.get("layout", "rows_are_visits")),
        key=_names(key_node, f"{where}.key"),
        key_pattern=key_pattern,
        features=None if entry.get("features") is None else str(entry["features"]),
        layer=None if entry.get("layer") is None else str(entry["layer"]),
        columns=_selection(entry.get("columns"), f"{where}.columns"),
        drop=_selection(entry.get("drop"), f"{where}.drop") or (),
        allow=_names(entry.get("allow"), f"{where}.allow"),
        below_limit=_names(entry.get("below_limit"), f"{where}.below_limit"),
        number_repeats=entry.get("repeated_features") == "number",
        where=Conditions.parse(entry.get("where"), f"{where}.where"),
        platform=str(entry.get("platform", "")),
    )


def _outcome(name: str, node: Any, where: str) -> OutcomeRule:
    _check_name(name, where)
    common = ("kind", "level", "among")
    by_kind = {
        "class": (*common, "column", "positive_if", "classes"),
        "quantity": (*common, "column"),
        "survival": (*common, *DAYS, "event", "event_if"),
    }
    kind = _mapping(node, where).get("kind")
    if kind == "competing_risks":
        raise InputError(
            f"{where}: kind competing_risks is not supported; supported: {', '.join(by_kind)}. For one cause, use "
            f"kind: "
            "survival with event: CAUSE_COLUMN and event_if: {equals: CAUSE} (other causes then count as censored)."
        )
    if kind not in by_kind:
        raise InputError(f"{where}: kind '{kind}' is not known; {closest(str(kind), by_kind)}.")
    entry = _mapping(node, where, by_kind[kind])
    level = entry.get("level", "visit")
    if level not in ("visit", "participant"):
        raise InputError(f"{where}: level '{level}' is not known; {closest(str(level), ('visit', 'participant'))}.")
    time = _time(entry, where) if kind == "survival" else None
    missing = "column" if kind != "survival" else "event" if "event" not in entry else "time_days"
    if (kind != "survival" and "column" not in entry) or (
        kind == "survival" and ("event" not in entry or time is None)
    ):
        raise InputError(f"{where}: '{missing}' is missing; kind {kind} takes {', '.join(by_kind[kind])}.")
    return OutcomeRule(
        name=name,
        kind=cast(OutcomeKind, kind),
        level=cast(Literal["visit", "participant"], level),
        column=None if "column" not in entry else str(entry["column"]),
        positive_if=Test.parse(entry["positive_if"], f"{where}.positive_if") if "positive_if" in entry else None,
        classes=_names(entry.get("classes"), f"{where}.classes"),
        among=Conditions.parse(entry.get("among"), f"{where}.among"),
        time=time,
        event=None if "event" not in entry else str(entry["event"]),
        event_if=Test.parse(entry["event_if"], f"{where}.event_if") if "event_if" in entry else None,
    )


def _check_name(name: str, where: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(
            f"{where}: '{name}' cannot be a name; use letters, digits, '_' and '-' (it names folders and columns)."
        )


def _time(entry: Mapping[str, Any], where: str) -> TimeRule | None:
    given = [key for key in DAYS if entry.get(key) is not None]
    if len(given) > 1:
        raise InputError(f"{where}: give one of {', '.join(DAYS)}, found {' and '.join(given)}.")
    return TimeRule(ColumnRule.parse(entry[given[0]], f"{where}.{given[0]}"), DAYS[given[0]]) if given else None


def _mapping(node: Any, where: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise InputError(f"{where}: expected a mapping of key: value, found {node!r}.")
    for key in node:
        if known is not None and key not in known:
            raise InputError(f"{where}: '{key}' is not a known key; {closest(str(key), known)}.")
    return dict(node)


def _names(node: Any, where: str) -> tuple[str, ...]:
    if node is None:
        return ()
    listed = node if isinstance(node, list | tuple) else [node]
    for name in listed:
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            hint = " (YAML reads a bare yes or no as true or false: put it in quotes)" if isinstance(name, bool) else ""
            raise InputError(f"{where}: expected a name or a list of names, found {name!r}{hint}.")
    return tuple(str(name) for name in listed)


def _selection(node: Any, where: str) -> tuple[str, ...] | str | None:
    """Names where a list is given, a pattern where text is."""
    if isinstance(node, str):
        compile_pattern(node, where)
        return node
    return None if node is None else _names(node, where)
