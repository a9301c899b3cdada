"""The pieces of which every entry of a COHORT.yaml is made, checked one by one: mappings, names, times, files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omicsfm.data.ingest.cohort import TimeRule
from omicsfm.data.ingest.columns import ColumnRule, compile_pattern
from omicsfm.data.ingest.places import place_of
from omicsfm.errors import InputError, closest

DAYS = {"time_days": 1.0, "time_weeks": 7.0, "time_months": 30.4375, "time_years": 365.25}
"""Keys that name a time column, with the days in one unit of it (a month is a twelfth of 365.25 days)."""


def mapping(node: Any, where: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    """A mapping with no other keys than the known ones.

    Raises:
        InputError: It is none, or a key is not known; the message gives the closest.
    """
    if not isinstance(node, Mapping):
        raise InputError(f"{where}: expected a mapping of key: value, found {node!r}.")
    for key in node:
        if known is not None and key not in known:
            raise InputError(f"{where}: '{key}' is not a known key; {closest(str(key), known)}.")
    return dict(node)


def names(node: Any, where: str) -> tuple[str, ...]:
    """A name or a list of names; none where nothing is said.

    Raises:
        InputError: One of them is no name.
    """
    if node is None:
        return ()
    listed = node if isinstance(node, list | tuple) else [node]
    for name in listed:
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            hint = " (YAML reads a bare yes or no as true or false: put it in quotes)" if isinstance(name, bool) else ""
            raise InputError(f"{where}: expected a name or a list of names, found {name!r}{hint}.")
    return tuple(str(name) for name in listed)


def text_or_none(node: Any) -> str | None:
    """A name where one is given."""
    return None if node is None else str(node)


def selection(node: Any, where: str) -> tuple[str, ...] | str | None:
    """Names where a list is given, a pattern where text is."""
    if isinstance(node, str):
        compile_pattern(node, where)
        return node
    return None if node is None else names(node, where)


def in_units(what: str) -> dict[str, float]:
    """The keys of ``DAYS`` for another time than ``time``: ``entry_days``, ``entry_weeks``, ... and their days."""
    return {f"{what}_{key.removeprefix('time_')}": days for key, days in DAYS.items()}


def time_rule(entry: Mapping[str, Any], where: str, keys: Mapping[str, float] = DAYS) -> TimeRule | None:
    """The time column that an entry names, by any of these keys.

    Raises:
        InputError: It names two.
    """
    given = [key for key in keys if entry.get(key) is not None]
    if len(given) > 1:
        raise InputError(f"{where}: give one of {', '.join(keys)}, found {' and '.join(given)}.")
    return TimeRule(ColumnRule.parse(entry[given[0]], f"{where}.{given[0]}"), keys[given[0]]) if given else None


def files(node: Any, where: str, folder: Path) -> tuple[Path, ...]:
    """One path, or a list of paths of tables that continue each other; relative to the folder of the yaml.

    Raises:
        InputError: There is none, one stands there twice, or one leads out of the folder.
    """
    listed = names(node, where)
    if not listed:
        raise InputError(f"{where}: expected a path or a list of paths, found {node!r}.")
    for name in listed:
        if listed.count(name) > 1:
            raise InputError(f"{where}: '{name}' stands there twice; name each file once.")
    return tuple(place_of(name, where, folder) for name in listed)


def refuse_paths(entry: Mapping[str, Any], where: str) -> None:
    """Refuse a path in the mapping that a .h5mu or .h5ad carries: such a file speaks of itself only.

    Raises:
        InputError: There is one.
    """
    if "path" in entry:
        raise InputError(
            f"{where}: found path '{entry['path']}' in a file that holds its own mapping; it has no other files. "
            "Leave path out, or write a COHORT.yaml."
        )


def check_name(name: str, where: str) -> None:
    """Refuse a name that could not be a folder or a column.

    Raises:
        InputError: It has other letters than these.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(
            f"{where}: '{name}' cannot be a name; use letters, digits, '_' and '-' (it names folders and columns)."
        )
