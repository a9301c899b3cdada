"""Matrix rows to visits, by key, counted."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from omicsfm.data.ingest.columns import as_text, column_of
from omicsfm.data.ingest.matrices import Key, RawMatrix, Values
from omicsfm.errors import InputError


@dataclass(frozen=True)
class Joined:
    """A matrix whose rows stand in the order of the visits, and what was counted on the way."""

    matrix: RawMatrix
    visits: np.ndarray
    """Place of each matrix row in the table of visits, ascending."""
    counts: dict[str, int]


def visit_keys(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> list[Key | None]:
    """The key of each visit in these columns of the visits table; None where a part is empty."""
    parts = [as_text(column_of(table, column, where)) for column in columns]
    return [None if any(part is None for part in row) else row for row in zip(*parts, strict=True)]


def join_matrix(
    name: str, matrix: RawMatrix, keys: list[Key | None], *, set_aside: set[Key], labels: tuple[str, str]
) -> Joined:
    """Keep the rows whose key is a visit's and that measured something, in the order of the visits.

    ``set_aside`` are keys that the ``where`` of the visits left out; ``labels`` say where the two sides' keys stand.

    Raises:
        InputError: A key appears twice on either side, or none matches; the message shows keys of both sides.
    """
    _refuse_repeats(
        keys, f"{name}: the visits' key ({labels[0]})", "Name a key that tells a participant's visits apart."
    )
    _refuse_repeats(
        matrix.keys, f"{name}: the matrix's key ({labels[1]})", "Keep one row per visit, or average replicates first."
    )
    place = {key: visit for visit, key in enumerate(keys) if key is not None}
    found = np.array([place.get(key, -1) if key is not None else -1 for key in matrix.keys], dtype=np.int64)
    if not (found >= 0).any():
        raise InputError(
            f"{name}: none of {len(matrix.keys):,} identifiers of the matrix is one of {len(keys):,} visits. "
            f"Visits ({labels[0]}): {_examples(keys)}. Matrix ({labels[1]}): {_examples(matrix.keys)}. "
            "Name the right key, or cut the identifier to shape with key: {from: COLUMN, pattern: REGEX}."
        )
    rows = np.flatnonzero(found >= 0)
    rows = rows[np.argsort(found[rows], kind="stable")]
    taken = matrix.take(rows)
    measured = _measured(taken.values)
    if not measured.any():
        raise InputError(
            f"{name}: {len(rows):,} rows match a visit but hold no value. An empty modality cannot be prepared: "
            "leave it out of modalities, or check columns and the file."
        )
    unmatched = [key for key, visit in zip(matrix.keys, found, strict=True) if visit < 0]
    aside = sum(key in set_aside for key in unmatched if key is not None)
    counts = {
        "rows": len(matrix.keys),
        "matched": len(rows),
        "of_visits_set_aside": aside,
        "unmatched": len(unmatched) - aside,
        "without_values": int((~measured).sum()),
        "visits_without_row": len(keys) - len(rows),
    }
    return Joined(taken.take(np.flatnonzero(measured)), found[rows][measured], counts)


def _measured(values: Values) -> np.ndarray:
    if isinstance(values, np.ndarray):
        return np.asarray(~np.isnan(values).all(axis=1))
    return np.ones(values.shape[0], dtype=bool)  # an entry that a sparse matrix does not store is a measured zero


def _refuse_repeats(keys: list[Key | None], where: str, way_out: str) -> None:
    seen: set[Key] = set()
    repeated = [key for key in keys if key is not None and (key in seen or seen.add(key))]  # type: ignore[func-returns-value]
    if repeated:
        raise InputError(f"{where} has {len(repeated):,} duplicates (first: '{' / '.join(repeated[0])}'). {way_out}")


def _examples(keys: list[Key | None]) -> str:
    return ", ".join(f"'{' / '.join(key)}'" for key in [k for k in keys if k is not None][:3]) or "all empty"
