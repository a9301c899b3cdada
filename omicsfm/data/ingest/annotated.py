"""The matrix of a .h5ad or .h5mu file, read in blocks of rows."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.annotated_file import AnnotatedFile
from omicsfm.data.ingest.blocks import Block, Key
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import as_text
from omicsfm.data.ingest.hdf5_matrix import WIDEST, StoredArray, open_array
from omicsfm.data.ingest.selection import keys_of, select, told_apart
from omicsfm.errors import InputError, closest

LISTS = ("source_ids",)
"""Columns of a store's features that hold several texts each."""


class AnnotatedMatrix:
    """The matrix of one modality of a .h5ad or .h5mu; CSR stays CSR, CSC becomes CSR. A ``MatrixSource``.

    Without ``key_columns`` the key is the name of the observation.
    """

    def __init__(self, spec: ModalitySpec, file: AnnotatedFile, key_columns: tuple[str, ...]) -> None:
        self.spec, self._file = spec, file
        if file.members is not None and spec.name not in file.members:
            raise InputError(
                f"{spec.name}: {file.path} has no modality of that name; {closest(spec.name, file.members)}."
            )
        self._member = f"mod/{spec.name}" if file.members is not None else ""
        observed = file.columns(f"{self._member}/obs")
        key_columns = key_columns or (observed[0],)
        for column in key_columns:
            if column not in observed:
                raise InputError(f"{spec.name}: .obs has no key column '{column}'; {closest(column, observed)}.")
        obs = file.obs(self._member, [c for c in (*key_columns, *spec.where.tests) if c in observed])
        self._rows = np.flatnonzero(spec.where.holds(obs, f"{spec.name}: where"))
        self._of_file = len(obs)
        self.keys: list[Key | None] = keys_of(spec, obs.iloc[self._rows], key_columns)
        names = told_apart(spec, self._names())
        chosen = set(select(spec, names))
        self._columns = np.array([place for place, name in enumerate(names) if name in chosen], dtype=np.int64)
        self.features = [names[place] for place in self._columns]
        self._all = len(self._columns) == len(names)
        self.parts: tuple[int, ...] = (0,)
        self.has, self.states_limits = np.ones((1, len(self.features)), bool), False
        with file.opened() as opened:
            array, _ = self._arrays(opened, len(names))
            self._entries = None if array.entries is None else array.entries[self._rows]

    def entries(self) -> np.ndarray | None:
        """Stored entries of each row, before features are chosen; None where the matrix is dense."""
        return self._entries

    def blocks(self, start: int, wanted: np.ndarray) -> Iterator[Block]:
        """Blocks from row ``start`` on that have a wanted row."""
        with self._file.opened() as opened:
            array, flags = self._arrays(opened, None)
            most = array.shape[0] if flags is None else max(1, WIDEST // max(array.shape[1], 1))
            for low, high in array.ranges(max(most, 1)):
                first, last = np.searchsorted(self._rows, (low, high))
                first = max(int(first), start)
                if first >= last or not wanted[first:last].any():
                    continue
                inside = self._rows[first:last] - low
                values = self._part(array.rows(low, high), inside)
                below = None if flags is None else self._part(_dense(flags.rows(low, high)), inside).astype(bool)
                yield Block(first, values, below)

    def finish(self) -> None:
        """Nothing is left to say: HDF5 arrays of numbers hold numbers."""

    def about(self, columns: Sequence[str]) -> pd.DataFrame:
        """What .var says of each feature; a column of lists is read from JSON, as an export writes it.

        Raises:
            InputError: .var has no such column.
        """
        known = self._file.columns(f"{self._member}/var")
        for column in columns:
            if column not in known[1:]:
                raise InputError(f"{self.spec.name}: .var has no column '{column}'; {closest(column, known[1:])}.")
        table = self._file.var(self._member, list(columns)).iloc[self._columns].reset_index(drop=True)
        return table.assign(**{name: [json.loads(cell) for cell in table[name]] for name in LISTS if name in table})

    def _part(self, values: Any, rows: np.ndarray) -> Any:
        if len(rows) < values.shape[0]:
            values = values[rows]
        return values if self._all else values[:, self._columns]

    def _names(self) -> list[str]:
        known = self._file.columns(f"{self._member}/var")
        column = self.spec.features
        if column is not None and column not in known[1:]:
            raise InputError(f"{self.spec.name}: .var has no column '{column}'; {closest(column, known[1:])}.")
        series = self._file.var(self._member, [column or known[0]]).iloc[:, 0]
        return [str(name) for name in (series if column is None else as_text(series))]

    def _arrays(self, opened: Any, features: int | None) -> tuple[StoredArray, StoredArray | None]:
        """The values, and the below-limit flags where the file has them."""
        group, layer = opened[self._member or "/"], self.spec.layer
        layers = group.get("layers", {})
        if layer is not None and layer not in layers:
            raise InputError(f"{self.spec.name}: there is no layer '{layer}'; {closest(layer, layers)}.")
        node = group.get("X") if layer is None else layers[layer]
        if node is None or node.attrs.get("encoding-type") == "null":
            raise InputError(f"{self.spec.name}: .X is empty; name the layer that holds the values with layer: NAME.")
        where = f"{self.spec.name}: {'.X' if layer is None else f'layer {layer}'}"
        array = open_array(node, where)
        flags = None
        if "below_limit" in layers:
            flags = open_array(layers["below_limit"], f"{self.spec.name}: layer below_limit")
        for own in (array, flags):
            if features is not None and own is not None and own.shape != (self._of_file, features):
                raise InputError(
                    f"{where} is {own.shape[0]:,} x {own.shape[1]:,}, but .obs has {self._of_file:,} rows and .var "
                    f"{features:,}. Write the file again."
                )
        return array, flags


def _dense(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()
