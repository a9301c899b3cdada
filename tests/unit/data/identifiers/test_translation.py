"""The rules by which an id becomes another: what is resolved, what is ambiguous, what was withdrawn."""

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from omicsfm.data.identifiers import hgnc
from omicsfm.data.identifiers.table import IdentifierTable, in_order
from omicsfm.placement import Meaning

UNKNOWN = Meaning()


def meaning(table: IdentifierTable, feature: str, source: str, target: str) -> Meaning:
    return table.translate([feature], source, target)[0]


@pytest.mark.parametrize(
    ("feature", "source", "target", "becomes"),
    [
        ("TNF", "hgnc_symbol", "ensembl_gene", "ENSG00000232810"),
        ("ENSG00000232810.12", "ensembl_gene", "hgnc_symbol", "TNF"),
        ("7124", "entrez", "hgnc_symbol", "TNF"),
        ("LOC7124", "hgnc_symbol", "hgnc_symbol", "TNF"),
        ("TNFA", "protein_symbol", "uniprot", "P01375"),
        ("P01375", "uniprot", "protein_symbol", "TNF"),
        ("P01375-2", "uniprot", "hgnc_symbol", "TNF"),
        ("tumor necrosis factor", "gene_name", "protein_symbol", "TNF"),
        ("HGNC:11892", "hgnc_id", "entrez", "7124"),
        ("A0A000;P01375-2;P01375", "uniprot", "protein_symbol", "TNF"),
        ("2780-35_3", "somascan_seqid", "uniprot", "P01375"),
        ("seq.2780.35", "somascan_seqid", "protein_symbol", "TNF"),
        ("Citrate", "metabolite_name", "chebi", "CHEBI:30769"),
        ("CHEBI:16947", "chebi", "chebi", "CHEBI:30769"),
        ("CHEBI:3727", "chebi", "hmdb", "HMDB0000094"),
        ("lactic acid", "metabolite_name", "chebi", "CHEBI:24996"),
        ("L-leucine", "metabolite_name", "hmdb", "HMDB0000687"),
        ("HMDB00094", "hmdb", "chebi", "CHEBI:30769"),
        ("Blood sugar*", "metabolite_name", "chebi", "CHEBI:17234"),
    ],
)
def test_an_id_becomes_another_of_the_same_thing(
    table: IdentifierTable, feature: str, source: str, target: str, becomes: str
) -> None:
    assert meaning(table, feature, source, target).ids == (becomes,)
    assert not meaning(table, feature, source, target).ambiguous


@pytest.mark.parametrize(
    ("feature", "source", "target", "candidates"),
    [
        ("SEPT2", "hgnc_symbol", "hgnc_symbol", ("SEPTIN2", "SEPTIN6")),  # once one's symbol, and another's alias
        ("CDKN2A", "protein_symbol", "uniprot", ("P42771", "Q8N726")),
        ("Q15019;Q14141", "uniprot", "protein_symbol", ("SEPTIN2", "SEPTIN6")),
        ("10000-28", "somascan_seqid", "protein_symbol", ("SEPTIN2", "SEPTIN6")),
        ("glucose", "metabolite_name", "hmdb", ("HMDB0000122", "HMDB0000516")),
        ("SPLIT", "hgnc_symbol", "entrez", ("23157", "4735")),
    ],
)
def test_what_could_be_several_things_is_ambiguous_and_says_which(
    table: IdentifierTable, feature: str, source: str, target: str, candidates: tuple[str, ...]
) -> None:
    found = meaning(table, feature, source, target)
    assert found.ambiguous
    assert found.ids == candidates


def test_an_approved_symbol_is_its_gene_even_where_another_is_also_called_so(table: IdentifierTable) -> None:
    assert meaning(table, "TNF", "hgnc_symbol", "entrez") == Meaning(("7124",), reused=True)


def test_a_withdrawn_symbol_is_flagged_and_leads_to_its_successors_through_others_that_were_withdrawn(
    table: IdentifierTable,
) -> None:
    assert meaning(table, "A1S9T", "hgnc_symbol", "hgnc_symbol") == Meaning(("UBA1",), withdrawn=True)
    assert meaning(table, "OLD1", "protein_symbol", "protein_symbol") == Meaning(("UBA1",), withdrawn=True)
    assert meaning(table, "HGNC:7", "hgnc_id", "hgnc_symbol") == Meaning(("UBA1",), withdrawn=True)
    assert meaning(table, "A12M1", "hgnc_symbol", "entrez") == Meaning((), withdrawn=True)


def test_a_gene_without_a_protein_has_no_protein_symbol(table: IdentifierTable) -> None:
    assert meaning(table, "A1BG-AS1", "hgnc_symbol", "entrez").ids == ("503538",)
    assert meaning(table, "A1BG-AS1", "protein_symbol", "entrez") == UNKNOWN


def test_what_a_table_does_not_know_is_unknown(table: IdentifierTable) -> None:
    assert table.translate(["NOSUCHGENE"], "hgnc_symbol", "entrez") == [UNKNOWN]
    assert table.translate(["OID20049"], "olink_id", "uniprot") == [UNKNOWN]
    assert table.translate(["unknown RT 4.08"], "metabolite_name", "chebi") == [UNKNOWN]


def test_an_alias_of_two_genes_stays_ambiguous_where_only_one_of_them_has_the_id_asked_for() -> None:
    rows = [("a", "hgnc_symbol", "X", "alias"), ("b", "hgnc_symbol", "X", "alias"), ("a", "entrez", "1", "approved")]
    assert meaning(IdentifierTable(in_order(rows), ()), "X", "hgnc_symbol", "entrez") == Meaning(("1",), ambiguous=True)


def test_every_withdrawn_id_of_hgnc_is_flagged_and_no_ambiguous_alias_is_resolved(
    real_wheel: Path, genes: IdentifierTable
) -> None:
    with zipfile.ZipFile(real_wheel) as archive, archive.open(hgnc.MEMBER) as stream:
        listed = pd.read_csv(stream, sep="\t", dtype=str, keep_default_na=False)
    gone = listed["HGNC ID"][listed["Status"] != "Approved"].tolist()
    assert len(gone) >= 5176
    assert all(found.withdrawn for found in genes.translate(gone, "hgnc_id", "hgnc_symbol"))
    rows = genes.rows[genes.rows["namespace"] == "hgnc_symbol"]
    approved = set(rows["id"][rows["kind"] == "approved"])
    bearers = rows[~rows["id"].isin(approved)].groupby("id")["entity"].nunique()
    unclear = bearers.index[bearers > 1].tolist()
    assert len(unclear) > 1000
    assert all(found.ambiguous for found in genes.translate(unclear, "hgnc_symbol", "hgnc_symbol"))
    alive = listed["Approved symbol"][listed["Status"] == "Approved"].tolist()[::10]
    found = genes.translate(alive, "hgnc_symbol", "hgnc_symbol")
    assert [one.ids for one in found] == [(symbol,) for symbol in alive]
