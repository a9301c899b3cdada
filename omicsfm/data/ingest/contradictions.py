"""Two files that say different things of the same visit: labels in another row order, or a wrong key."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import as_text
from omicsfm.data.ingest.tables import header_of, kind_of, read_columns, repeated_in
from omicsfm.data.leakage.leak import Leak

FEW = 0.02
"""Share of visits that may differ: corrections that reached one file and not the other."""
AGREES = 0.99


def contradictions(
    spec: ModalitySpec, features: Sequence[str], visit_of_row: np.ndarray, visits: pd.DataFrame
) -> Iterator[Leak]:
    """Columns of a matrix's file that are no features, bear the name of a clinical column, and contradict it.

    ``visit_of_row`` is the place in ``visits`` that each row was matched to, -1 for none. Where another column that
    both files have would match the rows so that they agree, the message names it: the labels stand in its order.
    """
    if spec.path is None or len(spec.paths) != 1 or spec.layout != "rows_are_visits":
        return
    if kind_of(spec.path) not in ("text", "parquet"):
        return
    names = header_of(spec.path)
    unclear = set(repeated_in(names)) | set(features)
    shared = [name for name in names if name in visits.columns and name not in unclear]
    if not shared:
        return
    table = read_columns(spec.path, shared, text=[])
    if len(table) != len(visit_of_row):
        return  # the file's rows were chosen by where
    matched = np.flatnonzero(visit_of_row >= 0)
    for name in shared:
        own, theirs = table[name].iloc[matched], visits[name].iloc[visit_of_row[matched]]
        differs, known = _differs(own, theirs)
        if differs.sum() > FEW * max(known.sum(), 1):
            first = int(np.flatnonzero(differs)[0])
            order = _agreeing_order(table, visits, name, [other for other in shared if other != name])
            yield Leak(
                False,
                f"{spec.name}: column '{name}' of {spec.path.name} contradicts the clinical table for "
                f"{int(differs.sum()):,} of {int(known.sum()):,} visits (first: '{own.iloc[first]}' against "
                f"'{theirs.iloc[first]}'). Either the rows are matched by the wrong key, or one file's labels stand in "
                f"another row order{order}. Find out which file is right before any outcome is taken from it.",
            )


def _differs(own: pd.Series, theirs: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Where two columns differ, and where both are known."""
    a, b = as_text(own).reset_index(drop=True), as_text(theirs).reset_index(drop=True)
    known = (a.notna() & b.notna()).to_numpy(dtype=bool)
    x, y = (pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64) for text in (a, b))
    numbers = known & ~np.isnan(x) & ~np.isnan(y)
    equal = (_unpadded(a) == _unpadded(b)).to_numpy(dtype=bool, na_value=False)
    same = np.where(numbers, np.isclose(x, y, rtol=1e-4, atol=1e-9), equal)
    return known & ~same, known


def _unpadded(text: pd.Series) -> pd.Series:
    """Without what only writing makes of an id: C001 is C1, female is Female."""
    return text.str.casefold().str.replace(r"0*(\d+)", r"\1", regex=True)


def _agreeing_order(table: pd.DataFrame, visits: pd.DataFrame, name: str, others: list[str]) -> str:
    """The column that would match the two files so that ``name`` agrees, in words; empty where none does."""
    for other in others:
        left, right = as_text(table[other]), as_text(visits[other])
        if left.duplicated().any() or right.duplicated().any():
            continue
        place = pd.Series(np.arange(len(table)), index=left).reindex(right).to_numpy()
        both = np.flatnonzero(~np.isnan(place))
        if not len(both):
            continue
        differs, known = _differs(table[name].iloc[place[both].astype(int)], visits[name].iloc[both])
        if known.sum() and differs.sum() <= (1 - AGREES) * known.sum():
            return (
                f", that of column '{other}': matched by it they agree in {int(known.sum() - differs.sum()):,} of "
                f"{int(known.sum()):,}"
            )
    return ""
