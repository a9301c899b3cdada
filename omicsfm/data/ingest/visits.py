"""The visits of a cohort: who, when, and the columns that go into the store."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.data.histories import Histories
from omicsfm.data.ingest.blocks import Key, shown
from omicsfm.data.ingest.cohort import OPTIONAL_COLUMNS, CohortFile, LookupSpec, VisitsSpec
from omicsfm.data.ingest.columns import ColumnRule, as_number, as_text, column_of, numbers_in
from omicsfm.data.ingest.join import visit_keys
from omicsfm.data.ingest.tables import header_of, kind_of, read_table, repeated_in
from omicsfm.errors import InputError

ONLY_VISIT = "1"
"""Name of the visit where the yaml gives no visit column: allowed while each participant has one row."""


@dataclass(frozen=True)
class Visits:
    """Visits in store order, the table they come from, and what was counted."""

    table: pd.DataFrame
    """Columns of the user's table, row by row with ``store``."""
    store: pd.DataFrame
    """participant_id, visit, time_days, and the optional columns."""
    set_aside: pd.DataFrame
    """Rows of the user's table that ``where`` left out."""
    counts: dict[str, int]

    def keep(self, rows: np.ndarray) -> "Visits":
        """The same with these rows only, which are in order and no row twice."""
        if len(rows) == len(self.table):
            return self
        return replace(
            self, table=self.table.iloc[rows].reset_index(drop=True), store=self.store.iloc[rows].reset_index(drop=True)
        )


def read_visits(cohort: CohortFile, embedded: pd.DataFrame | None = None) -> Visits:
    """Read the visits, ordered by participant (as they first appear) and time.

    ``embedded`` is the ``.obs`` of a .h5mu that brings its own visits.

    Raises:
        InputError: A column is missing, an id is empty, a visit appears twice, the time of one of a participant's
            several visits is unknown, an age is that of nobody, or times run backwards.
    """
    spec, where = cohort.visits, f"{cohort.where}: visits"
    for path in spec.paths:
        repeated = set(repeated_in(header_of(path))) if kind_of(path) == "text" else set()
        if ambiguous := sorted(repeated & cohort.clinical_columns()):
            raise InputError(f"{where}: {path.name} has two columns named '{ambiguous[0]}'; rename one of them.")
    table = _read_tables(spec.paths, f"{where}.path", cohort) if embedded is None else embedded
    counts = {"rows": len(table)}
    for lookup in spec.join:
        table, unmatched = _look_up(table, lookup, where)
        counts["without_row_in_join"] = counts.get("without_row_in_join", 0) + unmatched
    passed = spec.where.holds(table, f"{where}.where").to_numpy()
    set_aside, table = table[~passed], table[passed].reset_index(drop=True)
    counts["set_aside_by_where"] = len(set_aside)
    store = pd.DataFrame({"participant_id": _ids(spec.participant_id, table, f"{where}.participant_id")})
    store["visit"] = ONLY_VISIT if spec.visit is None else _ids(spec.visit, table, f"{where}.visit")
    again = store.duplicated(["participant_id", "visit"])
    if again.any():
        first = store[again].iloc[0]
        raise InputError(
            f"{where}: {int(again.sum()):,} rows repeat a visit (first: participant '{first['participant_id']}', visit "
            f"'{first['visit']}'). Each row must be one visit: "
            + (
                "name the visit column."
                if spec.visit is None
                else "name a column that tells them apart, or remove repeats."
            )
        )
    store["time_days"] = _time_days(spec, table, store, where)
    for name, rule in spec.columns.items():
        values = rule.apply(table, f"{where}.{name}")
        store[name] = _stored(name, values, where) if name not in cohort.subgroups else as_text(values)
    for name in cohort.subgroups:
        if name not in store.columns:
            store[name] = as_text(column_of(table, name, f"{cohort.where}: subgroups"))
        elif name in ("participant_id", "visit", "time_days", "age"):
            raise InputError(
                f"{cohort.where}: subgroups: '{name}' is no group; for age, keep: "
                f"{{age_band: {{from: age, bands: [50, 65]}}}}."
            )
    people = pd.factorize(store["participant_id"])[0]
    order = np.lexsort((np.arange(len(store)), store["time_days"].to_numpy(), people))
    store = store.iloc[order].reset_index(drop=True)
    Histories.of(store)  # refuses ages and times that contradict each other
    return Visits(table.iloc[order].reset_index(drop=True), store, set_aside, counts)


def aside_keys(visits: Visits, columns: tuple[str, ...], where: str) -> set[Key]:
    """Keys of the visits that ``where`` left out."""
    return {key for key in visit_keys(visits.set_aside, columns, where) if key is not None}


def _ids(rule: ColumnRule, table: pd.DataFrame, where: str) -> pd.Series:
    ids = as_text(rule.apply(table, where))
    if ids.isna().any():
        row = int(np.flatnonzero(ids.isna())[0]) + 1
        raise InputError(
            f"{where}: {int(ids.isna().sum()):,} of {len(ids):,} rows have none (first: row {row:,}). "
            f"Fill them in, or leave them out with where: {{{rule.column}: {{present: true}}}}."
        )
    return ids


def _time_days(spec: VisitsSpec, table: pd.DataFrame, store: pd.DataFrame, where: str) -> pd.Series:
    if spec.time is None:
        several = store["participant_id"].duplicated()
        if several.any():
            raise InputError(
                f"{where}: {store.loc[several, 'participant_id'].nunique():,} participants have several visits (first: "
                f"'{store.loc[several, 'participant_id'].iloc[0]}') but no time is given. Name the column: "
                f"time_days: COLUMN "
                "(or time_months, time_years), or map visits to days: time_days: {from: VISIT, values: {BL: 0, FU: "
                "365}}."
            )
        return pd.Series(0.0, index=table.index)
    time = as_number(spec.time.rule.apply(table, where), where) * spec.time.days
    if time.isna().any():
        first = store[time.isna()].iloc[0]
        raise InputError(
            f"{where}: the time of {int(time.isna().sum()):,} of {len(time):,} visits is unknown (first: participant "
            f"'{first['participant_id']}', visit '{first['visit']}'). Fill it in, or leave those rows out with where: "
            f"{{{spec.time.rule.column}: {{present: true}}}}."
        )
    return time


def _stored(name: str, values: pd.Series, where: str) -> pd.Series:
    """Age and a kept column that holds numbers only as numbers; site, plate, platform and family_id as text."""
    if name == "age":
        return as_number(values, f"{where}.{name}")
    text = as_text(values)
    number = numbers_in(text)
    return number if name not in OPTIONAL_COLUMNS and number.notna().sum() == text.notna().sum() else text


def _read_tables(paths: tuple[Path, ...], where: str, cohort: CohortFile | None = None) -> pd.DataFrame:
    """A table, or several whose rows continue each other: of these the columns that all have, and each row once.

    Rows are the same where they are in the columns that the cohort file uses; what else several files have in common
    may be a measurement. Without a cohort file every column counts.
    """
    first, *others = [read_table(path) for path in paths]
    if not others:
        return first
    shared = [column for column in first.columns if all(column in other.columns for other in others)]
    if not shared:
        raise InputError(
            f"{where}: the {len(paths)} files have no column in common; {paths[0].name} begins with "
            f"'{first.columns[0]}', {paths[1].name} with '{others[0].columns[0]}'. Give the columns that all of them "
            "need one name."
        )
    texts = [table[shared].apply(as_text) for table in (first, *others)]
    used = None if cohort is None else [c for c in shared if c in cohort.clinical_columns() | cohort.key_columns()]
    return pd.concat(texts, ignore_index=True).drop_duplicates(used or None).reset_index(drop=True)


def _look_up(table: pd.DataFrame, lookup: LookupSpec, where: str) -> tuple[pd.DataFrame, int]:
    """Add the columns of another table by key; its rows may serve several visits but not the reverse."""
    where = f"{where}.join {lookup.paths[0].name}"
    other = _read_tables(lookup.paths, where)
    other = other[lookup.where.holds(other, f"{where}: where")].reset_index(drop=True)
    own_keys = visit_keys(table, tuple(lookup.key), where)
    keys = visit_keys(other, tuple(lookup.key.values()), where)
    place: dict[Key, int] = {}
    for row, key in enumerate(keys):
        if key in place:
            raise InputError(f"{where}: key '{shown(key)}' appears twice; keep one row per key, by hand or with where.")
        if key is not None:
            place[key] = row
    found = np.array([place.get(key, -1) if key is not None else -1 for key in own_keys])
    if not (found >= 0).any():
        raise InputError(
            f"{where}: no key of {len(table):,} visits is in it. Visits: {own_keys[:3]}; there: {keys[:3]}."
        )
    columns = lookup.columns or {c: c for c in other.columns if c not in lookup.key.values()}
    for new, old in columns.items():
        column_of(other, old, where)
        if new in table.columns:
            raise InputError(
                f"{where}: column '{new}' is already in the visits; give it another name with columns: "
                f"{{NEW_NAME: {old}}}, or leave it out there."
            )
    added = other[list(columns.values())].reindex(np.where(found >= 0, found, len(other)))
    return pd.concat([table, added.set_axis(list(columns), axis=1).reset_index(drop=True)], axis=1), int(
        (found < 0).sum()
    )
