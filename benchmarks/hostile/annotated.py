"""Drawn .h5ad files that hold their own mapping, good or hurt in their arrays, tables, mapping or bytes."""

import json
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

from benchmarks.hostile.answer import Wrong
from benchmarks.hostile.cells import CELLS
from omicsfm.data.store import OmicsStore

Draw = Callable[[st.SearchStrategy[Any]], Any]
DTYPES = ("f4", "f8", "f2", "i4", "u1", "i8", "?", "c8", "S4")
STORED = ("dense", "csr", "csc")
SPECIAL = (np.nan, np.inf, -np.inf, 1e308, -1e308, -5.0, 0.5, 2.0**53, 1e-300, 65504.0)
ODD = (None, True, -1, 0, 1.5, "", "x", [], {}, [[]], {"a": {"b": 1}}, "(", "../x", 10**30, ["a", None], float("nan"))
"""What a mapping may hold in the place of what it should."""


@dataclass
class Annotated:
    """What is written, and what was done to it."""

    values: np.ndarray
    stored: str
    obs: pd.DataFrame
    names: list[str]
    said: Any
    below: np.ndarray | None = None
    hurts: list[tuple[float, int]] = field(default_factory=list)
    wounds: list[str] = field(default_factory=list)
    change: list[Callable[[h5py.File], None]] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write the file; returns its path."""
        path = folder / "cohort.h5ad"
        numbers = self.values.dtype not in ("S4", "f2") and self.stored != "dense"
        values = sparse.csr_matrix(self.values) if numbers else self.values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = anndata.AnnData(None, self.obs, pd.DataFrame(index=self.names))
            whole.uns["omicsfm"] = self.said if isinstance(self.said, str) else json.dumps(self.said)
            if self.below is not None:
                whole.layers["below_limit"] = self.below
            whole.write(path)
        with h5py.File(path, "a") as file:
            anndata.io.write_elem(file, "X", values.tocsc() if self.stored == "csc" and numbers else values)
            for change in self.change:
                change(file)
        if self.hurts:
            whole_bytes = bytearray(path.read_bytes())
            for place, byte in self.hurts:
                whole_bytes[int(place * len(whole_bytes))] = byte
            path.write_bytes(whole_bytes)
        return path


@st.composite
def annotated_cohorts(draw: Draw) -> Annotated:
    """One to eight visits and one to four features in a .h5ad, then hurt in up to two places."""
    rows, width = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    numbers = np.array([[draw(st.integers(0, 20)) for _ in range(width)] for _ in range(rows)])
    obs = pd.DataFrame(
        {"participant_id": [f"S{n}" for n in range(rows)], "visit": "1", "time_days": 0.0},
        index=[f"r{n}" for n in range(rows)],
    )
    said = {
        "modalities": {
            "proteome": {"namespace": "local", "scale": draw(st.sampled_from(("identity", "raw", "counts")))}
        }
    }
    own = Annotated(numbers.astype(dtype), draw(st.sampled_from(STORED)), obs, [f"F{n}" for n in range(width)], said)
    for wound in draw(st.lists(st.sampled_from(WOUNDS), max_size=2)):
        own.wounds.append(wound.__name__)
        wound(draw, own)
    return own


def compare_annotated(store: OmicsStore, own: Annotated) -> None:
    """The values of the store are those of the array, where nothing but values was changed.

    Raises:
        Wrong: They are not, or the array should have been refused.
    """
    if own.values.dtype.kind not in "fiub":
        raise Wrong(f"an array of {own.values.dtype} was accepted")
    if set(own.wounds) - {"special_values", "flags"}:
        return
    with np.errstate(over="ignore"):
        expected = own.values.astype(np.float32)
    if np.isinf(expected).any():
        raise Wrong("an infinite value was accepted")
    kept = ~np.isnan(expected).all(axis=1) | (own.stored != "dense")
    values, below = store.modalities["proteome"].read(np.arange(len(store)))
    if store.visits["participant_id"].tolist() != own.obs["participant_id"][kept].tolist():
        raise Wrong(f"the store has visits {store.visits['participant_id'].tolist()}")
    if not np.array_equal(values, expected[kept], equal_nan=True):
        raise Wrong(f"values are {values.tolist()}, the file has {expected.tolist()}")
    if own.below is not None and not np.array_equal(below, own.below.astype(bool)[kept]):
        raise Wrong("flags differ from the file's")


def special_values(draw: Draw, own: Annotated) -> None:
    if own.values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            place = draw(st.integers(0, own.values.size - 1))
            own.values.flat[place] = np.asarray(draw(st.sampled_from(SPECIAL))).astype(own.values.dtype)


def flags(draw: Draw, own: Annotated) -> None:
    shape, kind = own.values.shape, draw(st.sampled_from(("?", "u1", "f4")))
    own.below = np.array([[draw(st.integers(0, 1)) for _ in range(shape[1])] for _ in range(shape[0])]).astype(kind)


def ids(draw: Draw, own: Annotated) -> None:
    column = draw(st.sampled_from(("participant_id", "visit", "time_days")))
    rows = len(own.obs)
    cells = draw(
        st.lists(
            st.sampled_from((*CELLS, None)).filter(lambda c: c is None or "\0" not in c), min_size=rows, max_size=rows
        )
    )
    kind = draw(st.sampled_from(("text", "categories", "integers", "floats", "booleans", "nullable")))
    own.obs[column] = {
        "text": pd.Series([c or "" for c in cells], index=own.obs.index),
        "categories": pd.Series(pd.Categorical(cells), index=own.obs.index),
        "integers": np.arange(rows),
        "floats": np.where(np.arange(rows) % 2, np.nan, 1.5),
        "booleans": np.arange(rows) % 2 == 0,
        "nullable": pd.array([None, *range(rows - 1)], dtype="Int64"),
    }[kind]


def names(draw: Draw, own: Annotated) -> None:
    place = draw(st.integers(0, len(own.names) - 1))
    own.names[place] = draw(st.sampled_from(CELLS).filter(lambda c: "\0" not in c) | st.just("F0"))


def part_of_a_mapping(draw: Draw, own: Annotated) -> None:
    keys = ("name", "visits", "modalities", "outcomes", "subgroups", "require", "policy", "clinical", "people", "x")
    if not isinstance(own.said, dict):
        return
    if draw(st.booleans()):
        own.said[draw(st.sampled_from(keys))] = deepcopy(draw(st.sampled_from(ODD)))
    elif isinstance(own.said["modalities"], dict) and isinstance(own.said["modalities"].get("proteome"), dict):
        known = (
            "path",
            "namespace",
            "scale",
            "layout",
            "key",
            "features",
            "layer",
            "columns",
            "drop",
            "allow",
            "where",
        )
        key = draw(st.sampled_from((*known, "below_limit", "repeated_features", "platform")))
        own.said["modalities"]["proteome"][key] = deepcopy(draw(st.sampled_from(ODD)))


def no_mapping(draw: Draw, own: Annotated) -> None:
    own.said = draw(st.sampled_from(("", "{", "[]", "null", "1", "[" * 5000, '{"modalities": {}}', "💉", "NaN")))


def entry_missing(draw: Draw, own: Annotated) -> None:
    name = draw(
        st.sampled_from(("obs", "var", "uns", "X", "layers", "obs/_index", "var/_index", "obs/visit", "X/data"))
    )
    own.change.append(lambda file: file.__delitem__(name) if name in file else None)


def another_array(draw: Draw, own: Annotated) -> None:
    name = draw(
        st.sampled_from(
            ("X", "obs", "var", "obs/_index", "obs/visit", "X/data", "X/indices", "X/indptr", "uns/omicsfm")
        )
    )
    arrays = (
        np.array(1.0),
        np.ones(3),
        np.ones((2, 2, 2)),
        np.array([-1, 5, 2**40]),
        np.array([b"a", b"b"]),
        np.zeros((0, 3)),
    )
    array = draw(st.sampled_from(arrays))

    def change(file: h5py.File) -> None:
        if name in file:
            said = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, data=array).attrs.update(said)

    own.change.append(change)


def another_attribute(draw: Draw, own: Annotated) -> None:
    name = draw(st.sampled_from(("X", "obs", "var", "/", "obs/visit", "uns/omicsfm", "layers")))
    key = draw(st.sampled_from(("encoding-type", "encoding-version", "shape", "_index", "column-order")))
    value = draw(
        st.sampled_from(
            (
                "",
                "dataframe",
                "csr_matrix",
                "nullable-integer",
                "rec-array",
                "awkward-array",
                7,
                [2**40, 2],
                [1],
                ["visit", "no"],
            )
        )
    )

    def change(file: h5py.File) -> None:
        if name in file:
            file[name].attrs[key] = value

    own.change.append(change)


def hurt_bytes(draw: Draw, own: Annotated) -> None:
    own.hurts = draw(
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3)
    )


WOUNDS = (
    special_values, special_values, flags, ids, ids, names, part_of_a_mapping, part_of_a_mapping, no_mapping,
    entry_missing,
    another_array, another_attribute, hurt_bytes,
)  # fmt: skip
