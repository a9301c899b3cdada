"""The same cohort, whatever kind of file it comes in."""

import json
from collections.abc import Callable
from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore

FEATURES = ["P1", "P2", "P3"]


def clinical() -> pd.DataFrame:
    """Ten people with two visits each."""
    rows = [(f"{n:03d}", f"V{v}", 30 * v, "fm"[n % 2], n % 2, 20.0 + n + v / 4) for n in range(10) for v in (0, 1)]
    table = pd.DataFrame(rows, columns=["subject", "timepoint", "day", "sex", "severe", "bmi"])
    return table.assign(sample=table["subject"] + "-" + table["timepoint"])


def proteome() -> pd.DataFrame:
    """One row per visit but the last; NaN, zero and ordinary values."""
    table = clinical()[["subject", "timepoint"]].iloc[:-1].reset_index(drop=True)
    values = np.random.default_rng(1).normal(5, 1, (len(table), len(FEATURES))).astype(np.float32)
    values[0, 0], values[1, 1] = np.nan, 0.0
    return pd.concat([table, pd.DataFrame(values, columns=FEATURES)], axis=1)


def write_yaml(folder: Path, modality: dict, **changes: object) -> Path:
    """A COHORT.yaml for the tables above."""
    node = {
        "name": "small",
        "visits": {"path": "clinical.csv", "participant_id": "subject", "visit": "timepoint", "time_days": "day"},
        "modalities": {"proteome": {"namespace": "local", "scale": "log2", **modality}},
        "outcomes": {
            "severe": {"kind": "class", "column": "severe", "level": "participant"},
            "bmi": {"kind": "quantity", "column": "bmi", "level": "visit"},
        },
        "subgroups": ["sex"],
    } | changes
    path = folder / "COHORT.yaml"
    path.write_text(yaml.safe_dump(node))
    clinical().to_csv(folder / "clinical.csv", index=False)
    return path


def as_csv(folder: Path) -> dict:
    proteome().to_csv(folder / "p.csv", index=False)
    return {"path": "p.csv", "key": ["subject", "timepoint"]}


def as_gzipped_tsv(folder: Path) -> dict:
    proteome().to_csv(folder / "p.tsv.gz", index=False, sep="\t")
    return {"path": "p.tsv.gz"}  # without key: the columns that name the visits


def as_parquet(folder: Path) -> dict:
    proteome().to_parquet(folder / "p.parquet")
    return {"path": "p.parquet"}


def as_columns(folder: Path) -> dict:
    table = proteome()
    table.index = pd.Index(table.pop("subject") + "-" + table.pop("timepoint"))
    table.T.rename_axis("protein").to_csv(folder / "p.tsv", sep="\t")
    return {"path": "p.tsv", "layout": "columns_are_visits", "key": "sample"}


def as_h5ad(folder: Path) -> dict:
    table = proteome()
    anndata.AnnData(
        table[FEATURES].to_numpy(), obs=table[["subject", "timepoint"]].set_axis(table.index.astype(str)),
        var=pd.DataFrame(index=FEATURES),
    ).write(folder / "p.h5ad")  # fmt: skip
    return {"path": "p.h5ad", "key": ["subject", "timepoint"]}


def check(store: OmicsStore) -> None:
    """The store holds the tables above, cell by cell, without the visit that has no assay."""
    known = clinical().iloc[:19]
    values, below = store.modalities["proteome"].read(np.arange(19))
    np.testing.assert_array_equal(values, proteome()[FEATURES].to_numpy())
    assert not below.any()
    assert store.visits["participant_id"].tolist() == known["subject"].tolist()  # '007' stays '007'
    assert store.visits["time_days"].tolist() == known["day"].tolist()
    assert store.outcome("severe").classes == ("0", "1")
    assert store.outcomes["bmi"].tolist() == known["bmi"].tolist()
    assert store.visits["sex"].tolist() == known["sex"].tolist()
    assert store.manifest["source"]["visits"]["without_any_modality"] == 1


@pytest.mark.parametrize("write", [as_csv, as_gzipped_tsv, as_parquet, as_columns, as_h5ad])
def test_every_format_gives_the_same_store(write: Callable[[Path], dict], tmp_path: Path) -> None:
    check(prepare(write_yaml(tmp_path, write(tmp_path)), tmp_path / "store"))


@pytest.mark.parametrize("as_json", [True, False])
def test_an_h5mu_that_holds_its_own_mapping_needs_no_yaml(as_json: bool, tmp_path: Path) -> None:
    obs = clinical().rename(columns={"subject": "participant_id", "timepoint": "visit", "day": "time_days"})
    obs.index = obs["participant_id"] + "-" + obs["visit"]
    table = anndata.AnnData(
        proteome()[FEATURES].to_numpy(), pd.DataFrame(index=obs.index[:-1]), pd.DataFrame(index=FEATURES)
    )
    said = {
        "name": "small",
        "modalities": {"proteome": {"namespace": "local", "scale": "log2"}},
        "outcomes": {
            "severe": {"kind": "class", "column": "severe", "level": "participant"},
            "bmi": {"kind": "quantity", "column": "bmi", "level": "visit"},
        },
        "subgroups": ["sex"],
    }
    with mudata.set_options(pull_on_update=False):
        cohort = mudata.MuData({"proteome": table, "all": anndata.AnnData(np.ones((20, 1), np.float32), obs[[]])})
        cohort.obs = obs.loc[cohort.obs_names]
        cohort.uns["omicsfm"] = json.dumps(said) if as_json else said
        cohort.write(tmp_path / "cohort.h5mu")
    check(prepare(tmp_path / "cohort.h5mu", tmp_path / "store"))


def test_an_h5ad_that_holds_its_own_mapping_needs_no_yaml(tmp_path: Path) -> None:
    obs = clinical().rename(columns={"subject": "participant_id", "timepoint": "visit", "day": "time_days"})
    table = anndata.AnnData(np.ones((20, 2), np.float32), obs.set_axis([f"s{n}" for n in range(20)]))
    table.uns["omicsfm"] = json.dumps({"modalities": {"proteome": {"namespace": "local", "scale": "log2"}}})
    table.write(tmp_path / "cohort.h5ad")
    store = prepare(tmp_path / "cohort.h5ad", tmp_path / "store")
    assert len(store) == 20
    assert store.visits["participant_id"].iloc[-1] == "009"


def test_a_sparse_h5ad_stays_sparse_and_its_unstored_entries_are_zeros(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(0.3, (19, 50)).astype(np.float32)
    table = anndata.AnnData(sparse.csr_matrix(counts[::-1]), obs=proteome()[["subject", "timepoint"]][::-1].set_axis(
        [f"r{n}" for n in range(19)]
    ))  # fmt: skip
    table.write(tmp_path / "p.h5ad")
    modality = {"path": "p.h5ad", "key": ["subject", "timepoint"], "scale": "counts"}
    store = prepare(write_yaml(tmp_path, modality), tmp_path / "store")
    assert store.modalities["proteome"].layout == "csr"
    np.testing.assert_array_equal(store.modalities["proteome"].read(np.arange(19))[0], counts)


def test_a_named_layer_and_a_var_column_are_read_instead_of_x(tmp_path: Path) -> None:
    table = anndata.AnnData(
        np.zeros((20, 2), np.float32),
        obs=clinical()[["subject", "timepoint"]].set_axis([f"r{n}" for n in range(20)]),
        var=pd.DataFrame({"gene": ["A", "B"]}, index=["v1", "v2"]),
        layers={"npx": np.full((20, 2), 3.0, np.float32)},
    )
    table.write(tmp_path / "p.h5ad")
    modality = {"path": "p.h5ad", "key": ["subject", "timepoint"], "layer": "npx", "features": "gene"}
    matrix = prepare(write_yaml(tmp_path, modality), tmp_path / "store").modalities["proteome"]
    assert matrix.features.ids == ("A", "B")
    assert (matrix.read(np.arange(20))[0] == 3).all()


def test_not_measured_zero_and_below_the_limit_stay_three_states(tmp_path: Path) -> None:
    table = proteome().astype(dict.fromkeys(FEATURES, object))
    table.loc[2, "P1"], table.loc[3, "P2"], table.loc[4, "P3"] = "<0.5", "<LOD", np.nan
    lowest = float(min(v for v in table["P2"] if not isinstance(v, str)))
    table.to_csv(tmp_path / "p.csv", index=False)
    store = prepare(write_yaml(tmp_path, {"path": "p.csv", "below_limit": "<LOD"}), tmp_path / "store")
    values, below = store.modalities["proteome"].read(np.arange(20))
    assert np.argwhere(below).tolist() == [[2, 0], [3, 1]]
    assert values[2, 0] == 0.5  # the limit that the cell states
    assert values[3, 1] == np.float32(lowest)  # the lowest measured stands for one it does not state
    assert np.isnan(values[4, 2])
    assert np.isnan(values[0, 0])
    assert values[1, 1] == 0.0
    assert store.manifest["modalities"]["proteome"]["below_limit"] == 2


def test_below_limit_reads_the_same_with_visits_in_columns(tmp_path: Path) -> None:
    table = proteome().astype(dict.fromkeys(FEATURES, object))
    table.loc[2, "P1"], table.loc[3, "P2"] = "<0.5", "<LOD"
    plain = {"below_limit": "<LOD", "path": "p.csv"}
    table.to_csv(tmp_path / "p.csv", index=False)
    upright = prepare(write_yaml(tmp_path, plain), tmp_path / "a").modalities["proteome"].read(np.arange(20))
    table.index = pd.Index(table.pop("subject") + "-" + table.pop("timepoint"))
    sideways = table.T.rename_axis("protein")
    sideways.insert(0, "description", ["one", "two", "three"])
    sideways.to_csv(tmp_path / "q.csv")
    cohort = write_yaml(
        tmp_path, plain | {"path": "q.csv", "layout": "columns_are_visits", "key": "sample", "drop": ["description"]}
    )
    turned = prepare(cohort, tmp_path / "b").modalities["proteome"].read(np.arange(20))
    np.testing.assert_array_equal(upright[0], turned[0])
    np.testing.assert_array_equal(upright[1], turned[1])


def test_a_below_limit_layer_reaches_the_store(tmp_path: Path) -> None:
    below = np.zeros((20, 2), dtype=bool)
    below[5, 1] = True
    table = anndata.AnnData(
        np.ones((20, 2), np.float32),
        obs=clinical()[["subject", "timepoint"]].set_axis([f"r{n}" for n in range(20)]),
        layers={"below_limit": below},
    )
    table.write(tmp_path / "p.h5ad")
    modality = {"path": "p.h5ad", "key": ["subject", "timepoint"]}
    store = prepare(write_yaml(tmp_path, modality), tmp_path / "store")
    np.testing.assert_array_equal(store.modalities["proteome"].read(np.arange(20))[1], below)


def test_a_feature_with_no_value_above_an_unstated_limit_is_left_out_and_named(tmp_path: Path) -> None:
    table = proteome().astype({"P2": object})
    table["P2"] = "<LOD"
    table.to_csv(tmp_path / "p.csv", index=False)
    store = prepare(write_yaml(tmp_path, {"path": "p.csv", "below_limit": "<LOD"}), tmp_path / "store")
    assert store.modalities["proteome"].features.ids == ("P1", "P3")
    assert store.manifest["source"]["modalities"]["proteome"]["features_without_limit"] == ["P2"]


def test_row_names_as_r_writes_them_are_a_column_without_a_name(tmp_path: Path) -> None:
    table = clinical()
    rows = "\n".join(f"{sample}\t{5 * n % 24}.5\t1" for n, sample in enumerate(table["sample"]))
    (tmp_path / "p.tsv").write_text("A\tB\n" + rows + "\n")
    cohort = write_yaml(
        tmp_path,
        {"path": "p.tsv", "key": "Unnamed: 0"},
        visits={
            "path": "clinical.csv",
            "key": "sample",
            "participant_id": "subject",
            "visit": "timepoint",
            "time_days": "day",
        },
    )
    matrix = prepare(cohort, tmp_path / "store").modalities["proteome"]
    assert matrix.features.ids == ("A", "B")
    assert matrix.read(np.array([3]))[0].tolist() == [[15.5, 1.0]]


def test_repeated_feature_names_are_numbered_where_the_yaml_says_so(tmp_path: Path) -> None:
    table = proteome().rename(columns={"P2": "P1"})
    table.to_csv(tmp_path / "p.csv", index=False)
    store = prepare(write_yaml(tmp_path, {"path": "p.csv", "repeated_features": "number"}), tmp_path / "store")
    assert store.modalities["proteome"].features.ids == ("P1", "P1.1", "P3")


def test_columns_and_drop_take_names_or_a_pattern(tmp_path: Path) -> None:
    as_csv(tmp_path)
    base = {"path": "p.csv"}
    for chosen, left in (
        ({"columns": ["P3", "P1"]}, ("P1", "P3")),
        ({"columns": "P[12]"}, ("P1", "P2")),
        ({"drop": "P[12]"}, ("P3",)),
        ({"columns": "P.*", "drop": ["P2"]}, ("P1", "P3")),
    ):
        store = prepare(write_yaml(tmp_path, base | chosen), tmp_path / "store")
        assert store.modalities["proteome"].features.ids == left
