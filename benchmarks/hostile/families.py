"""The families of cases: each draws one, asks the intake, and raises ``Wrong`` (or lets the traceback through)."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from benchmarks.hostile.annotated import Annotated, compare_annotated
from benchmarks.hostile.answer import Wrong, answer, guarded
from benchmarks.hostile.descriptions import write_description
from benchmarks.hostile.simple_reading import compare_tables
from benchmarks.hostile.tables import Tables
from omicsfm.data.ingest.rehearsal import rehearse
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_files import check_all_files
from omicsfm.errors import InputError

Answer = OmicsStore | str
Draw = Callable[[st.SearchStrategy[Any]], Any]


def ask_tables(tables: Tables, folder: Path) -> Answer:
    """Text tables with a yaml."""
    found = answer(tables.write(folder), _out(folder))
    if isinstance(found, OmicsStore):
        compare_tables(found, folder, tables)
    elif not tables.wounds and "bmi: all" not in found and "severe: all" not in found:
        raise Wrong(f"a good cohort was refused: {found}")
    return found


def ask_annotated(own: Annotated, folder: Path) -> Answer:
    """A .h5ad; one with hurt bytes comes through the rehearsal, as in the console script."""
    path = own.write(folder)
    if own.hurts:
        try:
            rehearse(path)
        except InputError as error:
            return str(error)
    found = answer(path, _out(folder))
    if isinstance(found, OmicsStore):
        compare_annotated(found, own)
    elif not own.wounds and own.values.dtype.kind in "fiub" and own.values.any():
        raise Wrong(f"a good cohort was refused: {found}")
    return found


def ask_description(drawn: tuple[str, list[str]], folder: Path) -> Answer:
    """A yaml beside good tables."""
    found = answer(write_description(drawn[0], folder), _out(folder))
    if isinstance(found, str) and not drawn[1]:
        raise Wrong(f"a good cohort was refused: {found}")
    return found


def ask_parquet(table: pd.DataFrame, folder: Path) -> Answer:
    """A matrix in Parquet with a column of any kind."""
    good = "\n".join(["subject,timepoint,day", *(f"S{n},V1,0" for n in range(len(table)))])
    (folder / "clinical.csv").write_text(good + "\n")
    table.to_parquet(folder / "m.parquet")
    said = {
        "name": "drawn",
        "visits": {"path": "clinical.csv", "participant_id": "subject", "visit": "timepoint", "time_days": "day"},
        "modalities": {"proteome": {"path": "m.parquet", "namespace": "local", "scale": "identity"}},
    }
    (folder / "COHORT.yaml").write_text(json.dumps(said))
    return answer(folder / "COHORT.yaml", _out(folder))


@st.composite
def parquet_tables(draw: Draw) -> pd.DataFrame:
    """Good keys, one good feature, and a column of a kind that Parquet knows and a matrix does not."""
    rows = draw(st.integers(1, 6))
    columns = {
        "dates": pd.date_range("2020-01-01", periods=rows, tz=draw(st.sampled_from((None, "UTC")))),
        "lists": [[1, 2]] * rows,
        "records": [{"a": 1}] * rows,
        "bytes": [b"\xff\x00"] * rows,
        "booleans": [True] * rows,
        "large": [2**63 - 1] * rows,
        "nullable": pd.array([None] * rows, dtype="Int64"),
        "infinite": [float("inf")] * rows,
        "beyond": [1e308] * rows,
        "categories": pd.Categorical(["a"] * rows),
        "numbers": pd.Categorical([1.5] * rows),
        "text": ["<0.5"] * rows,
        "half": pd.Series([0.5] * rows).astype("float32"),
    }
    kind = draw(st.sampled_from(sorted(columns)))
    table = pd.DataFrame(
        {"subject": [f"S{n}" for n in range(rows)], "timepoint": "V1", "P0": range(rows), "P1": columns[kind]}
    )
    table.attrs["kind"] = kind
    if draw(st.booleans()):
        table = table.set_index(draw(st.sampled_from((["subject", "timepoint"], ["P0"], "subject"))))
    return table


def ask_edited_store(edit: tuple[int, float, int], folder: Path, whole: OmicsStore) -> Answer:
    """A store of which one byte was changed, somewhere."""
    shutil.copytree(whole.path, folder / "store")
    files = sorted(path for path in (folder / "store").rglob("*") if path.is_file())
    file = files[edit[0] % len(files)]
    content = bytearray(file.read_bytes())
    content[int(edit[1] * len(content))] ^= edit[2]
    file.write_bytes(content)
    try:
        with guarded():
            opened = OmicsStore.open(folder / "store")
            check_all_files(opened.path, opened.manifest)
    except InputError as error:
        return str(error)
    if file.name == "manifest.json" and json.loads(content) == json.loads((whole.path / "manifest.json").read_text()):
        return opened  # a space became a tab
    raise Wrong(f"a byte of {file.name} was changed and nobody noticed")


store_edits = st.tuples(st.integers(0, 100), st.floats(0, 1, exclude_max=True), st.integers(1, 255))


def _out(folder: Path) -> Path:
    (folder / "out").mkdir()
    return folder / "out"
