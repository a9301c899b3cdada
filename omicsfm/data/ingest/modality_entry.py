"""What a COHORT.yaml says of one modality."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from omicsfm.data.covariates import CLINICAL
from omicsfm.data.ingest.cohort import FeatureNames, Layout, ModalitySpec, Peaks
from omicsfm.data.ingest.columns import compile_pattern
from omicsfm.data.ingest.conditions import Conditions
from omicsfm.data.ingest.entries import check_name, files, mapping, names, refuse_paths, selection, text_or_none
from omicsfm.data.transforms.scales import SCALES
from omicsfm.errors import InputError, closest
from omicsfm.namespaces import NAMESPACES

REPEATED = ("refuse", "number")
MEASURES = ("mz", "retention_time")
LAYOUTS = ("rows_are_visits", "columns_are_visits")
OF_A_MATRIX = (
    "path",
    "scale",
    "layout",
    "key",
    "features",
    "layer",
    "columns",
    "drop",
    "allow",
    "below_limit",
    "repeated_features",
    "where",
)
KNOWN = (*OF_A_MATRIX, "namespace", "platform", "map_to", "mapping", "peaks", "about")


def parse_modality(name: str, node: Any, file: str, folder: Path | None) -> ModalitySpec:
    """One entry under ``modalities``. ``folder`` None means that a .h5mu holds the matrix itself.

    Raises:
        InputError: A key is missing or unknown, or a value is wrong.
    """
    where = f"{file}: modalities.{name}"
    entry = mapping(node, where, KNOWN)
    check_name(name, where)
    if name == CLINICAL:
        raise InputError(
            f"{where}: '{CLINICAL}' is the name of the visits' covariates (age, sex, or what clinical: lists). "
            "Call this modality otherwise, such as laboratory."
        )
    if folder is None:
        refuse_paths(entry, where)
    for key in ("namespace", "scale") if folder is None else ("path", "namespace", "scale"):
        if entry.get(key) is None:
            raise InputError(
                f"{where}: '{key}' is missing; nothing is guessed. Given: {', '.join(entry) or 'nothing'}."
            )
    if not isinstance(entry.get("path"), list):
        return _matrix(name, entry, where, folder)
    if not entry["path"]:
        raise InputError(f"{where}: path is an empty list; name at least one file.")
    parts = []
    for place, part in enumerate(entry["path"]):
        own = mapping(part if isinstance(part, Mapping) else {"path": part}, f"{where}.path[{place}]", OF_A_MATRIX)
        if own.get("path") is None:
            raise InputError(f"{where}.path[{place}]: 'path' is missing; found {', '.join(own) or 'nothing'}.")
        parts.append(_matrix(name, {**entry, **own}, f"{where}.path[{place}]", folder))
    first = entry["path"][0]
    whole = _matrix(name, {**entry, "path": first["path"] if isinstance(first, Mapping) else first}, where, folder)
    return replace(whole, parts=tuple(parts))


def _matrix(name: str, entry: Mapping[str, Any], where: str, folder: Path | None) -> ModalitySpec:
    for key, allowed in (
        ("namespace", tuple(NAMESPACES)),
        ("map_to", tuple(name for name in NAMESPACES if name != "local")),
        ("scale", SCALES),
        ("layout", LAYOUTS),
        ("repeated_features", REPEATED),
    ):
        if key in entry and entry[key] not in allowed:
            raise InputError(f"{where}: {key} '{entry[key]}' is not known; {closest(str(entry[key]), allowed)}.")
    key_node, key_pattern = entry.get("key"), None
    if isinstance(key_node, Mapping):
        own = mapping(key_node, f"{where}.key", ("from", "pattern"))
        key_node, key_pattern = own.get("from"), str(own.get("pattern", "(.*)"))
        compile_pattern(key_pattern, f"{where}.key")
    features = entry.get("features")
    return ModalitySpec(
        name=name,
        path=None if folder is None else files(entry["path"], f"{where}.path", folder)[0],
        namespace=entry["namespace"],
        scale=entry["scale"],
        layout=cast(Layout, entry.get("layout", "rows_are_visits")),
        key=names(key_node, f"{where}.key"),
        key_pattern=key_pattern,
        features=None if isinstance(features, Mapping) else text_or_none(features),
        feature_names=_feature_names(features, f"{where}.features", folder) if isinstance(features, Mapping) else None,
        layer=text_or_none(entry.get("layer")),
        columns=selection(entry.get("columns"), f"{where}.columns"),
        drop=selection(entry.get("drop"), f"{where}.drop") or (),
        allow=names(entry.get("allow"), f"{where}.allow"),
        below_limit=_limits(entry.get("below_limit"), f"{where}.below_limit"),
        number_repeats=entry.get("repeated_features") == "number",
        where=Conditions.parse(entry.get("where"), f"{where}.where"),
        platform=str(entry.get("platform", "")),
        map_to=text_or_none(entry.get("map_to")),
        mapping=_mapping(entry, where, folder),
        about=names(entry.get("about"), f"{where}.about"),
        peaks=None if entry.get("peaks") is None else _peaks(entry["peaks"], f"{where}.peaks", folder),
    )


def _mapping(entry: Mapping[str, Any], where: str, folder: Path | None) -> tuple[Path, ...]:
    """The tables of identifiers, which go together with the namespace to map to."""
    if (entry.get("map_to") is None) != (entry.get("mapping") is None):
        given = "map_to" if entry.get("mapping") is None else "mapping"
        raise InputError(
            f"{where}: {given} is given alone. map_to: NAMESPACE and mapping: FILE go together; make a table with "
            "omicsfm identifiers build."
        )
    if entry.get("map_to") is None:
        return ()
    if entry["namespace"] == "local":
        raise InputError(f"{where}: ids of namespace local cannot be mapped: nothing says what they are.")
    if folder is None:
        raise InputError(f"{where}: a file that holds its own mapping has no other files. Write a COHORT.yaml.")
    return files(entry["mapping"], f"{where}.mapping", folder)


def _peaks(node: Any, where: str, folder: Path | None) -> Peaks:
    own = mapping(node, where, ("pattern", "path", "id", "mz", "retention_time"))
    if "path" not in own:
        if set(own) != {"pattern"}:
            raise InputError(f"{where}: needs pattern, or path and id, found {', '.join(own) or 'nothing'}.")
        groups = compile_pattern(own["pattern"], where).groupindex
        if unknown := sorted(set(groups) - {"mz", "retention_time"}):
            raise InputError(f"{where}: group '{unknown[0]}' is not known; {closest(unknown[0], MEASURES)}.")
        return Peaks(pattern=str(own["pattern"]))
    if "pattern" in own or "id" not in own:
        raise InputError(f"{where}: path goes with id, mz and retention_time, found {', '.join(own)}.")
    if folder is None:
        raise InputError(f"{where}: a file that holds its own mapping has no other files. Write a COHORT.yaml.")
    return Peaks(
        path=files(own["path"], f"{where}.path", folder)[0],
        id=str(own["id"]),
        mz=str(own.get("mz", "")),
        retention_time=str(own.get("retention_time", "")),
    )


def _feature_names(node: Mapping[str, Any], where: str, folder: Path | None) -> FeatureNames:
    own = mapping(node, where, ("path", "from", "to"))
    if folder is None:
        raise InputError(f"{where}: a file that holds its own mapping names its features in .var: features: COLUMN.")
    for key in ("path", "from", "to"):
        if own.get(key) is None:
            raise InputError(f"{where}: needs path, from and to, found {', '.join(own) or 'nothing'}.")
    return FeatureNames(files(own["path"], f"{where}.path", folder)[0], str(own["from"]), str(own["to"]))


def _limits(node: Any, where: str) -> dict[str, float | None]:
    """Cells that mean below the limit, each with its limit; None where the file does not give one."""
    if not isinstance(node, Mapping):
        return dict.fromkeys(names(node, where))
    for cell, limit in node.items():
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float)):
            raise InputError(f"{where}: the limit of '{cell}' must be a number, found {limit!r}.")
    return {str(cell): None if limit is None else float(limit) for cell, limit in node.items()}
