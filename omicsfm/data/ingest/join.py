"""Matrix rows to visits, by key, counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from omicsfm.data.ingest.blocks import Key, keys_from, shown
from omicsfm.data.ingest.cohort import CohortFile, ModalitySpec
from omicsfm.data.ingest.columns import as_text, column_of
from omicsfm.data.ingest.tables import kind_of
from omicsfm.errors import InputError


@dataclass(frozen=True)
class Match:
    """Which visit each row of a matrix belongs to, and what was counted on the way."""

    visits: np.ndarray
    """Place of each matrix row in the table of visits, -1 where it has none."""
    counts: dict[str, int]


def visit_keys(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> list[Key | None]:
    """The key of each visit in these columns of the visits table; None where a part is empty."""
    parts = [as_text(column_of(table, column, where)) for column in columns]
    return keys_from(parts)


def key_columns(
    said: CohortFile, spec: ModalitySpec, columns: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the visits table, which has ``columns``, and of the matrix that hold the key, in the same order.

    A modality's ``key`` names the matrix's columns. In the visits table the columns of those names are the key;
    where there are none, it is ``visits.key``, or participant_id and visit in this order.

    Raises:
        InputError: The two sides' keys have another number of parts.
    """
    place = said.visits
    if spec.path is None:
        return (str(columns[0]),), ()
    pair = tuple(
        r.column for r in (place.participant_id, place.visit) if r is not None and r.plain and r.column is not None
    )
    default = (place.key,) if place.key is not None else pair
    transposed = spec.layout == "columns_are_visits"
    matrix = spec.key or (() if kind_of(spec.path) in ("h5ad", "h5mu") else default)
    own = spec.key if spec.key and all(name in columns for name in spec.key) else default
    if transposed and len(own) != 1:
        raise InputError(
            f"{said.where}: modalities.{spec.name}: with layout columns_are_visits each column is named by one "
            f"key, found "
            f"{' and '.join(own) or 'none'}. Name a column of the visits table that holds it: key: COLUMN."
        )
    if not own or (matrix and len(own) != len(matrix)):
        raise InputError(
            f"{said.where}: modalities.{spec.name}: the key has {len(matrix)} parts in the matrix "
            f"({', '.join(matrix)}) and "
            f"{len(own)} in the visits ({', '.join(own) or 'none'}). Name the visits' column with key under visits."
        )
    if not matrix and len(own) != 1:
        matrix = own
    return own, () if transposed else matrix


def match_rows(
    name: str,
    own: Sequence[Key | None],
    keys: Sequence[Key | None],
    *,
    set_aside: set[Key],
    labels: tuple[str, str],
) -> Match:
    """Find the visit of each matrix row by their keys, ``own`` the matrix's and ``keys`` the visits'.

    ``set_aside`` are keys that the ``where`` of the visits left out; ``labels`` say where the two sides' keys stand.

    Raises:
        InputError: A key appears twice on either side, or none matches; the message shows keys of both sides.
    """
    _refuse_repeats(
        keys, f"{name}: the visits' key ({labels[0]})", "Name a key that tells a participant's visits apart."
    )
    _refuse_repeats(
        own, f"{name}: the matrix's key ({labels[1]})", "Keep one row per visit, or average replicates first."
    )
    known, sought = (pd.Series(side, dtype=object).dropna() for side in (keys, own))
    places = pd.Index(known).get_indexer(pd.Index(sought))
    found = np.full(len(own), -1, dtype=np.int64)
    found[sought.index[places >= 0]] = known.index[places[places >= 0]]
    matched = int((found >= 0).sum())
    if not matched:
        raise InputError(
            f"{name}: none of {len(own):,} identifiers of the matrix is one of {len(keys):,} visits. "
            f"Visits ({labels[0]}): {_examples(keys)}. Matrix ({labels[1]}): {_examples(own)}. "
            "Name the right key, or cut the identifier to shape with key: {from: COLUMN, pattern: REGEX}."
        )
    aside = sum(own[int(row)] in set_aside for row in np.flatnonzero(found < 0)) if set_aside else 0
    counts = {
        "rows": len(own),
        "matched": matched,
        "of_visits_set_aside": aside,
        "unmatched": len(own) - matched - aside,
        "without_values": 0,
        "visits_without_row": len(keys) - matched,
    }
    return Match(found, counts)


def _refuse_repeats(keys: Sequence[Key | None], where: str, way_out: str) -> None:
    known = pd.Series(keys, dtype=object).dropna()
    repeated = known[known.duplicated()]
    if len(repeated):
        raise InputError(f"{where} has {len(repeated):,} duplicates (first: '{shown(repeated.iloc[0])}'). {way_out}")


def _examples(keys: Sequence[Key | None]) -> str:
    first = [key for key in keys[:1000] if key is not None][:3]
    return ", ".join(f"'{shown(key)}'" for key in first) or "all empty"
