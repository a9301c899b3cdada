"""Cohorts of two text tables and a yaml, hurt in up to three places, by hypothesis."""

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from benchmarks.hostile.cells import CELLS

Draw = Callable[[st.SearchStrategy[Any]], Any]
SCALES = ("counts", "tpm", "raw", "log2", "log10", "ln", "relative_abundance", "identity")
ENDS = ("\n", "\r\n", "\r")


@dataclass
class Tables:
    """What is written, and what was done to it."""

    clinical: list[list[str]]
    matrix: list[list[str]]
    said: dict[str, Any]
    wounds: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=lambda: ["\n"])
    quoting: int = csv.QUOTE_MINIMAL
    bom: bool = False
    spoil: Callable[[bytes], bytes] = bytes
    """Applied to the bytes of the matrix file."""

    @property
    def modality(self) -> dict[str, Any]:
        return self.said["modalities"]["proteome"]

    def write(self, folder: Path) -> Path:
        """Write the tables; returns the COHORT.yaml."""
        (folder / "clinical.csv").write_bytes(self._bytes(self.clinical, ","))
        name = self.modality["path"]
        matrix = self._bytes(self.matrix, "," if ".csv" in name else "\t")
        if name.endswith(".gz"):
            matrix = gzip.compress(matrix, mtime=0)
        (folder / name).write_bytes(self.spoil(matrix))
        (folder / "COHORT.yaml").write_text(yaml.safe_dump(self.said, sort_keys=False, allow_unicode=True), "utf-8")
        return folder / "COHORT.yaml"

    def _bytes(self, table: list[list[str]], separator: str) -> bytes:
        lines = []
        for number, row in enumerate(table):
            line = io.StringIO()
            csv.writer(line, delimiter=separator, quoting=self.quoting, lineterminator="").writerow(row)
            lines.append(line.getvalue() + self.ends[number % len(self.ends)])
        return ("\ufeff" * self.bom + "".join(lines)).encode("utf-8", "surrogatepass")


@st.composite
def table_cohorts(draw: Draw) -> Tables:
    """A good cohort of one to five people with one to three visits and one to four features, then hurt."""
    people, visits, features = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    number = st.floats(0.0, 30.0, width=32).map(lambda value: f"{value:.6g}")
    clinical, matrix = [["subject", "timepoint", "day", "bmi", "severe"]], [["subject", "timepoint"]]
    matrix[0] += [f"P{n}" for n in range(features)]
    for person in range(people):
        for visit in range(visits):
            own = [f"S{person}", f"V{visit}"]
            clinical.append([*own, str(90 * visit), f"{20 + person + visit / 8}", ("no", "yes")[(person + visit) % 2]])
            matrix.append([*own, *(draw(number) for _ in range(features))])
    said = {
        "name": "drawn",
        "visits": {"path": "clinical.csv", "participant_id": "subject", "visit": "timepoint", "time_days": "day"},
        "modalities": {
            "proteome": {"path": draw(st.sampled_from(("m.csv", "m.tsv", "m.csv.gz"))), "namespace": "local"}
        },
        "outcomes": {},
    }
    tables = Tables(clinical, matrix, said)
    tables.modality["scale"] = draw(st.sampled_from(("log2", "raw", "identity")))
    if people * visits > 1:
        said["outcomes"]["bmi"] = {"kind": "quantity", "column": "bmi", "level": "visit"}
        said["outcomes"]["severe"] = {"kind": "class", "column": "severe", "level": "visit"}
    for wound in draw(st.lists(st.sampled_from(WOUNDS), max_size=3)):
        tables.wounds.append(wound.__name__)
        wound(draw, tables)
    return tables


def _place(draw: Draw, table: list[list[str]], first: int = 1) -> tuple[int, int]:
    row = draw(st.integers(min(first, len(table) - 1), len(table) - 1))
    return row, draw(st.integers(0, max(len(table[row]) - 1, 0)))


def cell_of_the_matrix(draw: Draw, t: Tables) -> None:
    for _ in range(draw(st.integers(1, 3))):
        row, column = _place(draw, t.matrix)
        t.matrix[row][column:][:1] and t.matrix[row].__setitem__(column, draw(st.sampled_from(CELLS)))


def measured_cell(draw: Draw, t: Tables) -> None:
    row = draw(st.sampled_from(t.matrix))
    if len(row) > 2:
        row[draw(st.integers(2, len(row) - 1))] = draw(
            st.sampled_from(CELLS) | st.floats().map(repr) | st.text(max_size=9)
        )


def cell_of_the_clinical_table(draw: Draw, t: Tables) -> None:
    row, column = _place(draw, t.clinical)
    t.clinical[row][column : column + 1] = [draw(st.sampled_from(CELLS) | st.text(max_size=9))]


def name_of_a_column(draw: Draw, t: Tables) -> None:
    table = draw(st.sampled_from((t.clinical, t.matrix)))
    column = draw(st.integers(0, max(len(table[0]) - 1, 0)))
    table[0][column : column + 1] = [draw(st.sampled_from((*CELLS, "day", "subject", "P0")) | st.text(max_size=9))]


def row_twice(draw: Draw, t: Tables) -> None:
    table = draw(st.sampled_from((t.clinical, t.matrix)))
    table.append(list(table[draw(st.integers(0, len(table) - 1))]))


def rows_missing(draw: Draw, t: Tables) -> None:
    table = draw(st.sampled_from((t.clinical, t.matrix)))
    del table[draw(st.integers(0, len(table))) :]
    table[:] = table or [[]]


def rows_in_another_order(draw: Draw, t: Tables) -> None:
    t.matrix[1:] = draw(st.permutations(t.matrix[1:]))


def columns_in_another_order(draw: Draw, t: Tables) -> None:
    order = draw(st.permutations(range(len(t.matrix[0]))))
    t.matrix[:] = [[row[place] for place in order if place < len(row)] for row in t.matrix]


def column_missing(draw: Draw, t: Tables) -> None:
    table = draw(st.sampled_from((t.clinical, t.matrix)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(table[0]) - 1, 0)))
        table[:] = [row[:place] + row[place + 1 :] for row in table]


def column_more(draw: Draw, t: Tables) -> None:
    cells = draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3))
    for number, row in enumerate(t.matrix):
        row.append("more" if not number else cells[number % len(cells)])


def ragged_row(draw: Draw, t: Tables) -> None:
    table = draw(st.sampled_from((t.clinical, t.matrix)))
    row = draw(st.sampled_from(table))
    row[len(row) - draw(st.integers(-2, 2)) :] = draw(st.lists(st.just("1"), max_size=2))


def limits_declared(draw: Draw, t: Tables) -> None:
    said = draw(st.sampled_from(("<LOD", ["<LOD", "n.d."], "0", "", {"<LOD": 0.5}, {"<LOD": "x"}, 1e308, [None], True)))
    t.modality["below_limit"] = said
    for row in t.matrix[1:]:
        if len(row) > 2 and draw(st.booleans()):
            row[-1] = "<LOD"


def another_scale(draw: Draw, t: Tables) -> None:
    t.modality["scale"] = draw(st.sampled_from(SCALES))


def mixed_line_ends(draw: Draw, t: Tables) -> None:
    t.ends = draw(st.lists(st.sampled_from((*ENDS, "\n\n", "\r\n\r\n", " \n", "")), min_size=1, max_size=4))


def byte_order_mark(draw: Draw, t: Tables) -> None:
    t.bom = True


def quotes(draw: Draw, t: Tables) -> None:
    t.quoting = draw(st.sampled_from((csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)))


def another_kind_of_file(draw: Draw, t: Tables) -> None:
    t.modality["path"] = draw(
        st.sampled_from(("m.txt", "m.tab.gz", "m.parquet", "m.h5ad", "m.csv.gz.gz", "m", "m.xlsx"))
    )


def cut_file(draw: Draw, t: Tables) -> None:
    share = draw(st.floats(0, 1))
    t.spoil = lambda whole: whole[: int(share * len(whole))]


def hurt_bytes(draw: Draw, t: Tables) -> None:
    hurts = draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))

    def spoil(whole: bytes) -> bytes:
        own = bytearray(whole)
        for place, byte in hurts if own else ():
            own[int(place * len(own))] = byte
        return bytes(own)

    t.spoil = spoil


def another_encoding(draw: Draw, t: Tables) -> None:
    code = draw(st.sampled_from(("utf-16", "utf-16-le", "utf-32", "latin-1", "cp037")))
    t.spoil = lambda whole: whole.decode("utf-8", "replace").encode(code, "replace")


WOUNDS = (
    cell_of_the_matrix, measured_cell, measured_cell, cell_of_the_clinical_table, name_of_a_column, row_twice,
    rows_missing, rows_in_another_order, columns_in_another_order, column_missing, column_more, ragged_row,
    limits_declared, another_scale, mixed_line_ends, byte_order_mark, quotes, another_kind_of_file, cut_file,
    hurt_bytes,
    another_encoding,
)  # fmt: skip
