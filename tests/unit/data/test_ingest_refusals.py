"""Every bad input ends in one message that names the file and the column, and leaves nothing behind."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import yaml

from omicsfm.data.ingest.prepare import prepare
from omicsfm.errors import InputError

COHORT: dict[str, Any] = {
    "name": "small",
    "visits": {"path": "clinical.csv", "participant_id": "subject", "visit": "timepoint", "time_days": "day"},
    "modalities": {"proteome": {"path": "p.csv", "namespace": "local", "scale": "log2"}},
    "outcomes": {
        "severe": {"kind": "class", "column": "severe", "level": "visit"},
        "bmi": {"kind": "quantity", "column": "bmi", "level": "visit"},
        "death": {"kind": "survival", "time_days": "fu", "event": "died", "level": "participant"},
    },
}


class Cohort:
    """A good cohort of twenty visits in a folder, to be spoiled in one place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = deepcopy(COHORT)
        rng = np.random.default_rng(3)
        self.clinical = pd.DataFrame(
            {
                "subject": [f"P{n // 2:02d}" for n in range(20)],
                "timepoint": [f"V{n % 2}" for n in range(20)],
                "day": [n % 2 * 90 for n in range(20)],
                "severe": [["mild", "severe"][n % 3 == 0] for n in range(20)],
                "bmi": rng.normal(25, 3, 20).round(2),
                "fu": [100 + n // 2 for n in range(20)],
                "died": [n // 2 % 2 for n in range(20)],
            }
        )
        self.matrix = self.clinical[["subject", "timepoint"]].copy()
        for name in ("IL6", "TNF", "CRP"):
            self.matrix[name] = rng.normal(5, 1, 20)

    @property
    def modality(self) -> dict[str, Any]:
        return self.said["modalities"]["proteome"]

    def message(self) -> str:
        """What prepare says; there must be no store and no temporary file after it."""
        self.clinical.to_csv(self.folder / "clinical.csv", index=False)
        if not (self.folder / "p.csv").exists():
            self.matrix.to_csv(self.folder / "p.csv", index=False)
        return self.message_of_files()

    def message_of_files(self) -> str:
        (self.folder / "COHORT.yaml").write_text(yaml.safe_dump(self.said, sort_keys=False))
        before = sorted(self.folder.rglob("*"))
        with pytest.raises(InputError) as caught:
            prepare(self.folder / "COHORT.yaml", self.folder / "out" / "store")
        assert sorted(self.folder.rglob("*")) == before
        return str(caught.value)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return Cohort(tmp_path)


def test_the_cohort_that_the_tests_spoil_is_good(cohort: Cohort) -> None:
    cohort.clinical.to_csv(cohort.folder / "clinical.csv", index=False)
    cohort.matrix.to_csv(cohort.folder / "p.csv", index=False)
    (cohort.folder / "COHORT.yaml").write_text(yaml.safe_dump(cohort.said))
    store = prepare(cohort.folder / "COHORT.yaml", cohort.folder / "store")
    assert store.manifest["source"]["outcomes"]["death"] == {"known": 10, "missing": 0, "events": 5, "censored": 5}


def test_a_text_column_left_in_a_matrix_is_named(cohort: Cohort) -> None:
    cohort.matrix["batch_name"] = "spring"
    message = cohort.message()
    assert "proteome: column 'batch_name' holds text in 20 of 20 cells (first 'spring', row 1)" in message
    assert "add it to drop" in message


def test_a_column_of_true_and_false_is_text_too(cohort: Cohort) -> None:
    cohort.matrix["smoker"] = [n % 2 == 0 for n in range(20)]
    assert "column 'smoker' holds text" in cohort.message()


def test_an_undeclared_limit_text_is_not_guessed(cohort: Cohort) -> None:
    cohort.matrix["IL6"] = cohort.matrix["IL6"].astype(object)
    cohort.matrix.loc[4, "IL6"] = "<LOD"
    message = cohort.message()
    assert "column 'IL6' holds text in 1 of 20 cells (first '<LOD', row 5)" in message
    assert 'below_limit: "<LOD"' in message


@pytest.mark.parametrize("name", ["bmi", "fu"])
def test_a_column_that_is_also_clinical_is_named(cohort: Cohort, name: str) -> None:
    cohort.matrix[name] = np.arange(20.0)
    message = cohort.message()
    assert f"1 columns of p.csv are also in the clinical table clinical.csv: '{name}'" in message


def test_a_clinical_column_is_known_with_the_punctuation_that_r_gives_it(cohort: Cohort) -> None:
    cohort.clinical["Ferritin_NG/ML"] = 1.0
    cohort.matrix["Ferritin_NG.ML"] = 2.0
    assert "'Ferritin_NG.ML'" in cohort.message()


def test_a_true_feature_may_share_a_clinical_name_where_the_yaml_allows_it(cohort: Cohort) -> None:
    cohort.clinical["CRP"] = 1.0
    assert "'CRP'" in cohort.message()
    cohort.modality["allow"] = ["CRP"]
    (cohort.folder / "COHORT.yaml").write_text(yaml.safe_dump(cohort.said))
    store = prepare(cohort.folder / "COHORT.yaml", cohort.folder / "store")
    assert "CRP" in store.modalities["proteome"].features.ids


@pytest.mark.parametrize("source", ["bmi", "severe", "died", "fu"])
def test_a_feature_that_equals_an_outcome_is_named(cohort: Cohort, source: str) -> None:
    column = cohort.clinical[source]
    number = pd.Series(pd.factorize(column)[0]) if column.dtype == object else column
    cohort.matrix["innocent"] = 3.0 - 2.0 * number  # scaled and shifted is no less of a copy
    message = cohort.message()
    assert "feature 'innocent' equals outcome" in message
    assert f"column {source}" in message


def test_negative_values_on_a_raw_scale_are_counted_and_placed(cohort: Cohort) -> None:
    cohort.modality["scale"] = "raw"
    cohort.matrix.loc[7, "TNF"] = -7.25
    cohort.matrix.loc[9, "IL6"] = -1.0
    message = cohort.message()
    assert message.startswith(
        "proteome: 2 of 60 values are negative (lowest -7.25, participant P03, visit V1, feature 'TNF')"
    )
    assert "but scale is 'raw'. If these are NPX or log2 values, set scale: npx or log2 in COHORT.yaml" in message


@pytest.mark.parametrize(
    ("scale", "value", "expected"),
    [
        ("tpm", -1.0, "negative (lowest -1"),
        ("counts", 2.5, "not whole numbers (first 2.5"),
        ("relative_abundance", 12.0, "above 1 (highest 12"),
        ("log2", 1.8e11, "above 64 (highest 1.8e+11"),
        ("npx", 41.5, "above 40 (highest 41.5"),
        ("concentration", -0.5, "negative (lowest -0.5"),
        ("raw", np.inf, "infinite (first inf"),
    ],
)
def test_values_that_a_scale_cannot_hold_are_refused(cohort: Cohort, scale: str, value: float, expected: str) -> None:
    cohort.modality["scale"] = scale
    names = ["IL6", "TNF", "CRP"]
    cohort.matrix[names] = 1.0 if scale != "relative_abundance" else 0.1
    cohort.matrix.loc[2, "CRP"] = value
    message = cohort.message()
    assert expected in message
    assert f"participant P01, visit V0, feature 'CRP') but scale is '{scale}'" in message


def test_an_empty_modality_is_named(cohort: Cohort) -> None:
    cohort.matrix[["IL6", "TNF", "CRP"]] = np.nan
    assert "proteome: 20 rows match a visit but hold no value" in cohort.message()


def test_a_table_with_a_header_only_is_named(cohort: Cohort) -> None:
    cohort.matrix = cohort.matrix[:0]
    assert "p.csv: the table has a header but no rows" in cohort.message()


def test_an_outcome_of_one_class_is_named(cohort: Cohort) -> None:
    cohort.clinical["severe"] = "mild"
    assert "outcome severe: all 20 known values are 'mild'" in cohort.message()


def test_an_outcome_without_events_is_named(cohort: Cohort) -> None:
    cohort.clinical["died"] = 0
    assert "outcome death: none of 10 followed has an event" in cohort.message()


def test_an_outcome_that_never_varies_or_is_never_known_is_named(cohort: Cohort) -> None:
    cohort.clinical["bmi"] = 25.0
    assert "outcome bmi: all 20 known values are 25" in cohort.message()
    cohort.clinical["bmi"] = np.nan
    assert "outcome bmi: no value is known" in cohort.message()


def test_an_event_that_is_not_0_or_1_asks_for_event_if(cohort: Cohort) -> None:
    cohort.clinical["died"] = ["alive", "dead"] * 10
    assert "event column 'died' holds 'alive'" in cohort.message()


def test_negative_follow_up_is_named_with_the_participant(cohort: Cohort) -> None:
    cohort.clinical.loc[[4, 5], "fu"] = -3
    message = cohort.message()
    assert "outcome death: 2 follow-up times are negative (lowest -3 days, participant P02)" in message


def test_a_participant_with_two_values_of_a_participant_outcome_is_named(cohort: Cohort) -> None:
    cohort.clinical.loc[5, "fu"] = 99
    message = cohort.message()
    assert "1 participants have different values at different visits (first: participant P02: 102.0, 99.0)" in message


@pytest.mark.parametrize(
    ("place", "key", "value", "expected"),
    [
        (("visits",), "participant_id", "subjct", "no column 'subjct'; did you mean 'subject'?"),
        (("outcomes", "severe"), "column", "sever", "no column 'sever'; did you mean 'severe'?"),
        (("outcomes", "death"), "event", "dyed", "no column 'dyed'; did you mean 'died'?"),
        (("modalities", "proteome"), "drop", ["TNFA"], "drop names 'TNFA', which is not there; did you mean 'TNF'?"),
        (("modalities", "proteome"), "columns", "TNF-.*", "pattern 'TNF-.*' matches no column"),
        (("modalities", "proteome"), "drop", ".*", "no feature is left"),
        (
            ("modalities", "proteome"),
            "key",
            ["subject", "timepont"],
            "no key column 'timepont'; did you mean 'timepoint'?",
        ),
        (("modalities", "proteome"), "layer", "npx", "layer 'npx' needs a .h5ad"),
        ((), "subgroups", ["sex"], "subgroups: there is no column 'sex'"),
    ],
)
def test_a_name_that_is_not_there_brings_the_closest(
    cohort: Cohort, place: tuple[str, ...], key: str, value: object, expected: str
) -> None:
    node = cohort.said
    for step in place:
        node = node[step]
    node[key] = value
    assert expected in cohort.message()


def test_a_repeated_visit_is_named(cohort: Cohort) -> None:
    cohort.clinical.loc[3, "timepoint"] = "V0"
    assert "1 rows repeat a visit (first: participant 'P01', visit 'V0')" in cohort.message()


def test_a_repeated_matrix_key_is_named(cohort: Cohort) -> None:
    cohort.matrix.loc[3, "timepoint"] = "V0"
    message = cohort.message()
    assert "proteome: the matrix's key (column subject / timepoint) has 1 duplicates (first: 'P01 / V0')" in message


def test_a_visit_that_heads_two_columns_is_named(cohort: Cohort) -> None:
    cohort.clinical["sample"] = cohort.clinical["subject"] + cohort.clinical["timepoint"]
    (cohort.folder / "p.csv").write_text("protein,P00V0,P00V1,P00V0\nIL6,1,2,3\n")
    cohort.modality.update(layout="columns_are_visits", key="sample")
    assert "proteome: 1 columns of p.csv appear twice (first: 'P00V0')" in cohort.message()


def test_a_key_that_fits_several_visits_is_named(cohort: Cohort) -> None:
    cohort.modality["key"] = "subject"
    cohort.modality["drop"] = ["timepoint"]
    cohort.matrix = cohort.matrix[::2]
    assert "proteome: the visits' key (column subject) has 10 duplicates (first: 'P00')" in cohort.message()


def test_identifiers_that_match_nothing_are_shown_from_both_sides(cohort: Cohort) -> None:
    cohort.matrix["subject"] = cohort.matrix["subject"].str.replace("P", "sub-")
    message = cohort.message()
    assert "none of 20 identifiers of the matrix is one of 20 visits" in message
    assert "'P00 / V0'" in message
    assert "'sub-00 / V0'" in message


def test_several_visits_need_a_time(cohort: Cohort) -> None:
    del cohort.said["visits"]["time_days"]
    assert "10 participants have several visits (first: 'P00') but no time is given" in cohort.message()


def test_an_unknown_time_is_named(cohort: Cohort) -> None:
    cohort.clinical.loc[3, "day"] = np.nan
    assert "the time of 1 of 20 visits is unknown (first: participant 'P01', visit 'V1')" in cohort.message()


def test_an_empty_participant_id_is_named(cohort: Cohort) -> None:
    cohort.clinical.loc[3, "subject"] = None
    assert "visits.participant_id: 1 of 20 rows have none (first: row 4)" in cohort.message()


def test_two_features_of_one_name_are_refused(cohort: Cohort) -> None:
    cohort.matrix = cohort.matrix.rename(columns={"TNF": "IL6"})
    assert "1 feature names appear twice (first: 'IL6')" in cohort.message()


def truncated_gzip(folder: Path) -> str:
    whole = folder / "whole.csv.gz"
    Cohort(folder).matrix.to_csv(whole, index=False)
    (folder / "m.csv.gz").write_bytes(whole.read_bytes()[:-200])
    return "m.csv.gz"


def truncated_text(folder: Path) -> str:
    (folder / "m.csv").write_text(Cohort(folder).matrix.to_csv(index=False)[:-45])
    return "m.csv"


def truncated_parquet(folder: Path) -> str:
    Cohort(folder).matrix.to_parquet(folder / "whole")
    (folder / "m.parquet").write_bytes((folder / "whole").read_bytes()[:-100])
    return "m.parquet"


def truncated_h5ad(folder: Path) -> str:
    anndata.AnnData(np.ones((20, 2), np.float32)).write(folder / "whole")
    (folder / "m.h5ad").write_bytes((folder / "whole").read_bytes()[:-2000])
    return "m.h5ad"


def not_text(folder: Path) -> str:
    (folder / "m.csv").write_bytes(b"subject,timepoint,IL6\nP00,V0,\xff\xfe\n")
    return "m.csv"


def empty(folder: Path) -> str:
    (folder / "m.tsv").write_text("")
    return "m.tsv"


def absent(folder: Path) -> str:
    return "m.csv"


def of_another_kind(folder: Path) -> str:
    (folder / "m.xlsx").write_text("PK")
    return "m.xlsx"


def plain_hdf5(folder: Path) -> str:
    with h5py.File(folder / "m.h5ad", "w") as file:
        file["X"] = np.ones(3)
    return "m.h5ad"


@pytest.mark.parametrize(
    "spoil",
    [
        truncated_gzip,
        truncated_text,
        truncated_parquet,
        truncated_h5ad,
        not_text,
        empty,
        absent,
        of_another_kind,
        plain_hdf5,
    ],
)
@pytest.mark.parametrize("part", ["matrix", "visits"])
def test_an_unreadable_file_is_named(cohort: Cohort, spoil: Callable[[Path], str], part: str) -> None:
    name = spoil(cohort.folder)
    (cohort.modality if part == "matrix" else cohort.said["visits"])["path"] = name
    assert name in cohort.message()


@pytest.mark.parametrize("trick", ["external link", "soft link", "external storage", "inflated", "objects"])
def test_a_crafted_h5ad_is_refused_before_it_is_read(cohort: Cohort, trick: str) -> None:
    secret = cohort.folder / "secret.bin"
    secret.write_bytes(b"\0" * 4000)
    with h5py.File(cohort.folder / "other.h5", "w") as file:
        file["X"] = np.ones(4)
    anndata.AnnData(np.ones((20, 2), np.float32)).write(cohort.folder / "m.h5ad")
    with h5py.File(cohort.folder / "m.h5ad", "a") as file:
        del file["X"]
        if trick == "external link":
            file["X"] = h5py.ExternalLink("other.h5", "/X")
        elif trick == "soft link":
            file["X"] = h5py.SoftLink("/obs")
        elif trick == "external storage":
            file.create_dataset("X", (20, 50), "f4", external=[(str(secret), 0, 4000)])
        elif trick == "inflated":
            file.create_dataset("X", (10**6, 8000), "f4", chunks=(1000, 1000), compression="gzip")
        else:
            file.create_dataset("X", (4,), h5py.vlen_dtype(np.dtype("f4")))
    cohort.modality["path"] = "m.h5ad"
    message = cohort.message()
    assert "m.h5ad: /X" in message
    said = {"external link": "link to", "soft link": "link to", "external storage": "another file"}
    assert said.get(trick, {"inflated": "declares 32.0 GB", "objects": "holds objects"}.get(trick, "")) in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [", "not a readable COHORT.yaml"),
        ("name: x", "'visits' is missing"),
        ("nme: x", "'nme' is not a known key; did you mean 'name'?"),
        ("- a\n- b", "expected a mapping"),
        ("name: x\nvisits: {path: '${oc.env:OMICSFM_NOT_SET}/x.csv'}", "'OMICSFM_NOT_SET' not found"),
    ],
)
def test_a_yaml_that_says_nothing_sensible_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "COHORT.yaml").write_text(text)
    with pytest.raises(InputError, match=r"COHORT\.yaml") as caught:
        prepare(tmp_path / "COHORT.yaml", tmp_path / "store")
    assert expected in str(caught.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("place", "changes", "expected"),
    [
        ("visits", {"tim_days": "day"}, "'tim_days' is not a known key; did you mean 'time_days'?"),
        (
            "visits",
            {"time_months": "day"},
            "give one of time_days, time_weeks, time_months, time_years, found time_days and time_months",
        ),
        ("visits", {"where": {"bmi": {"belw": 3}}}, "'belw' is not a test; did you mean 'below'?"),
        ("visits", {"where": {"bmi": {"below": "x"}}}, "below needs a number, found 'x'"),
        ("visits", {"where": {"bmi": {"below": 3}}}, "no row of column 'bmi' passes {'below': 3}; values found:"),
        ("visits", {"where": {"severe": True}}, "YAML reads a bare yes or no as true or false"),
        (
            "visits",
            {"visit": {"from": "timepoint", "pattern": "W(.)"}},
            "pattern 'W(.)' does not match 20 of 20 values",
        ),
        ("visits", {"visit": {"from": "timepoint", "value": "x"}}, "give either from (a column) or value"),
        ("visits", {"visit": {"from": "timepoint", "pattern": "("}}, "not a valid regular expression"),
        ("visits", {"age": "severe"}, "20 of 20 values of column 'severe' are not numbers (first 'severe')"),
        ("modality", {"scale": "log"}, "scale 'log' is not known; did you mean 'log2'?"),
        ("modality", {"namespace": "unprot"}, "namespace 'unprot' is not known; did you mean 'uniprot'?"),
        ("modality", {"scale": None}, "'scale' is missing; nothing is guessed"),
        ("outcome", {"kind": "clas"}, "kind 'clas' is not known; did you mean 'class'?"),
        (
            "outcome",
            {"kind": "competing_risks"},
            "'column' is not a known key; known: among, cause, causes",
        ),
        ("outcome", {"levl": "visit"}, "'levl' is not a known key; did you mean 'level'?"),
        ("outcome", {"classes": ["mild"]}, "holds 'severe', which is not one of classes mild"),
        ("outcome", {"classes": [False, True]}, "YAML reads a bare yes or no as true or false"),
        ("outcome", {"column": "bmi"}, "that is no class. Use kind: quantity"),
        ("top", {"require": ["metabolome"]}, "require names 'metabolome', which is no modality"),
        ("top", {"policy": {"expire": 2030}}, "'expire' is not a known key; did you mean 'expires'?"),
    ],
)
def test_a_key_or_value_that_is_wrong_is_named(
    cohort: Cohort, place: str, changes: dict[str, Any], expected: str
) -> None:
    nodes = {
        "visits": cohort.said["visits"],
        "modality": cohort.modality,
        "outcome": cohort.said["outcomes"]["severe"],
        "top": cohort.said,
    }
    nodes[place].update(changes)
    assert expected in cohort.message()


def test_a_modality_or_outcome_name_that_would_be_a_path_is_refused(cohort: Cohort) -> None:
    cohort.said["modalities"] = {"../proteome": cohort.modality}
    assert "'../proteome' cannot be a name" in cohort.message()


def test_an_h5mu_without_a_mapping_says_where_it_belongs(tmp_path: Path) -> None:
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"proteome": anndata.AnnData(np.ones((3, 2), np.float32))}).write(tmp_path / "x.h5mu")
    with pytest.raises(InputError, match=r"x\.h5mu: \.uns has no 'omicsfm'"):
        prepare(tmp_path / "x.h5mu", tmp_path / "store")


def test_a_folder_that_is_no_store_is_left_alone(cohort: Cohort) -> None:
    (cohort.folder / "out" / "store").mkdir(parents=True)
    (cohort.folder / "out" / "store" / "thesis.txt").write_text("the only copy")
    assert "exists and is not a store; it is left alone" in cohort.message()
