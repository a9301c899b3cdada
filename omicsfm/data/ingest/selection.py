"""Which features of a matrix are read, what they are called, and the keys of its rows."""

import re

import pandas as pd

from omicsfm.data.ingest.blocks import Key, keys_from
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import ColumnRule, as_text
from omicsfm.data.ingest.tables import numbered, repeated_in
from omicsfm.errors import InputError, closest


def select(spec: ModalitySpec, names: list[str]) -> list[str]:
    """The features that ``columns`` names, without those that ``drop`` names, in the file's order.

    Raises:
        InputError: A listed name is not there, a pattern matches nothing, or nothing is left.
    """
    chosen = _matching(spec, "columns", spec.columns, names) if spec.columns is not None else set(names)
    chosen -= _matching(spec, "drop", spec.drop, names) if spec.drop else set()
    if not chosen:
        raise InputError(f"{spec.name}: no feature is left of {len(names):,} columns. Check columns and drop.")
    return [name for name in names if name in chosen]


def told_apart(spec: ModalitySpec, names: list[str]) -> list[str]:
    """The names with repeats numbered where ``repeated_features: number`` asks for it.

    Raises:
        InputError: A name repeats and nothing was said about it.
    """
    repeated = repeated_in(names)
    if repeated and not spec.number_repeats:
        raise InputError(
            f"{spec.name}: {len(repeated):,} feature names appear twice (first: '{repeated[0]}'). Two features of "
            f"one name cannot "
            "be told apart: rename them, or set repeated_features: number to call them NAME, NAME.1, ... in the "
            "file's order."
        )
    return numbered(names)


def keys_of(spec: ModalitySpec, table: pd.DataFrame, key_columns: tuple[str, ...]) -> list[Key | None]:
    """The visit key of each row; None where a part of it is empty."""
    parts = []
    for column in key_columns:
        rule = ColumnRule(column=column, pattern=spec.key_pattern)
        parts.append(as_text(rule.apply(table, f"{spec.name}: key")))
    return keys_from(parts)


def _matching(spec: ModalitySpec, key: str, wanted: tuple[str, ...] | str, names: list[str]) -> set[str]:
    if isinstance(wanted, str):
        found = {name for name in names if re.fullmatch(wanted, name)}
        if not found:
            raise InputError(f"{spec.name}: {key}: pattern '{wanted}' matches no column; {closest(wanted, names)}.")
        return found
    known = set(names)
    for name in wanted:
        if name not in known:
            raise InputError(f"{spec.name}: {key} names '{name}', which is not there; {closest(name, names)}.")
    return set(wanted)
