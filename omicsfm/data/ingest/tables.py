"""Tables from CSV, TSV, Parquet, .h5ad and .h5mu files, with one clear error for a file that cannot be read."""

import csv
import gzip
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from omicsfm.data.ingest.annotated_file import AnnotatedFile
from omicsfm.data.ingest.inflation import refuse_inflation
from omicsfm.data.ingest.text_file import SEPARATORS, separator_of, text_columns
from omicsfm.errors import InputError

UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls the index of a Parquet table that had no name."""
CHUNK_CELLS = 4_000_000  # of a table read in full; a chunk takes some 60 bytes a cell while it is read
PARQUET_BUFFER = 1 << 16  # bytes of each column that are read ahead
ZARR_WAY_OUT = "A zarr folder is written as one file with anndata: read_zarr(FOLDER).write_h5ad(FILE)."
SUPPORTED = ".csv, .tsv, .txt (also .gz), .parquet, .h5ad, .h5mu"


def kind_of(path: Path) -> str:
    """The file's kind: 'text', 'parquet', 'h5ad' or 'h5mu'.

    Raises:
        InputError: The name ends otherwise.
    """
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix in SEPARATORS:
        return "text"
    if suffix in (".parquet", ".h5ad", ".h5mu") and not path.name.lower().endswith(".gz"):
        return suffix[1:]
    raise InputError(
        f"{path}: files ending in '{path.suffix}' are not read; supported: {SUPPORTED}."
        + (f" {ZARR_WAY_OUT}" if suffix == ".zarr" else "")
    )


def refuse_missing(path: Path) -> None:
    """A file must be there, and be one.

    Raises:
        InputError: It is not, or it is a folder, as zarr stores are.
    """
    if path.is_dir():
        zarr = f" {ZARR_WAY_OUT}" if path.suffix.lower() == ".zarr" else ""
        raise InputError(f"{path}: is a folder, expected a file ({SUPPORTED}).{zarr}")
    if not path.is_file():
        raise InputError(f"{path}: no such file.")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn every way in which a file can be unreadable into one InputError that names it."""
    refuse_missing(path)
    try:
        yield
    except InputError:
        raise
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the file is truncated or not a gzip file ({error}). Copy it again.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start:,}). Save it as UTF-8."
        ) from None
    except (OSError, ValueError, pd.errors.ParserError, csv.Error) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as {kind_of(path)} ({detail}). Is it damaged or truncated?") from None


def header_of(path: Path) -> list[str]:
    """Column names of a text or Parquet table as they stand in the file, repeats included.

    Raises:
        InputError: The file is unreadable, empty or truncated.
    """
    if kind_of(path) == "parquet":
        import pyarrow.parquet

        with readable(path):
            declared = pyarrow.parquet.read_metadata(path)
            cells = declared.num_rows * declared.num_columns
            refuse_inflation(cells, path.stat().st_size, f"{path}: the table")
            names = [str(name) for name in declared.schema.to_arrow_schema().names]
        return [name for name in names if not UNNAMED_INDEX.fullmatch(name)]
    with readable(path):
        return text_columns(path)


def numbered(names: list[str]) -> list[str]:
    """The names with repeats told apart: X, X.1, X.2, skipping numbers that are names already."""
    taken, told_apart = set(names), []
    seen: set[str] = set()
    for name in names:
        new, number = name, 0
        while new in seen or (number and new in taken):
            number += 1
            new = f"{name}.{number}"
        seen.add(new)
        told_apart.append(new)
    return told_apart


def repeated_in(names: list[str]) -> list[str]:
    """Names that appear more than once, each once."""
    return [name for name, count in Counter(names).items() if count > 1]


def read_table(path: Path) -> pd.DataFrame:
    """A table with its columns named as in the file, repeats numbered.

    Every column of a text file is read as text, so that '007' stays '007'. Of a .h5ad or .h5mu the table is ``.obs``,
    its index the first column.

    Raises:
        InputError: The file is missing, unreadable, truncated, or has no rows.
    """
    if kind_of(path) in ("h5ad", "h5mu"):
        table = AnnotatedFile(path).obs()
        if not len(table):
            raise InputError(f"{path}: there are no observations.")
        return table
    names = numbered(header_of(path))
    return read_columns(path, names, text=names)


def read_columns(path: Path, columns: list[str], *, text: list[str]) -> pd.DataFrame:
    """Some columns of a text or Parquet table in full, in this order; of a text file those in ``text`` as text.

    Raises:
        InputError: The file is unreadable, truncated, or has no rows.
    """
    found = list(table_chunks(path, columns, rows=CHUNK_CELLS // max(len(columns), 1) + 1, text=text))
    return pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]


def table_chunks(path: Path, columns: list[str], *, rows: int, text: list[str] | None = None) -> Iterator[pd.DataFrame]:
    """The rows of a text or Parquet table, at most ``rows`` at a time, with these columns in this order.

    Raises:
        InputError: The file is unreadable, truncated, or has no rows.
    """
    chunks = _text_chunks(path, columns, rows, text or []) if kind_of(path) == "text" else _parquet(path, columns, rows)
    empty = True
    with readable(path):
        for chunk in chunks:
            if len(chunk):
                empty = False
                yield chunk[columns] if list(chunk.columns) != columns else chunk
    if empty:
        raise InputError(f"{path}: the table has a header but no rows.")


def _text_chunks(path: Path, columns: list[str], rows: int, text: list[str]) -> Iterator[pd.DataFrame]:
    names = numbered(header_of(path))
    as_text: Any = {name: str for name in text if name in columns}
    chosen = None if len(columns) == len(names) else columns
    with pd.read_csv(
        path,
        sep=separator_of(path),
        dtype=as_text,
        header=0,
        names=names,
        usecols=chosen,
        index_col=False,
        low_memory=False,
        chunksize=rows,
    ) as reader:
        yield from reader


def _parquet(path: Path, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, buffer_size=PARQUET_BUFFER) as file:
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            yield pyarrow.Table.from_batches([batch]).replace_schema_metadata(None).to_pandas()
