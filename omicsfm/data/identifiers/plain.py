"""A user's own table of identifiers: columns are namespaces, a row is one thing, ``;`` parts several ids.

olink_id,uniprot,protein_symbol
OID20049,P01375,TNF
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from omicsfm.data.identifiers.table import Row
from omicsfm.errors import InputError, closest
from omicsfm.namespaces import NAMESPACES, canonical

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


def read_plain(path: Path, columns: Mapping[str, str] | None = None) -> list[Row]:
    """Rows of an IdentifierTable. ``columns`` says which column holds a namespace, where the name is another.

    Raises:
        InputError: The file is unreadable, or fewer than two columns are namespaces.
    """
    try:
        table = pd.read_csv(
            path, sep=SEPARATORS[path.suffix.lower()], dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable table ({' '.join(str(error).split())}).") from None
    named = {name: name for name in table.columns if name in NAMESPACES and name != "local"} | dict(columns or {})
    for namespace, column in named.items():
        if namespace not in NAMESPACES:
            raise InputError(f"{path}: '{namespace}' is no namespace; {closest(namespace, NAMESPACES)}.")
        if column not in table:
            raise InputError(f"{path}: has no column '{column}'; {closest(column, table.columns)}.")
    if len(named) < 2:
        raise InputError(
            f"{path}: a table of identifiers needs two columns that are namespaces, found {', '.join(named) or 'none'} "
            f"among {', '.join(map(str, table.columns))}. Rename its columns, or say which is which: "
            "--columns uniprot=UniProtID olink_id=OlinkID."
        )
    rows: list[Row] = []
    for namespace, column in named.items():
        for number, cell in enumerate(table[column]):
            for part in cell.split(";"):
                if part.strip():
                    rows.append((f"{path.stem}:{number + 1}", namespace, canonical(namespace, part), "approved"))
    return rows
