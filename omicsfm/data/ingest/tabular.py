"""The matrix of a modality in a CSV, TSV or Parquet table, read in chunks of lines."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.data.ingest.blocks import CELLS, Block, Key
from omicsfm.data.ingest.cells import CellReader
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import ColumnRule, as_text
from omicsfm.data.ingest.selection import keys_of, select, told_apart
from omicsfm.data.ingest.tables import header_of, read_columns, repeated_in, table_chunks
from omicsfm.errors import InputError, closest

IN_MEMORY = 16 * CELLS
"""Most cells of a transposed table that need no file to be turned in."""


class RowsAreVisits:
    """A table with one visit a row. A ``MatrixSource``."""

    def __init__(self, spec: ModalitySpec, path: Path, key_columns: tuple[str, ...]) -> None:
        self.spec, self.path = spec, path
        names = told_apart(spec, header_of(path))
        for column in key_columns:
            if column not in names:
                raise InputError(f"{spec.name}: {path.name} has no key column '{column}'; {closest(column, names)}.")
        beside = [name for name in dict.fromkeys((*key_columns, *spec.where.tests)) if name in names]
        table = read_columns(path, beside, text=list(key_columns))
        self._rows = np.flatnonzero(spec.where.holds(table, f"{spec.name}: where"))
        self.keys: list[Key | None] = keys_of(spec, table.iloc[self._rows], key_columns)
        self.features = select(spec, [name for name in names if name not in (*key_columns, *spec.where.tests)])
        self.parts: tuple[int, ...] = (0,)
        self.has, self.states_limits = np.ones((1, len(self.features)), bool), True
        self._columns = self.features  # which may be renamed
        self._cells = CellReader(spec, self._columns)

    def entries(self) -> None:
        """A table is dense."""

    def blocks(self, start: int, wanted: np.ndarray) -> Iterator[Block]:
        """Blocks from row ``start`` on; all of them, for limits are read from all rows."""
        self._cells = CellReader(self.spec, self._columns)
        low = 0
        for chunk in table_chunks(self.path, self._columns, rows=max(1, CELLS // len(self._columns))):
            first, last = np.searchsorted(self._rows, (low, low + len(chunk)))
            inside = self._rows[max(int(first), start) : last] - low
            if len(inside):
                own = chunk if len(inside) == len(chunk) else chunk.iloc[inside]
                yield Block(max(int(first), start), *self._cells.numbers(own, low + int(inside[0])))
            low += len(chunk)

    def finish(self) -> None:
        """See ``CellReader.finish``."""
        self._cells.finish()


class ColumnsAreVisits:
    """A table with one feature a row: its first column (or ``features``) holds the ids, the others are visits.
    A ``MatrixSource``.

    A large one is turned through files in the folder ``scratch``, features by visits, which whoever gave the folder
    removes.
    """

    def __init__(self, spec: ModalitySpec, path: Path, scratch: Path) -> None:
        self.spec, self.path, self._scratch = spec, path, scratch
        if spec.where.tests:
            raise InputError(
                f"{spec.name}: where tests rows, which are features in layout columns_are_visits; use drop."
            )
        names = header_of(path)
        if repeated := repeated_in(names):
            raise InputError(
                f"{spec.name}: {len(repeated):,} columns of {path.name} appear twice (first: '{repeated[0]}'). "
                "With visits in columns each is one visit: keep one, or average replicates first."
            )
        id_column = spec.features or names[0]
        if id_column not in names:
            raise InputError(f"{spec.name}: {path.name} has no column '{id_column}'; {closest(id_column, names)}.")
        ids = as_text(read_columns(path, [id_column], text=[id_column])[id_column])
        if ids.isna().any():
            raise InputError(
                f"{spec.name}: {int(ids.isna().sum()):,} feature ids in column '{id_column}' of {path.name} are empty "
                f"(first: row {int(np.flatnonzero(ids.isna())[0]) + 1:,})."
            )
        listed = () if isinstance(spec.drop, str) else spec.drop
        dropped = {name for name in listed if name in names}
        rest = spec.drop if isinstance(spec.drop, str) else tuple(name for name in listed if name not in dropped)
        features = told_apart(spec, ids.tolist())
        chosen = set(select(replace(spec, drop=rest), features))
        self._lines = np.flatnonzero([feature in chosen for feature in features])
        self.features = [features[line] for line in self._lines]
        self._visits = [name for name in names if name != id_column and name not in dropped]
        rule = ColumnRule(column="visit", pattern=spec.key_pattern)
        headers = as_text(rule.apply(pd.DataFrame({"visit": self._visits}), f"{spec.name}: key"))
        self.keys: list[Key | None] = headers.tolist()
        self.parts: tuple[int, ...] = (0,)
        self.has, self.states_limits = np.ones((1, len(self.features)), bool), True
        self._cells = CellReader(spec, self._visits)
        self._turned: tuple[np.ndarray, np.ndarray] | None = None

    def entries(self) -> None:
        """A table is dense."""

    def blocks(self, start: int, wanted: np.ndarray) -> Iterator[Block]:
        """Blocks from row ``start`` on."""
        if self._turned is None:
            self._turned = self._turn()
        values, flags = self._turned
        step = max(1, CELLS // len(self.features))
        for low in range(start, len(self.keys), step):
            if not wanted[low : low + step].any():
                continue
            if isinstance(values, np.memmap):  # mapped anew, so that pages that were read do not count as held
                values, flags = (np.load(str(array.filename), mmap_mode="r") for array in self._turned)  # type: ignore[attr-defined]
            marks = np.ascontiguousarray(flags[:, low : low + step].T)
            below, unlimited = (marks & 1).astype(bool), (marks & 2).astype(bool)
            yield Block(
                low,
                np.ascontiguousarray(values[:, low : low + step].T),
                below if below.any() else None,
                unlimited if unlimited.any() else None,
            )

    def finish(self) -> None:
        """See ``CellReader.finish``."""
        self._cells.finish()

    def _turn(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and flags, features by visits: flag 1 is below the limit, 2 a limit that is not given."""
        shape = (len(self.features), len(self.keys))
        if shape[0] * shape[1] <= IN_MEMORY:
            values, flags = np.empty(shape, np.float32), np.zeros(shape, np.uint8)
        else:
            folder = self._scratch / f"transposed-{self.spec.name}-{self.path.name}"
            folder.mkdir(parents=True, exist_ok=True)
            values, flags = (
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
                for name, dtype in (("values", np.float32), ("flags", np.uint8))
            )
        low = 0
        for chunk in table_chunks(self.path, self._visits, rows=max(1, CELLS // len(self._visits))):
            first, last = np.searchsorted(self._lines, (low, low + len(chunk)))
            inside = self._lines[first:last] - low
            if len(inside):
                own = chunk if len(inside) == len(chunk) else chunk.iloc[inside]
                numbers, below, unlimited = self._cells.numbers(own, low + int(inside[0]))
                values[first:last] = numbers
                flags[first:last] = (0 if below is None else below * 1) + (0 if unlimited is None else unlimited * 2)
            low += len(chunk)
        return values, flags
