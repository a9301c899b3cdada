"""One omics matrix of any file, in memory: keys, feature ids, values and below-limit flags."""

import re
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import ColumnRule, as_text
from omicsfm.data.ingest.tables import header_of, kind_of, numbered, obs_table, read_annotated, read_table, repeated_in
from omicsfm.errors import InputError, closest

Key = tuple[str, ...]
Values: TypeAlias = np.ndarray | sparse.csr_matrix | sparse.csr_array
NUMBER_BELOW = re.compile(r"<\s*(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class RawMatrix:
    """A matrix as it stands in its file; rows are visits."""

    keys: list[Key | None]
    """The visit key of each row; None where a part of it is empty."""
    features: list[str]
    values: Values
    below_limit: np.ndarray | None
    without_limit: list[str]
    """Features left out because every value lies below a limit that the file does not give."""

    def take(self, rows: np.ndarray) -> "RawMatrix":
        """The matrix with these rows, in this order."""
        below = None if self.below_limit is None else self.below_limit[rows]
        return replace(self, keys=[self.keys[row] for row in rows], values=self.values[rows], below_limit=below)


def read_matrix(spec: ModalitySpec, key_columns: tuple[str, ...]) -> RawMatrix:
    """Read the file of a modality; ``key_columns`` are the columns that hold the visit key.

    In the result NaN is not measured, and a value below the limit is the limit with its flag set.

    Raises:
        InputError: The file is unreadable, a named column is missing, or a text column is left among the features.
    """
    assert spec.path is not None  # a .h5mu's own matrices do not come through here
    kind = kind_of(spec.path)
    if kind in ("h5ad", "h5mu"):
        return read_annotated_matrix(spec, _member(spec, read_annotated(spec.path)), key_columns)
    if spec.layer is not None:
        raise InputError(
            f"{spec.name}: layer '{spec.layer}' needs a .h5ad or .h5mu; {spec.path.name} is a plain table."
        )
    if spec.layout == "columns_are_visits":
        return _read_transposed(spec)
    names = _told_apart(spec, header_of(spec.path))
    for column in key_columns:
        if column not in names:
            raise InputError(f"{spec.name}: {spec.path.name} has no key column '{column}'; {closest(column, names)}.")
    table = read_table(spec.path, text=list(key_columns))
    table = table[spec.where.holds(table, f"{spec.name}: where")]
    chosen = select(spec, [name for name in names if name not in (*key_columns, *spec.where.tests)])
    return _with_limits(_keys(spec, table, key_columns), chosen, *_numbers(spec, table[chosen]))


def read_annotated_matrix(spec: ModalitySpec, adata: Any, key_columns: tuple[str, ...]) -> RawMatrix:
    """The matrix of an AnnData; CSR stays CSR. Without ``key_columns`` the key is ``.obs_names``."""
    obs = obs_table(adata.obs)
    key_columns = key_columns or (str(obs.columns[0]),)
    for column in key_columns:
        if column not in obs.columns:
            raise InputError(f"{spec.name}: .obs has no key column '{column}'; {closest(column, obs.columns)}.")
    if spec.features is not None and spec.features not in adata.var.columns:
        raise InputError(
            f"{spec.name}: .var has no column '{spec.features}'; {closest(spec.features, adata.var.columns)}."
        )
    ids = adata.var_names if spec.features is None else as_text(adata.var[spec.features])
    names = [str(name) for name in ids]
    if spec.layer is not None and spec.layer not in adata.layers:
        raise InputError(f"{spec.name}: there is no layer '{spec.layer}'; {closest(spec.layer, adata.layers)}.")
    values = adata.X if spec.layer is None else adata.layers[spec.layer]
    if values is None:
        raise InputError(f"{spec.name}: .X is empty; name the layer that holds the values with layer: NAME.")
    below = adata.layers.get("below_limit")
    names = _told_apart(spec, names)
    places = {name: place for place, name in enumerate(names)}
    chosen = select(spec, names)
    columns = np.array([places[name] for name in chosen], dtype=np.int64)
    if sparse.issparse(values):
        values = sparse.csr_matrix(values)[:, columns].astype(np.float32)
    else:
        values = np.asarray(values, dtype=np.float32)[:, columns]
    if below is not None:
        below = np.asarray(below.toarray() if sparse.issparse(below) else below).astype(bool)[:, columns]
    whole = RawMatrix(_keys(spec, obs, key_columns), chosen, values, below, [])
    return whole.take(np.flatnonzero(spec.where.holds(obs, f"{spec.name}: where")))


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


def _told_apart(spec: ModalitySpec, names: list[str]) -> list[str]:
    repeated = repeated_in(names)
    if repeated and not spec.number_repeats:
        raise InputError(
            f"{spec.name}: {len(repeated):,} feature names appear twice (first: '{repeated[0]}'). Two features of "
            f"one name cannot "
            "be told apart: rename them, or set repeated_features: number to call them NAME, NAME.1, ... in the "
            "file's order."
        )
    return numbered(names)


def _member(spec: ModalitySpec, annotated: Any) -> Any:
    members = getattr(annotated, "mod", None)
    if members is None:
        return annotated
    if spec.name not in members:
        raise InputError(f"{spec.name}: {spec.path} has no modality of that name; {closest(spec.name, members)}.")
    return members[spec.name]


def _keys(spec: ModalitySpec, table: pd.DataFrame, key_columns: tuple[str, ...]) -> list[Key | None]:
    parts = []
    for column in key_columns:
        rule = ColumnRule(column=column, pattern=spec.key_pattern)
        parts.append(as_text(rule.apply(table, f"{spec.name}: key")))
    return [None if any(part is None for part in row) else row for row in zip(*parts, strict=True)]


def _read_transposed(spec: ModalitySpec) -> RawMatrix:
    """A table with one feature a row: its first column (or ``features``) holds the ids, the others are visits."""
    assert spec.path is not None
    if spec.where.tests:
        raise InputError(f"{spec.name}: where tests rows, which are features in layout columns_are_visits; use drop.")
    names = header_of(spec.path)
    if repeated := repeated_in(names):
        raise InputError(
            f"{spec.name}: {len(repeated):,} columns of {spec.path.name} appear twice (first: '{repeated[0]}'). "
            "With visits in columns each is one visit: keep one, or average replicates first."
        )
    id_column = spec.features or names[0]
    if id_column not in names:
        raise InputError(f"{spec.name}: {spec.path.name} has no column '{id_column}'; {closest(id_column, names)}.")
    table = read_table(spec.path, text=[id_column])
    ids = as_text(table[id_column])
    if ids.isna().any():
        raise InputError(
            f"{spec.name}: {int(ids.isna().sum()):,} feature ids in column '{id_column}' of {spec.path.name} are empty "
            f"(first: row {int(np.flatnonzero(ids.isna())[0]) + 1:,})."
        )
    ids = pd.Series(_told_apart(spec, ids.tolist()))
    dropped = {name for name in spec.drop if name in names} if not isinstance(spec.drop, str) else set()
    visits = [name for name in names if name != id_column and name not in dropped]
    rest = tuple(name for name in spec.drop if name not in dropped) if not isinstance(spec.drop, str) else spec.drop
    chosen = select(replace(spec, drop=rest), ids.tolist())
    keep = ids.isin(set(chosen)).to_numpy()
    values, below, unlimited = (array[keep].T for array in _numbers(spec, table[visits]))
    rule = ColumnRule(column="visit", pattern=spec.key_pattern)
    headers = as_text(rule.apply(pd.DataFrame({"visit": visits}), f"{spec.name}: key"))
    return _with_limits([(key,) for key in headers], chosen, values, below, unlimited)


def _numbers(spec: ModalitySpec, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, below-limit flags, and which of the flagged cells give no limit ('<LOD', not '<0.5')."""
    values = np.empty(table.shape, dtype=np.float32)
    below = np.zeros(table.shape, dtype=bool)
    unlimited = np.zeros(table.shape, dtype=bool)
    plain = [pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t) for t in table.dtypes]
    if all(plain) and not spec.below_limit:
        return table.to_numpy(dtype=np.float32, na_value=np.nan), below, unlimited
    for place, (name, numeric) in enumerate(zip(table.columns, plain, strict=True)):
        if numeric and not spec.below_limit:
            values[:, place] = table[name].to_numpy(dtype=np.float32, na_value=np.nan)
        else:
            values[:, place], below[:, place], unlimited[:, place] = _cells(spec, table[name])
    return values, below, unlimited


def _cells(spec: ModalitySpec, column: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for one column that holds text, or codes of what is below the limit."""
    text = as_text(column)
    if "" in spec.below_limit:
        text = text.fillna("")
    number = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    coded = text.isin(list(spec.below_limit)).to_numpy()
    limits = {cell: limit for cell, limit in spec.below_limit.items() if limit is not None}
    stated = text.astype(str).str.extract(f"^{NUMBER_BELOW.pattern}$", expand=False).astype(float).to_numpy()
    stated = np.where(coded, text.map(limits).astype(float), stated)
    number = np.where(coded, np.nan, number)
    unlimited = coded & np.isnan(stated)
    bad = text.notna().to_numpy() & np.isnan(number) & np.isnan(stated) & ~coded
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{spec.name}: column '{column.name}' holds text in {int(bad.sum()):,} of {int(text.notna().sum()):,} "
            f"cells (first "
            f"'{text.iloc[row]}', row {row + 1:,}); expected numbers. If it is no feature, add it to drop; if the "
            f"text means "
            f'below the detection limit, set below_limit: "{text.iloc[row]}" in COHORT.yaml.'
        )
    return np.where(np.isnan(stated), number, stated).astype(np.float32), coded | ~np.isnan(stated), unlimited


def _with_limits(
    keys: list[Key | None], features: list[str], values: np.ndarray, below: np.ndarray, unlimited: np.ndarray
) -> RawMatrix:
    """The lowest measured value of a feature stands for a limit that the file does not give. A feature of which no
    cell gives a number has no limit to stand in; it is left out and named.
    """
    measured = (~np.isnan(values)).any(axis=0)
    keep = measured | ~unlimited.any(axis=0)
    if unlimited.any():
        lowest = np.full(values.shape[1], np.nan, dtype=np.float32)
        lowest[measured] = np.nanmin(values[:, measured], axis=0)
        values = np.where(unlimited, lowest, values)
        values, below = values[:, keep], below[:, keep]
    without = [name for name, kept in zip(features, keep, strict=True) if not kept]
    kept_names = [name for name, kept in zip(features, keep, strict=True) if kept]
    return RawMatrix(keys, kept_names, values, below if below.any() else None, without)
