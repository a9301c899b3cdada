"""map_to in COHORT.yaml: features of a store are called as another namespace calls them, and everything is counted."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.inspect import inspect
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError

GENES = {  # old and new ids of three genes, an id of two of them, and one that the mapping does not know
    "ensembl_gene": "ENSG00000000001;ENSG00000000004\nENSG00000000002\nENSG00000000003\n",
    "hgnc_symbol": "AAA\nBBB\nCCC\n",
}
MATRIX = pd.DataFrame(
    {
        "ENSG00000000002.7": [5.0, 6.0, np.nan],
        "ENSG00000000004.1": [1.0, np.nan, np.nan],
        "ENSG00000000001.3": [2.0, 3.0, np.nan],
        "ENSG00000009999.1": [7.0, 8.0, 9.0],
    },
    index=["P1", "P2", "P3"],
)


def cohort(folder: Path, *, scale: str = "counts", matrix: str = "rna.csv", **changes: object) -> Path:
    """A cohort file for MATRIX, which maps Ensembl ids to symbols."""
    MATRIX.rename_axis("person").to_csv(folder / "rna.csv")
    pd.DataFrame({"person": MATRIX.index, "bmi": [20.0, 30.0, 25.0]}).to_csv(folder / "people.csv", index=False)
    rows = zip(*(text.splitlines() for text in GENES.values()), strict=True)
    (folder / "genes.csv").write_text("\n".join(",".join(row) for row in [tuple(GENES), *rows]) + "\n")
    said = {"path": matrix, "namespace": "ensembl_gene", "scale": scale, "key": "person"}
    said |= {"map_to": "hgnc_symbol", "mapping": "genes.csv"} | changes
    node = {
        "name": "mapped",
        "visits": {"path": "people.csv", "participant_id": "person"},
        "modalities": {"transcriptome": {key: value for key, value in said.items() if value is not None}},
        "outcomes": {"bmi": {"kind": "quantity", "column": "bmi"}},
    }
    (folder / "COHORT.yaml").write_text(yaml.safe_dump(node))
    return folder / "COHORT.yaml"


def values(store: OmicsStore) -> pd.DataFrame:
    matrix = store.modalities["transcriptome"]
    return pd.DataFrame(matrix.read(np.arange(len(store)))[0], columns=list(matrix.features.ids))


def test_counts_of_features_that_become_one_gene_are_added_and_unknown_ones_keep_their_id(tmp_path: Path) -> None:
    store = prepare(cohort(tmp_path), tmp_path / "store")
    assert store.modalities["transcriptome"].features.namespace == "hgnc_symbol"
    expected = {"BBB": [5, 6, np.nan], "AAA": [3, 3, np.nan], "ENSG00000009999.1": [7, 8, 9]}
    pd.testing.assert_frame_equal(values(store), pd.DataFrame(expected, dtype="float32"), check_like=True)


def test_of_values_that_do_not_add_up_the_first_feature_stays(tmp_path: Path) -> None:
    store = prepare(cohort(tmp_path, scale="log2"), tmp_path / "store")
    assert values(store)["AAA"].tolist()[:1] == [1.0]  # ENSG00000000004 stands first in the file
    assert np.isnan(values(store)["AAA"][1])


def test_a_sparse_matrix_is_mapped_as_a_dense_one(tmp_path: Path) -> None:
    obs = pd.DataFrame({"person": MATRIX.index}, index=["a", "b", "c"])
    counts = sparse.csr_matrix(MATRIX.fillna(0).to_numpy(np.float32))
    ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=MATRIX.columns)).write_h5ad(tmp_path / "rna.h5ad")
    store = prepare(cohort(tmp_path, matrix="rna.h5ad"), tmp_path / "store")
    assert store.modalities["transcriptome"].layout == "csr"
    expected = {"BBB": [5, 6, 0], "AAA": [3, 3, 0], "ENSG00000009999.1": [7, 8, 9]}
    pd.testing.assert_frame_equal(values(store), pd.DataFrame(expected, dtype="float32"), check_like=True)


def test_the_manifest_counts_every_fate_and_names_the_table_and_inspect_shows_it(tmp_path: Path) -> None:
    store = prepare(cohort(tmp_path), tmp_path / "store")
    counts = store.manifest["source"]["modalities"]["transcriptome"]["mapping"]
    told = {name: counts[name] for name in ("matched", "mapped", "ambiguous", "unknown", "merged", "withdrawn")}
    assert told == {"matched": 0, "mapped": 3, "ambiguous": 0, "unknown": 1, "merged": 1, "withdrawn": 0}
    assert counts["first_unknown"] == ["ENSG00000009999.1"]
    assert counts["first_merged"] == ["ENSG00000000001.3"]
    assert counts["table"]["sources"][0]["name"] == "genes.csv"
    assert len(counts["table"]["fingerprint"]) == 64
    assert "mapped from ensembl_gene to hgnc_symbol: 0 matched, 3 mapped, 0 ambiguous" in inspect(store.path).text


def test_an_ambiguous_id_keeps_its_own_name(tmp_path: Path) -> None:
    path = cohort(tmp_path)
    with (tmp_path / "genes.csv").open("a") as file:
        file.write("ENSG00000000002,DDD\n")
    store = prepare(path, tmp_path / "store")
    assert "ENSG00000000002.7" in values(store).columns
    assert store.manifest["source"]["modalities"]["transcriptome"]["mapping"]["first_ambiguous"] == [
        "ENSG00000000002.7"
    ]


def test_another_mapping_makes_another_store(tmp_path: Path) -> None:
    path = cohort(tmp_path)
    before = prepare(path, tmp_path / "store").fingerprint
    (tmp_path / "genes.csv").write_text((tmp_path / "genes.csv").read_text().replace("BBB", "EEE"))
    assert prepare(path, tmp_path / "store").fingerprint != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mapping": None}, "map_to is given alone"),
        ({"map_to": None}, "mapping is given alone"),
        ({"map_to": "hgnc"}, "map_to 'hgnc' is not known; did you mean 'hgnc_id'"),
        ({"namespace": "local"}, "ids of namespace local cannot be mapped"),
        ({"map_to": "entrez"}, "mapping genes.csv has no ids of namespace entrez; it has ensembl_gene, hgnc_symbol"),
        ({"mapping": "nosuch.parquet"}, "nosuch.parquet"),
        ({"mapping": "people.csv"}, "needs two columns that are namespaces"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(cohort(tmp_path, **changes), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_an_unknown_feature_that_bears_a_mapped_id_is_refused_by_name(tmp_path: Path) -> None:
    path = cohort(tmp_path)
    table = pd.read_csv(tmp_path / "rna.csv").rename(columns={"ENSG00000009999.1": "BBB"})
    table.to_csv(tmp_path / "rna.csv", index=False)
    with pytest.raises(InputError, match=r"'ENSG00000000002.7' becomes 'BBB' in hgnc_symbol"):
        prepare(path, tmp_path / "store")


def features_of(store: OmicsStore) -> pd.DataFrame:
    return pd.read_parquet(store.path / "modalities" / "transcriptome" / "features.parquet").set_index("feature_id")


def test_the_store_keeps_the_ids_that_a_feature_had(tmp_path: Path) -> None:
    source_ids = features_of(prepare(cohort(tmp_path), tmp_path / "store"))["source_ids"]
    assert source_ids["BBB"].tolist() == ["ENSG00000000002.7"]
    assert source_ids["AAA"].tolist() == ["ENSG00000000004.1", "ENSG00000000001.3"]


@pytest.mark.parametrize(("namespace", "ids"), [("somascan_seqid", "10000-28_3"), ("uniprot", "P01375-2")])
def test_an_id_with_a_version_or_an_isoform_is_mapped_and_can_be_traced_back(
    tmp_path: Path, namespace: str, ids: str
) -> None:
    path = cohort(tmp_path, namespace=namespace, map_to="protein_symbol", mapping="p.csv", scale="log2")
    pd.DataFrame({"person": ["P1", "P2"], ids: [1.0, 2.0]}).to_csv(tmp_path / "rna.csv", index=False)
    known = {"somascan_seqid": "10000-28", "uniprot": "P01375"}[namespace]
    (tmp_path / "p.csv").write_text(f"{namespace},protein_symbol\n{known},TNF\n")
    store = prepare(path, tmp_path / "store")
    assert store.modalities["transcriptome"].features.ids == ("TNF",)
    assert features_of(store)["source_ids"]["TNF"].tolist() == [ids]


def metabolites(folder: Path, **changes: object) -> Path:
    path = cohort(folder, scale="raw", namespace="metabolite_name", map_to=None, mapping=None, **changes)
    names = {"glucose": [1.0, 2.0], "unknown RT 4.5": [3.0, 4.0], "M123.05T61": [5.0, 6.0]}
    pd.DataFrame({"person": ["P1", "P2"], **names}).to_csv(folder / "rna.csv", index=False)
    (folder / "peaks.csv").write_text("name,mass,minutes\nM123.05T61,123.0523,1.02\nunknown RT 4.5,,4.5\nother,1,1\n")
    return path


def test_peaks_of_a_pattern_keep_their_id_with_what_their_name_says(tmp_path: Path) -> None:
    pattern = r"(unknown RT (?P<retention_time>[\d.]+)|M(?P<mz>[\d.]+)T\d+)"
    about = features_of(prepare(metabolites(tmp_path, peaks={"pattern": pattern}), tmp_path / "store"))
    assert about["mz"].dropna().to_dict() == {"M123.05T61": 123.05}
    assert about["retention_time"].dropna().to_dict() == {"unknown RT 4.5": 4.5}


def test_peaks_of_a_table_keep_their_id_with_mz_and_retention_time(tmp_path: Path) -> None:
    said = {"path": "peaks.csv", "id": "name", "mz": "mass", "retention_time": "minutes"}
    store = prepare(metabolites(tmp_path, peaks=said), tmp_path / "store")
    about = features_of(store)
    assert about["mz"].dropna().to_dict() == {"M123.05T61": 123.0523}
    assert about["retention_time"].dropna().to_dict() == {"unknown RT 4.5": 4.5, "M123.05T61": 1.02}
    assert store.manifest["source"]["modalities"]["transcriptome"]["peaks"] == 2
    assert "2 of 3 features are unidentified peaks" in inspect(store.path).text


def test_peaks_are_not_looked_up_in_a_mapping(tmp_path: Path) -> None:
    path = metabolites(tmp_path, peaks={"pattern": "unknown.*"})
    said = yaml.safe_load(path.read_text())
    said["modalities"]["transcriptome"] |= {"map_to": "kegg", "mapping": "names.csv"}
    path.write_text(yaml.safe_dump(said))
    (tmp_path / "names.csv").write_text("metabolite_name,kegg\nGlucose,C00031\nunknown RT 4.5,C00001\n")
    store = prepare(path, tmp_path / "store")
    assert store.modalities["transcriptome"].features.ids == ("C00031", "unknown RT 4.5", "M123.05T61")
    counts = store.manifest["source"]["modalities"]["transcriptome"]["mapping"]
    assert (counts["mapped"], counts["unknown"]) == (1, 1)


@pytest.mark.parametrize(
    ("peaks", "message"),
    [
        ({"pattern": "peak.*"}, "pattern 'peak.*' names none of the 3 features"),
        ({"pattern": "(?P<rt>unknown.*)"}, "group 'rt' is not known"),
        ({"pattern": "(?P<mz>unknown.*)"}, "peaks: mz"),
        ({"path": "peaks.csv"}, "path goes with id, mz and retention_time"),
        ({"path": "peaks.csv", "id": "nam"}, "no column 'nam'"),
        ({"id": "name"}, "needs pattern, or path and id"),
    ],
)
def test_what_is_said_of_peaks_must_fit(tmp_path: Path, peaks: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(metabolites(tmp_path, peaks=peaks), tmp_path / "store")
