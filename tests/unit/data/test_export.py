"""A store that is exported and prepared again is the same store, to the last bit."""

import json
import shutil
from pathlib import Path

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from omicsfm.data.export import export_store
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_writer import StoreWriter
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace

N = 40


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> OmicsStore:
    """Sparse counts, a dense panel with all three kinds of cell, and every kind of column and outcome; read it only."""
    tmp_path = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(5)
    people = np.repeat(np.arange(N // 2), 2)
    clinical = pd.DataFrame(
        {
            "who": [f"{n:03d}" for n in people],
            "visit": np.tile(["BL", "FU"], N // 2),
            "day": np.tile([0.0, 30.4375], N // 2) + people / 3,
            "center": np.where(people % 3 == 0, None, "A/1"),
            "grade": people % 3,
            "weight/kg": np.where(people % 5 == 0, np.nan, 60 + rng.random(N) * 20),
            "note": np.where(people % 4 == 0, "007", None),
            "ill": np.where(people % 2 == 0, "yes", "no"),
            "follow_up": 400.5 + people / 7,
            "died": people % 2,
            "bmi": np.where(people % 6 == 0, np.nan, 22 + rng.normal(size=N)),
        }
    )
    clinical.to_csv(tmp_path / "clinical.csv", index=False)
    panel = pd.DataFrame(rng.normal(3, 1, (N - 3, 4)).round(4), columns=["IL6", "TNF", "who", "CRP"]).astype(object)
    panel.loc[4, "IL6"], panel.loc[5, "TNF"], panel.loc[6, "CRP"], panel.loc[7, "CRP"] = "<0.5", "<1.25", None, 0.0
    keys = clinical[["who", "visit"]].iloc[: N - 3].rename(columns={"who": "id"})
    pd.concat([keys, panel], axis=1).to_csv(tmp_path / "panel.csv", index=False)
    counts = sparse.random(N, 60, density=0.2, random_state=1, format="csr", dtype=np.float32)
    counts.data = np.ceil(counts.data * 9)
    names = [f"s{n}" for n in range(N)]
    table = anndata.AnnData(counts, obs=clinical[["who", "visit"]].set_axis(names).rename(columns={"who": "id"}))
    table.var_names = [f"ENSG{n:011d}" for n in range(60)]
    table.write(tmp_path / "rna.h5ad")
    said = {
        "name": "odd cohort",
        "people": "registry",
        "visits": {
            "path": "clinical.csv",
            "participant_id": "who",
            "visit": "visit",
            "time_days": "day",
            "site": "center",
            "keep": {"grade": "grade", "weight/kg": "weight/kg", "note": "note"},
        },
        "modalities": {
            "proteome": {
                "path": "panel.csv", "namespace": "protein_symbol", "scale": "npx", "platform": "olink",
                "key": ["id", "visit"], "allow": ["who"],
            },
            "transcriptome": {
                "path": "rna.h5ad", "namespace": "ensembl_gene", "scale": "counts", "key": ["id", "visit"]
            },
        },
        "outcomes": {
            "ill": {"kind": "class", "column": "ill", "classes": ["yes", "no"], "level": "participant"},
            "bmi": {"kind": "quantity", "column": "bmi"},
            "death": {"kind": "survival", "time_days": "follow_up", "event": "died", "level": "participant"},
            "at_visit": {"kind": "survival", "time_days": "follow_up", "event": "died", "level": "visit"},
        },
        "subgroups": ["grade"],
        "policy": {"purposes": ["research"], "jurisdictions": ["EU"], "min_cell_count": 5, "expires": "2031-01-01"},
    }  # fmt: skip
    (tmp_path / "COHORT.yaml").write_text(yaml.safe_dump(said))
    return prepare(tmp_path / "COHORT.yaml", tmp_path / "store")


@pytest.fixture(scope="module")
def returned(cohort: OmicsStore, tmp_path_factory: pytest.TempPathFactory) -> OmicsStore:
    """The cohort after the round trip."""
    return again(cohort, tmp_path_factory.mktemp("returned"))


def again(store: OmicsStore, folder: Path) -> OmicsStore:
    return prepare(export_store(store, folder / "out" / "export.h5mu"), folder / "again")


def assert_same(ours: OmicsStore, theirs: OmicsStore) -> None:
    for key in ("files", "fingerprint", "name", "people", "modalities", "outcomes", "subgroups", "clinical", "policy"):
        assert ours.manifest.get(key) == theirs.manifest.get(key), key


def test_the_round_trip_gives_the_same_fingerprint(cohort, returned) -> None:
    assert cohort.modalities["transcriptome"].layout == "csr"
    assert cohort.manifest["modalities"]["proteome"]["below_limit"] == 2
    assert_same(cohort, returned)


def test_the_round_trip_of_a_simulated_cohort_gives_the_same_fingerprint(simulated_store, tmp_path) -> None:
    assert_same(simulated_store, again(simulated_store, tmp_path))


def test_the_three_states_of_a_cell_survive(cohort, returned) -> None:
    rows = np.arange(len(cohort))
    for name, matrix in returned.modalities.items():
        values, below = matrix.read(rows)
        first, first_below = cohort.modalities[name].read(rows)
        np.testing.assert_array_equal(values, first)
        np.testing.assert_array_equal(below, first_below)
    values, below = cohort.modalities["proteome"].read(rows)
    assert (below.sum(), np.isnan(values[:37]).sum(), (values == 0).sum()) == (2, 1, 1)


def test_an_export_is_what_mudata_reads(cohort, returned) -> None:
    path = returned.path.parent / "out" / "export.h5mu"
    with mudata.set_options(pull_on_update=False):
        read = mudata.read_h5mu(path)
    proteome = read.mod["proteome"]
    np.testing.assert_array_equal(proteome.X, cohort.modalities["proteome"].read(np.arange(N - 3))[0])
    assert proteome.layers["below_limit"].sum() == 2
    assert "below_limit" not in read.mod["transcriptome"].layers
    counts = cohort.modalities["transcriptome"].read(np.arange(N))[0]
    np.testing.assert_array_equal(read.mod["transcriptome"].X.toarray(), counts)
    assert read.obs["participant_id"].astype(str).tolist() == cohort.visits["participant_id"].tolist()
    assert list(read.obs["outcome.bmi"].dropna()) == list(cohort.outcomes["bmi"].dropna())


def test_blocks_of_any_size_give_the_same_file(cohort, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("omicsfm.data.export.CELLS", 50)
    assert_same(cohort, again(cohort, tmp_path))


def test_what_a_store_keeps_of_each_feature_survives(tmp_path) -> None:
    writer = StoreWriter(tmp_path / "store")
    space = FeatureSpace("metabolome", ("HMDB0000001", "HMDB0000002", "peak_1"), "hmdb", "raw")
    about = pd.DataFrame(
        {
            "source_ids": [["alanine"], ["citrate", "citric acid"], ["peak_1"]],
            "mz": [np.nan, np.nan, 301.0875],
            "retention_time": [np.nan, np.nan, 4.1],
        }
    )
    matrix = writer.add(space, np.arange(3), about=about)
    matrix.write(np.arange(3), np.arange(9, dtype=np.float32).reshape(3, 3))
    visits = pd.DataFrame({"participant_id": ["a", "b", "c"], "visit": "1", "time_days": 0.0})
    writer.finish(
        name="peaks", people="peaks", visits=visits, outcomes=pd.DataFrame(index=range(3)), outcome_specs={},
        modalities={"metabolome": matrix.close()},
    )  # fmt: skip
    store = OmicsStore.open(tmp_path / "store")
    assert_same(store, again(store, tmp_path))


def test_a_column_that_var_does_not_have_is_named(returned, tmp_path) -> None:
    path = Path(shutil.copy(returned.path.parent / "out" / "export.h5mu", tmp_path))
    with h5py.File(path, "r+") as file:
        said = json.loads(file["uns/omicsfm"][()])
        said["modalities"]["proteome"]["about"] = ["mz"]
        del file["uns/omicsfm"]
        file["uns"]["omicsfm"] = json.dumps(said)
        file["uns/omicsfm"].attrs.update({"encoding-type": "string", "encoding-version": "0.2.0"})
    with pytest.raises(InputError, match=r"proteome: \.var has no column 'mz'"):
        prepare(path, tmp_path / "again")


def test_a_wrong_name_and_a_failure_leave_nothing_behind(cohort, tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"Name it, say, .*cohort\.h5mu"):
        export_store(cohort, tmp_path / "cohort.h5ad")
    target = tmp_path / "out" / "export.h5mu"
    monkeypatch.setattr(
        "omicsfm.data.export._write_matrices", lambda *_: (_ for _ in ()).throw(OSError(28, "No space"))
    )
    with pytest.raises(InputError, match="cannot be written"):
        export_store(cohort, target)
    assert list(target.parent.iterdir()) == []
