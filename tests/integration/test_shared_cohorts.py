"""The public cohorts of development: their counts are those of their README, their traps are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.inspect import inspect
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "cohort"
Spoil = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="session")
def variable(shared: Path) -> pytest.MonkeyPatch:
    """OMICSFM_SHARED, which the cohort files name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMICSFM_SHARED", str(shared.parent))
        yield patch


@pytest.fixture(scope="session")
def stores(variable: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, OmicsStore]:
    folder = tmp_path_factory.mktemp("stores")
    return {file.stem: prepare(file, folder / file.stem) for file in sorted(CONFIGS.glob("*.yaml"))}


def spoiled(name: str, folder: Path, change: Spoil) -> Path:
    """The cohort file with one thing changed."""
    said = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    change(said)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


def sizes(store: OmicsStore, outcome: str) -> dict[str, int]:
    return store.outcomes[outcome].value_counts().astype(int).to_dict()


def test_every_cohort_file_prepares_a_store_without_problems(stores: dict[str, OmicsStore]) -> None:
    assert set(stores) == {"covid_overmyer", "covid_su", "tcga_survival"}
    assert not [problem for store in stores.values() for problem in inspect(store.path).problems]


def test_covid_su_has_251_joined_samples_of_131_people(stores: dict[str, OmicsStore]) -> None:
    store = stores["covid_su"]
    assert (len(store), store.manifest["participants"]) == (251, 131)
    assert (store.visits.groupby("participant_id").size() == 2).sum() == 120
    assert {name: len(m.features) for name, m in store.modalities.items()} == {"proteome": 464, "metabolome": 1050}
    assert sizes(store, "severe") == {"no": 202, "yes": 49}
    assert sizes(store, "hospitalised")["yes"] == int((store.outcomes["who"] >= 3).sum())
    counts = store.manifest["source"]["modalities"]
    assert (counts["proteome"]["matched"], counts["metabolome"]["matched"]) == (254, 251)
    assert (counts["proteome"]["rows"], counts["metabolome"]["rows"]) == (378, 378)


def test_covid_su_is_joined_so_that_the_metabolome_knows_the_disease(stores: dict[str, OmicsStore]) -> None:
    store = stores["covid_su"]
    values = store.modalities["metabolome"].read(np.arange(len(store)))[0]
    measured = np.isnan(values).mean(axis=0) < 0.5
    ranks = pd.DataFrame(values[:, measured]).rank()
    strongest = ranks.corrwith(store.outcomes["who"].rank()).abs().max()
    assert strongest > 0.70  # 0.745 here; 0.634 where the tables are joined by the row-order label


def test_covid_su_refuses_the_contradicting_score_and_the_label(tmp_path: Path, variable: pytest.MonkeyPatch) -> None:
    def keep_label(said: dict[str, Any]) -> None:
        del said["modalities"]["metabolome"]["drop"][0]

    def keep_score(said: dict[str, Any]) -> None:
        del said["modalities"]["metabolome"]["drop"][1]

    with pytest.raises(InputError, match=r"column 'Healthy donor sample or COVID19 sample' holds text"):
        prepare(spoiled("covid_su", tmp_path, keep_label), tmp_path / "store")
    with pytest.raises(InputError, match=r"also in the clinical table proteome.csv.gz: 'Who Ordinal Scale'"):
        prepare(spoiled("covid_su", tmp_path, keep_score), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_covid_overmyer_has_102_patients_50_of_them_with_few_hospital_free_days(stores: dict[str, OmicsStore]) -> None:
    store = stores["covid_overmyer"]
    assert (len(store), store.manifest["participants"]) == (127, 127)
    assert {name: len(m.features) for name, m in store.modalities.items()} == {"proteome": 517, "metabolome": 155}
    assert sizes(store, "hfd") == {"no": 52, "yes": 50}
    assert sizes(store, "icu") == {"Non-ICU": 51, "ICU": 51}
    assert int(store.outcomes["hospital_free_days"].notna().sum()) == 102
    unmatched = {name: counts["unmatched"] for name, counts in store.manifest["source"]["modalities"].items()}
    assert unmatched == {"proteome": 2, "metabolome": 2}  # samples 54 and 118 have no clinical data


@pytest.mark.parametrize("kept", ["Hospital_free_days_45", "Ferritin_NG/ML", "Charlson_score", "Gender"])
def test_covid_overmyer_refuses_a_clinical_column_that_is_not_dropped(
    kept: str, tmp_path: Path, variable: pytest.MonkeyPatch
) -> None:
    def keep(said: dict[str, Any]) -> None:
        said["modalities"]["proteome"]["drop"].remove(kept)

    with pytest.raises(InputError, match=f"'{kept}'"):
        prepare(spoiled("covid_overmyer", tmp_path, keep), tmp_path / "store")


def test_covid_overmyer_refuses_the_outcome_under_another_name(
    tmp_path: Path, shared: Path, variable: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(shared / "covid_overmyer" / "proteome_log2lfq.tsv.gz", sep="\t")
    table.rename(columns={"Hospital_free_days_45": "P99999"}).to_csv(tmp_path / "p.tsv", sep="\t", index=False)

    def rename(said: dict[str, Any]) -> None:
        said["modalities"]["proteome"]["path"] = "p.tsv"
        said["modalities"]["proteome"]["drop"] = [
            name for name in said["modalities"]["metabolome"]["drop"] if name != "Hospital_free_days_45"
        ]

    with pytest.raises(InputError, match=r"feature 'P99999' equals outcome hfd \(column Hospital_free_days_45\)"):
        prepare(spoiled("covid_overmyer", tmp_path, rename), tmp_path / "store")


def test_tcga_has_1680_deaths_and_786_breast_tumours_with_both_layers(stores: dict[str, OmicsStore]) -> None:
    store = stores["tcga_survival"]
    assert (len(store), store.manifest["participants"]) == (5240, 5240)
    assert {name: len(m.features) for name, m in store.modalities.items()} == {"transcriptome": 1608, "proteome": 164}
    assert int(store.outcomes["death.event"].sum()) == 1680
    assert store.visits["cohort"].nunique() == 13
    both = store.modalities["proteome"].rows
    assert len(both) == 786
    assert set(store.visits["cohort"].iloc[both]) == {"brca"}
    assert int(store.outcomes["death.event"].iloc[both].sum()) == 108
    values = store.modalities["transcriptome"].read(np.arange(len(store)))[0]
    assert int((~np.isnan(values).any(axis=0)).sum()) == 1526  # genes on every cancer's list
