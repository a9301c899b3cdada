"""The public cohorts of development: their counts are those of their README, their traps are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from omicsfm.data.export import export_store
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


def known(store: OmicsStore, outcome: str) -> int:
    return int(store.outcome_observed(outcome).sum())


def read(store: OmicsStore, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and below-limit flags of the visits that have the modality."""
    matrix = store.modalities[modality]
    return matrix.read(matrix.rows)


def people_with(store: OmicsStore, modality: str, visits: pd.Series) -> int:
    """Participants of these visits that have the modality."""
    rows = store.modalities[modality].rows
    return store.visits.iloc[rows[visits.to_numpy()[rows]]]["participant_id"].nunique()


# participants, and by modality the visits and the features that the README of the cohorts states
STATED: dict[str, tuple[int, dict[str, tuple[int, int]]]] = {
    "covid_overmyer": (127, {"proteome": (127, 517), "metabolome": (127, 155)}),
    "covid_overmyer_lfq": (127, {"proteome": (127, 516), "metabolome": (127, 111)}),
    "covid_su": (131, {"proteome": (251, 464), "metabolome": (251, 1050)}),
    "tcga_survival": (5240, {"transcriptome": (5240, 1608), "proteome": (786, 164)}),
    # of 247 in 668 rows 8 gave no blood; of 51 metabolites one is the vehicle of a drug
    "sepsis_race": (247 - 8, {"metabolome": (668 - 8, 51 - 1), "cytokines": (189, 10)}),
    # of 117 in the clinical tables two have no assay; four more have one
    "vaccine_cmipb": (
        117 - 2 + 4,
        # in the last year's titres one row stands twice
        {"transcriptome": (216, 11588), "proteome": (406, 26), "cells": (331, 20), "titres": (394 + 231 + 69 - 1, 15)},
    ),
    "pregnancy": (
        17,
        {
            "transcriptome": (3 * 17, 9084),
            "proteome": (3 * 17, 650),
            "metabolome": (3 * 17, 253),
            "microbiome": (3 * 17, 259),
            "immunome": (3 * 17, 264),
            "luminex_plasma": (3 * 17, 31),
            "luminex_serum": (3 * 17, 31),
        },
    ),
    "ccle": (888, {"proteome": (888, 214), "metabolome": (888, 225)}),
    "nci60": (58, {"transcriptome": (58, 11265), "proteome": (58, 3162), "metabolome": (58, 125)}),
    "mtbls90": (968, {"metabolome": (968, 189)}),
    "mtbls404": (184, {"metabolome": (184, 120)}),
    "st000369": (80, {"metabolome": (80, 181)}),
    "st000496": (50, {"metabolome": (100, 69)}),
}


def test_every_cohort_file_prepares_a_store_without_problems(stores: dict[str, OmicsStore]) -> None:
    assert set(stores) == set(STATED)
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

    with pytest.raises(InputError, match=r"'Healthy donor sample or COVID19 sample'"):
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


@pytest.mark.parametrize("name", list(STATED))
def test_a_cohort_has_the_participants_visits_and_features_that_its_readme_states(
    name: str, stores: dict[str, OmicsStore]
) -> None:
    store, (participants, modalities) = stores[name], STATED[name]
    assert store.visits["participant_id"].nunique() == store.manifest["participants"] == participants
    assert {m: (len(matrix.rows), len(matrix.features)) for m, matrix in store.modalities.items()} == modalities


@pytest.mark.parametrize(
    ("name", "modality", "share"),
    [("covid_su", "proteome", 0.017), ("covid_su", "metabolome", 0.188), ("covid_overmyer", "proteome", 0.0)],
)
def test_as_much_is_missing_as_the_readme_states(
    name: str, modality: str, share: float, stores: dict[str, OmicsStore]
) -> None:
    missing = np.isnan(read(stores[name], modality)[0]).mean()
    assert missing == pytest.approx(share, abs=0.01)  # stated with the healthy donors, who are left out


@pytest.mark.parametrize(
    ("name", "modality", "share"), [("nci60", "transcriptome", 0.19), ("covid_overmyer_lfq", "proteome", 0.10)]
)
def test_what_was_not_detected_is_below_a_limit_and_not_missing(
    name: str, modality: str, share: float, stores: dict[str, OmicsStore]
) -> None:
    values, below = read(stores[name], modality)
    assert not np.isnan(values).any()
    assert below.mean() == pytest.approx(share, abs=0.005)
    assert name != "nci60" or set(values[below]) == {1.0}
    assert (values[below] > 0).all()


def test_the_outcomes_of_all_cohorts_are_known_as_often_as_the_readme_states(stores: dict[str, OmicsStore]) -> None:
    assert known(stores["covid_su"], "next_who") == 120
    death = stores["sepsis_race"].outcomes["death28"].value_counts()
    assert (death["yes"], death.sum()) == (108, 236)
    assert known(stores["ccle"], "tissue") == 799
    assert len(stores["ccle"].outcome("tissue").classes) == 15
    assert sizes(stores["nci60"], "epithelial") == {"yes": 38, "no": 20}
    assert len(stores["nci60"].outcome("tissue").classes) == 9
    assert known(stores["pregnancy"], "weeks") == 51
    assert {known(stores[name], "class") for name in ("mtbls90", "mtbls404", "st000369", "st000496")} == {
        968,
        184,
        80,
        100,
    }


def test_covid_su_forecasts_the_score_of_the_second_draw_from_the_first(stores: dict[str, OmicsStore]) -> None:
    store = stores["covid_su"]
    asked = store.outcomes["next_who"].notna()
    assert set(store.visits["visit"][asked]) == {"BL"}
    last = store.outcomes["who"][asked] - store.outcomes["next_who"][asked]
    assert float((last**2).mean() ** 0.5) == pytest.approx(0.966, abs=0.001)  # the last observation's error


def test_sepsis_is_asked_of_the_first_draw_and_not_of_those_who_lived_to_give_another(
    stores: dict[str, OmicsStore],
) -> None:
    store = stores["sepsis_race"]
    for outcome in ("death28", "death1y"):
        assert set(store.visits["visit"][store.outcome_observed(outcome)]) == {"T0"}
    assert "Propylene.glycol" not in store.modalities["metabolome"].features.ids
    assert float(store.visits["age"].max()) == 91.0  # '>90'
    assert store.manifest["clinical"] == ["age", "sofa", "sex", "arm"]
    assert store.visits[["age", "sofa", "sex", "arm"]].notna().all(axis=None)


def test_vaccine_counts_people_by_assay_and_year_and_knows_that_units_differ(stores: dict[str, OmicsStore]) -> None:
    store = stores["vaccine_cmipb"]
    year = store.visits["year"]
    counts = {name: people_with(store, name, year == "2020") for name in store.modalities}
    assert counts == {"titres": 58, "transcriptome": 36, "cells": 20, "proteome": 18}
    assert people_with(store, "transcriptome", year == "2021") == 36
    assert (store.visits["platform"] == year).all()
    assert store.visits.groupby("participant_id").size().max() == 8
    values, _ = store.modalities["proteome"].read(np.arange(len(store)))
    medians = {y: float(np.nanmedian(values[(year == y).to_numpy()])) for y in ("2020", "2021", "2022")}
    assert medians["2020"] == pytest.approx(7.6, abs=0.2)  # NPX is a logarithm
    assert 2 ** medians["2021"] == pytest.approx(120, rel=0.1)  # pg/ml
    assert 2 ** medians["2022"] == pytest.approx(103, rel=0.1)
    asked = store.visits[store.outcome_observed("igg_pt_day14")]
    assert set(asked["visit"]) == {"0"}
    assert set(asked["year"]) == {"2020", "2021"}


def test_no_time_or_visit_of_a_pregnancy_tells_the_week(stores: dict[str, OmicsStore]) -> None:
    assert (stores["pregnancy"].visits["time_days"] == 0).all()


def test_both_samples_of_a_mouth_are_one_participants(stores: dict[str, OmicsStore], shared: Path) -> None:
    store = stores["st000496"]
    table = pd.read_csv(shared / "metabolomics" / "ST000496.csv.gz")
    numbers = table["SampleID"].str.extract(r"_(\d+)$")[0]
    assert (table.groupby(numbers)["PISA(mm2)"].nunique() == 1).all()
    assert (store.visits.groupby("participant_id").size() == 2).all()


@pytest.mark.parametrize("name", ["mtbls90", "mtbls404"])
def test_the_sex_that_is_asked_is_not_among_what_a_clinician_knows(name: str, stores: dict[str, OmicsStore]) -> None:
    assert not {"sex", "age"} & set(stores[name].visits.columns)


@pytest.mark.parametrize("name", ["nci60", "sepsis_race", "vaccine_cmipb"])
def test_a_cohort_that_is_exported_and_prepared_again_is_the_same_store(
    stores: dict[str, OmicsStore], tmp_path: Path, name: str
) -> None:
    again = prepare(export_store(stores[name], tmp_path / f"{name}.h5mu"), tmp_path / "again")
    assert again.fingerprint == stores[name].fingerprint
