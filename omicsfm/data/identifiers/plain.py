"""A user's own table of identifiers: columns are namespaces, a row is one thing, ``;`` parts several ids.

olink_id,uniprot,protein_symbol
OID20049,P01375,TNF
"""

from collections.abc import Mapping
from pathlib import Path

from omicsfm.data.identifiers.table import Row
from omicsfm.data.ingest.columns import as_text
from omicsfm.data.ingest.tables import read_table
from omicsfm.errors import InputError, closest
from omicsfm.namespaces import NAMESPACES, canonical, likely_namespaces

FORM_MIN = 0.5  # share of a column's ids that have the form of its namespace, below which it holds something else


def read_plain(path: Path, columns: Mapping[str, str] | None = None) -> list[Row]:
    """Rows of an IdentifierTable. ``columns`` says which column holds a namespace, where the name is another.

    Raises:
        InputError: The file is unreadable, fewer than two columns are namespaces, or one holds other ids than it says.
    """
    table = read_table(path)
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
        own: list[Row] = []
        for number, cell in enumerate(as_text(table[column])):
            parts = [part.strip() for part in cell.split(";")] if cell is not None else []
            own += [(f"{path.stem}:{number + 1}", namespace, part, "approved") for part in parts if part]
        _check_form(path, namespace, column, [row[2] for row in own])
        rows += [(entity, namespace, canonical(namespace, feature), kind) for entity, _, feature, kind in own]
    return rows


def _check_form(path: Path, namespace: str, column: str, ids: list[str]) -> None:
    form = NAMESPACES[namespace]
    odd = [feature for feature in ids if form is not None and not form.fullmatch(feature)]
    if len(odd) > FORM_MIN * len(ids):
        likely = likely_namespaces(ids)
        raise InputError(
            f"{path}: column '{column}': {len(odd):,} of {len(ids):,} ids do not have the form of {namespace} (first "
            f"'{odd[0]}')" + (f"; they look like {' or '.join(likely)}." if likely else ".") + " Name the column right."
        )
