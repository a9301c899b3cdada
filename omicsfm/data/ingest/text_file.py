"""A look at a CSV or TSV file before it is read: every line has the cells of the header, and none is endless.

pandas fills a short row with empty cells and cuts a long one; both would be measurements that nobody made.
"""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import TextIOWrapper
from itertools import chain
from pathlib import Path

from omicsfm.errors import InputError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
MAX_LINE = 1 << 25
"""Characters of a line: a million cells of thirty characters each."""
MAX_COLUMNS = 2_000_000
MAX_GZIP_RATIO = 400
"""Inflated bytes per byte of gzip beyond which a table is none; zeros alone reach 1000, tables of numbers 30."""
ALWAYS_INFLATED = 1 << 28  # bytes; before that the ratio does not matter


def separator_of(path: Path) -> str:
    """What separates the cells, by the name of the file."""
    return SEPARATORS[Path(path.name.lower().removesuffix(".gz")).suffix]


def text_columns(path: Path) -> list[str]:
    """Column names of a text table as they stand in the file, repeats included.

    Raises:
        InputError: The file is empty, a row has another number of cells than the header, a line has no end, or the
            file inflates to far more than a table would.
        OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error: The file cannot be read.
    """
    state = path.stat()
    return list(_columns(path, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=64)
def _columns(path: Path, size: int, changed: int) -> tuple[str, ...]:
    """The same, once for each state of the file: readers ask again for every pass."""
    with _lines(path) as lines:
        rows = _cell_counts(path, lines)
        first = next((row for row in csv.reader(lines, delimiter=separator_of(path)) if row), [])
        if not any(name.strip() for name in first):
            raise InputError(f"{path}: the file is empty.")
        names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(first)]
        expected = None
        for number, cells in rows:
            if expected is None and cells == len(names) + 1:  # R's write.table names no column for the row names
                names = ["Unnamed: 0", *names]
            expected = len(names)
            if cells != expected:
                raise InputError(
                    f"{path}: the header names {expected:,} columns, but row {number:,} has {cells:,} cells. The file "
                    "looks truncated, its separator is not what its name says, or a cell holds a separator without "
                    "quotes."
                )
    return tuple(names)


def _cell_counts(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, int]]:
    """Number (from 1) and cells of each row; blank lines are no rows."""
    separator, number = separator_of(path), 0
    for line in lines:
        if '"' in line:  # from here on cells may hold separators and line ends
            for row in csv.reader(chain([line], lines), delimiter=separator):
                if any(cell.strip(" ") for cell in row) or len(row) > 1:
                    number += 1
                    yield number, len(row)
            return
        if line.strip(" \r\n"):
            number += 1
            yield number, line.count(separator) + 1


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    with path.open("rb") as raw:
        packed = path.name.lower().endswith(".gz")
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        with TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:  # type: ignore[arg-type]
            yield _bounded(path, text, raw if packed else None)


def _bounded(path: Path, text: TextIOWrapper, raw: object) -> Iterator[str]:
    inflated, separator = 0, separator_of(path)
    while line := text.readline(MAX_LINE):
        inflated += len(line)
        if len(line) >= MAX_LINE or line.count(separator) >= MAX_COLUMNS:
            raise InputError(
                f"{path}: a line of more than {MAX_LINE:,} characters or {MAX_COLUMNS:,} cells; this is no table."
            )
        if "\0" in line:
            raise InputError(f"{path}: holds NUL characters, so it is no UTF-8 text. Save it as UTF-8.")
        if raw is not None and inflated > ALWAYS_INFLATED and inflated > MAX_GZIP_RATIO * raw.tell():  # type: ignore[attr-defined]
            raise InputError(
                f"{path}: inflates to more than {inflated / 1e9:.1f} GB from {path.stat().st_size / 1e6:,.1f} MB, more "
                f"than {MAX_GZIP_RATIO} times its size. If this is a table indeed, unpack it first."
            )
        yield line
