"""Cells of a table to numbers, chunk by chunk: values, what lies below a limit, and text that is neither."""

import re

import numpy as np
import pandas as pd

from omicsfm.data.ingest.blocks import BEYOND_FLOAT32
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import as_text
from omicsfm.errors import InputError

NUMBER_BELOW = re.compile(r"<\s*(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)")

Numbers = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
"""Values (float32, NaN where not measured), below-limit flags, and which of the flagged cells give no limit ('<LOD',
not '<0.5'); None where no cell of the chunk is flagged."""


class CellReader:
    """Reads the cells of one table and remembers the text that was no number."""

    def __init__(self, spec: ModalitySpec, columns: list[str]) -> None:
        self.spec, self.columns = spec, columns
        self._filled = np.zeros(len(columns), dtype=np.int64)
        self._bad = np.zeros(len(columns), dtype=np.int64)
        self._first: dict[int, tuple[str, int]] = {}

    @BEYOND_FLOAT32
    def numbers(self, table: pd.DataFrame, start: int, columns: slice = slice(None)) -> Numbers:
        """The numbers of a chunk that begins at row ``start`` (from 0) of its table; ``columns`` says which of the
        columns the chunk has.
        """
        plain = np.array([pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t) for t in table.dtypes])
        if plain.all() and not self.spec.below_limit:
            values = table.to_numpy(dtype=np.float32, na_value=np.nan)
            self._filled[columns] += (~np.isnan(values)).sum(axis=0)
            return values, None, None
        values = np.empty(table.shape, dtype=np.float32)
        below, unlimited = np.zeros(table.shape, dtype=bool), np.zeros(table.shape, dtype=bool)
        offset = columns.start or 0
        if plain.any():
            numbers = table.iloc[:, plain].to_numpy(dtype=np.float32, na_value=np.nan)
            self._filled[offset + np.flatnonzero(plain)] += (~np.isnan(numbers)).sum(axis=0)
            values[:, plain], below[:, plain], unlimited[:, plain] = self._coded(numbers)
        for place in np.flatnonzero(~plain):
            read = self._cells(table.iloc[:, place], offset + int(place), start)
            values[:, place], below[:, place], unlimited[:, place] = read
        return values, below if below.any() else None, unlimited if unlimited.any() else None

    def _coded(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns of numbers, among which some, or empty cells, are codes of what is below the limit."""
        values = numbers.copy()
        below, unlimited = np.zeros(numbers.shape, dtype=bool), np.zeros(numbers.shape, dtype=bool)
        for code, limit in self.spec.below_limit.items():
            number = np.nan if code == "" else pd.to_numeric(code, errors="coerce")
            if code and np.isnan(number):
                continue  # a text, which no column of numbers has
            own = np.isnan(numbers) if code == "" else numbers == np.float32(number)
            values[own] = np.nan if limit is None else limit
            below |= own
            unlimited |= own & (limit is None)
        return values, below, unlimited

    def _cells(self, column: pd.Series, number_of_column: int, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One column that holds text."""
        text = as_text(column)
        if "" in self.spec.below_limit:
            text = text.fillna("")
        number = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
        coded = text.isin(list(self.spec.below_limit)).to_numpy()
        limits = {cell: limit for cell, limit in self.spec.below_limit.items() if limit is not None}
        stated = text.astype(str).str.extract(f"^{NUMBER_BELOW.pattern}$", expand=False).astype(float).to_numpy()
        stated = np.where(coded, text.map(limits).astype(float), stated)
        number = np.where(coded, np.nan, number)
        bad = text.notna().to_numpy() & np.isnan(number) & np.isnan(stated) & ~coded
        self._filled[number_of_column] += int(text.notna().sum())
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            self._bad[number_of_column] += int(bad.sum())
            self._first.setdefault(number_of_column, (str(text.iloc[row]), start + row + 1))
        values = np.where(np.isnan(stated), number, stated).astype(np.float32)
        return values, coded | ~np.isnan(stated), coded & np.isnan(stated)

    def finish(self) -> None:
        """Called when all chunks were read.

        Raises:
            InputError: Some cell was no number; the message names the first column that has one.
        """
        if not self._bad.any():
            return
        place = int(np.flatnonzero(self._bad)[0])
        text, row = self._first[place]
        raise InputError(
            f"{self.spec.name}: column '{self.columns[place]}' holds text in {self._bad[place]:,} of "
            f"{self._filled[place]:,} cells (first '{text}', row {row:,}); expected numbers. If it is no feature, add "
            f'it to drop; if the text means below the detection limit, set below_limit: "{text}" in COHORT.yaml.'
        )
