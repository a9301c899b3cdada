"""Tables from CSV, TSV, Parquet, .h5ad and .h5mu files, with one clear error for a file that cannot be read."""

import csv
import gzip
import hashlib
import lzma
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pandas as pd

from omicsfm.data.ingest.hdf5 import check_hdf5
from omicsfm.errors import InputError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
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
    raise InputError(f"{path}: files ending in '{path.suffix}' are not read; supported: {SUPPORTED}.")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn every way in which a file can be unreadable into one InputError that names it."""
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
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
            return [str(name) for name in pyarrow.parquet.read_schema(path).names]
    with readable(path), _open_text(path) as stream:
        first = next(csv.reader(stream, delimiter=_separator(path)), None)
        return _checked_header(path, first, _last_line(stream))


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


def read_table(path: Path, *, text: bool | list[str] = True) -> pd.DataFrame:
    """A table with its columns named as in the file, repeats numbered.

    ``text`` True reads every column of a text file as text (so that '007' stays '007'), a list only those. Of a
    .h5ad or .h5mu the table is ``.obs``, its index the first column.

    Raises:
        InputError: The file is missing, unreadable, truncated, or has no rows.
    """
    kind = kind_of(path)
    if kind == "text":
        names = numbered(header_of(path))
        as_text: Any = str if text is True else dict.fromkeys(text or [], str)
        with readable(path):
            table = pd.read_csv(
                path, sep=_separator(path), dtype=as_text, header=0, names=names, index_col=False, low_memory=False
            )
    elif kind == "parquet":
        with readable(path):
            table = pd.read_parquet(path)
            if table.index.name is not None:
                table = table.reset_index()
    else:
        table = obs_table(read_annotated(path).obs)
    if not len(table):
        raise InputError(f"{path}: the table has a header but no rows.")
    table.columns = [str(name) for name in table.columns]
    return table.reset_index(drop=True)


def read_annotated(path: Path) -> Any:
    """The AnnData or MuData of a .h5ad or .h5mu, after a look at the file's headers.

    Raises:
        InputError: The file is damaged, refers to other files, or is none of the two.
    """
    check_hdf5(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of the file's format, which is not the user's concern
            if kind_of(path) == "h5ad":
                import anndata

                return anndata.read_h5ad(path)
            import mudata

            with mudata.set_options(pull_on_update=False):
                return mudata.read_h5mu(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path}: not readable as {kind_of(path)} ({' '.join(str(error).split())}).") from None


def obs_table(obs: pd.DataFrame) -> pd.DataFrame:
    """The observations with their index as the first column (named 'obs_names' where it has no name)."""
    name = str(obs.index.name or "obs_names")
    if name in obs.columns:
        return obs.reset_index(drop=True)
    return obs.rename_axis(name).reset_index()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with readable(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _separator(path: Path) -> str:
    return SEPARATORS[Path(path.name.lower().removesuffix(".gz")).suffix]


def _open_text(path: Path) -> TextIOWrapper:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _last_line(stream: TextIOWrapper) -> str:
    last = ""
    for line in stream:
        last = line if line.strip() else last
    return last


def _checked_header(path: Path, first: list[str] | None, last: str) -> list[str]:
    if first is None or not any(name.strip() for name in first):
        raise InputError(f"{path}: the file is empty.")
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(first)]
    if last and last.count('"') % 2 == 0:  # an odd count ends a quoted cell that spans lines
        cells = next(csv.reader([last], delimiter=_separator(path)))
        if len(cells) == len(names) + 1:  # R's write.table names no column for the row names
            names = ["Unnamed: 0", *names]
        elif len(cells) != len(names):
            raise InputError(
                f"{path}: the header names {len(names):,} columns, the last row has {len(cells):,}. The file looks "
                f"truncated, "
                "or its separator is not what its name says."
            )
    return names
