"""IdentifierTable: what bears which ids, in one frozen file with its sources, licences and checksum.

The file is parquet with four columns: ``entity``, the thing meant (a gene, a compound, a reagent, a row of a user's
table); ``namespace`` and ``id``, one of its ids in canonical form; ``kind``, how the id belongs to it:

    approved    it stands for the entity
    previous    it once stood for it
    alias       it is also called so
    withdrawn   the authority took the id back; the entity, if it still has an approved id, is the successor

The sources are in the file's metadata, with the SHA-256 of the rows.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from omicsfm.data.identifiers.resolve import Links, resolve
from omicsfm.errors import InputError
from omicsfm.placement import Meaning

FORMAT = 1
KEY = b"omicsfm.identifiers"
COLUMNS = ("entity", "namespace", "id", "kind")
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Source:
    """Where rows of a table come from."""

    name: str
    """Package or file."""
    version: str
    sha256: str
    """Of the wheel or file they were read from."""
    licence: str


@dataclass(frozen=True)
class IdentifierTable:
    """Ids of several namespaces and what bears them; translates ids of one namespace into another."""

    rows: pd.DataFrame
    sources: tuple[Source, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the rows."""
        text = "\f".join("\n".join(self.rows[column]) for column in COLUMNS)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces that the table knows ids of."""
        return tuple(sorted(self.rows["namespace"].unique()))

    @cached_property
    def _links(self) -> Links:
        return Links(self.rows)

    def translate(self, ids: Sequence[str], source: str, target: str) -> list[Meaning]:
        """What each id of namespace ``source`` is in namespace ``target``, by the rules of ``resolve``."""
        return [resolve(self._links, feature, source, target) for feature in ids]

    def record(self) -> dict[str, Any]:
        """What a manifest keeps: sources with versions and checksums, and the fingerprint of the rows."""
        return {"fingerprint": self.fingerprint, "sources": [asdict(source) for source in self.sources]}

    def write(self, path: Path) -> None:
        """Write the table under a temporary name, then rename it.

        Raises:
            InputError: The file cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        said = {"format": FORMAT, **self.record()}
        columns = {column: pa.array(self.rows[column], pa.string()) for column in COLUMNS}
        table = pa.table(columns, metadata={KEY: json.dumps(said).encode()})
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, partial, compression="zstd")
            partial.replace(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from None
        finally:
            partial.unlink(missing_ok=True)


def read_frozen(path: Path) -> IdentifierTable:
    """Read a file that ``IdentifierTable.write`` wrote.

    Raises:
        InputError: It is not one, it is damaged, was edited, or a newer omicsfm wrote it.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        said: Mapping[str, Any] = json.loads((table.schema.metadata or {})[KEY])
        rows = table.to_pandas()
        sources = tuple(Source(**source) for source in said["sources"])
        newer = int(said["format"]) > FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a table of identifiers ({' '.join(str(error).split()) or type(error).__name__}). Make one "
            "with: omicsfm identifiers build OUT.parquet --from SOURCE, or name a .csv or .tsv whose columns are "
            "namespaces."
        ) from None
    if newer:
        raise InputError(f"{path}: written in format {said['format']}; this omicsfm reads up to {FORMAT}. Update it.")
    own = IdentifierTable(rows, sources)
    if own.fingerprint != said["fingerprint"]:
        raise InputError(f"{path}: was edited after it was written (SHA-256 of its rows). Build it again.")
    return own


def in_order(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows of a table, each once and sorted, so that equal content has an equal fingerprint."""
    return pd.DataFrame(sorted(set(rows)), columns=list(COLUMNS), dtype=object)
