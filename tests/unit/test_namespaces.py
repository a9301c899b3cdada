"""The form of identifiers, and the one way in which each is written for comparison."""

import pytest

from omicsfm.namespaces import NAMESPACES, canonical, likely_namespaces, members, normalised_name


@pytest.mark.parametrize(
    ("namespace", "ids"),
    [
        ("ensembl_gene", ["ENSG00000141510", "ENSG00000012048.23", "ENSG00000182378.14_PAR_Y"]),
        ("uniprot", ["P04637", "A0A024RBG1", "P01375-2", "V9GY83;P12318-2;P12318"]),
        ("olink_id", ["OID20049", "OID31309"]),
        ("hmdb", ["HMDB0000122", "HMDB00148"]),
        ("chebi", ["CHEBI:15903", "CHEBI:4167"]),
        ("kegg", ["C00031", "C00186"]),
        ("inchikey", ["WQZGKKKJIJFFOK-GASJEMHNSA-N", "RWSXRVCMGQZWBV-WDSKDSINSA-N"]),
        ("somascan_seqid", ["seq.2780.35", "10000-28", "10000-28_3"]),
        ("hgnc_id", ["HGNC:11998", "HGNC:5"]),
        ("hgnc_symbol", ["TP53", "C1orf112", "HLA-DRA", "HOXA@", "C4B_2"]),
    ],
)
def test_real_ids_are_recognised(namespace: str, ids: list[str]) -> None:
    form = NAMESPACES[namespace]
    assert form is not None
    assert all(form.fullmatch(i) for i in ids)
    assert likely_namespaces(ids)[0] == namespace


@pytest.mark.parametrize(
    ("namespace", "written", "same"),
    [
        ("ensembl_gene", "ENSG00000012048.23", "ENSG00000012048"),
        ("somascan_seqid", "seq.10000.28", "10000-28"),
        ("somascan_seqid", "10000-28_3", "10000-28"),
        ("hmdb", "HMDB00148", "HMDB0000148"),
        ("hgnc_symbol", "C1ORF112", "C1orf112"),
        ("chebi", "chebi:4167", "CHEBI:4167"),
        ("kegg", "cpd:C00031", "C00031"),
        ("metabolite_name", "α‑Ketoglutarate**", "alpha-ketoglutarate"),
        ("metabolite_name", "5′-Monophosphate  (AMP)", "5'-monophosphate (amp)"),
    ],
)
def test_two_ways_of_writing_an_id_are_one(namespace: str, written: str, same: str) -> None:
    assert canonical(namespace, written) == same
    assert canonical(namespace, same) == same


@pytest.mark.parametrize(
    ("namespace", "one", "other"),
    [
        ("ensembl_gene", "ENSG00000182378.14_PAR_Y", "ENSG00000182378.14"),
        ("uniprot", "P01375-2", "P01375"),
        ("metabolite_name", "D-glucose", "L-glucose"),
        ("metabolite_name", "bilirubin degradation product (1)**", "bilirubin degradation product (2)**"),
        ("metabolite_name", "PC (34:1)", "PC (34:2)"),
        ("local", "X*", "X"),
    ],
)
def test_different_things_stay_apart(namespace: str, one: str, other: str) -> None:
    assert canonical(namespace, one) != canonical(namespace, other)


def test_a_uniprot_group_names_each_protein_once_without_isoforms() -> None:
    assert members("uniprot", "V9GY83;P12318-2;P12318;") == ("V9GY83", "P12318")
    assert members("hgnc_symbol", "TP53") == ("TP53",)


def test_a_name_without_greek_letters_or_marks_is_only_folded() -> None:
    assert normalised_name("N6,N6-Dimethyllysine_(1)") == "n6,n6-dimethyllysine (1)"
