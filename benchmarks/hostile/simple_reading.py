"""The tables of a drawn cohort, read with the csv module and nothing else, beside the store made of them."""

import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np

from benchmarks.hostile.answer import Wrong
from benchmarks.hostile.cells import number_of, text_of
from benchmarks.hostile.tables import Tables
from omicsfm.data.store import OmicsStore

Row = dict[str, str]


def compare_tables(store: OmicsStore, folder: Path, tables: Tables) -> None:
    """Every visit, time, outcome and value of the store is what the files say.

    Raises:
        Wrong: Something differs, or the files should have been refused.
    """
    clinical = _rows(folder / "clinical.csv", ",")
    name = tables.modality["path"]
    matrix = _rows(folder / name, "," if ".csv" in name else "\t")
    visits = {_key(row): row for row in clinical}
    measured = {_key(row): row for row in matrix if None not in _key(row)}
    if len(visits) < len(clinical):
        raise Wrong("a visit stands there twice and was accepted")
    _compare_visits(store, visits)
    _compare_values(store, visits, measured, tables)


def _compare_visits(store: OmicsStore, visits: dict[tuple[str | None, ...], Row]) -> None:
    for place, own in enumerate(store.visits.itertuples()):
        row = visits.get((own.participant_id, own.visit))
        if row is None:
            raise Wrong(f"the store has a visit {own} that the table has not")
        _same(own.time_days, row["day"], "time")
        if "bmi" in store.outcomes:
            _same(store.outcomes["bmi"].iloc[place], row["bmi"], "bmi")
        if "severe" in store.outcomes:
            label = store.outcomes["severe"].iloc[place]
            if (None if label is None or label != label else label) != text_of(row["severe"]):
                raise Wrong(f"severe is {label!r}, the table says {row['severe']!r}")


def _compare_values(
    store: OmicsStore, visits: dict[tuple[str | None, ...], Row], measured: dict[tuple[str | None, ...], Row], t: Tables
) -> None:
    matrix = store.modalities["proteome"]
    values, below = matrix.read(np.arange(len(store)))
    features = [name for name in next(iter(measured.values())) if name not in ("subject", "timepoint")]
    limits = t.modality.get("below_limit", ())
    limits = tuple(map(str, limits if isinstance(limits, list | dict) else [limits] if limits != () else []))
    where = {
        own: place for place, own in enumerate(zip(store.visits["participant_id"], store.visits["visit"], strict=True))
    }
    for key, row in measured.items():
        if key not in visits:
            continue
        read = {}
        for name in features:
            try:
                read[name] = number_of(row[name], limits)
            except ValueError as error:
                raise Wrong(f"cell {str(error)[:80]!r} of {name!r} was accepted") from None
        if key not in where:
            if any(value is not None and not math.isnan(value) for value, _ in read.values()):
                raise Wrong(f"visit {key} has values and is not in the store")
            continue
        for place, name in enumerate(matrix.features.ids):
            value, flag = read[name]
            found = float(values[where[key], place])
            if bool(below[where[key], place]) != flag:
                raise Wrong(f"{key} {name!r}: cell {row[name]!r} has flag {not flag}")
            if value is not None and not _close(found, value):
                raise Wrong(f"{key} {name!r}: cell {row[name]!r} became {found!r}")


def _same(found: float, cell: str, what: str) -> None:
    try:
        expected, _ = number_of(cell)
    except ValueError:
        raise Wrong(f"{what} {cell[:80]!r} was accepted as {found}") from None
    if expected is None or not (found == expected or _close(found, expected)):
        raise Wrong(f"{what} {cell!r} became {found}")


def _close(found: float, expected: float) -> bool:
    """Equal in float32 but for the last bit, which a fast parser may round the other way; rounding of zero allowed."""
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    rounded = np.float32(expected)
    return bool(abs(np.float32(found) - rounded) <= np.spacing(abs(rounded))) or (found == 0 and -1e-6 < expected < 0)


def _key(row: Row) -> tuple[str | None, ...]:
    return text_of(row["subject"]), text_of(row["timepoint"])


def _rows(path: Path, separator: str) -> list[Row]:
    whole = path.read_bytes()
    text = (gzip.decompress(whole) if path.name.endswith(".gz") else whole).decode("utf-8-sig")
    rows = [
        row
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        if any(c.strip(" ") for c in row) or len(row) > 1
    ]
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(rows[0])]
    if len(set(names)) < len(names):
        raise Wrong("two columns of one name were accepted")
    for row in rows[1:]:
        if len(row) != len(names):
            raise Wrong(f"a row of {len(row)} cells under {len(names)} names was accepted")
    return [dict(zip(names, row, strict=True)) for row in rows[1:]]
