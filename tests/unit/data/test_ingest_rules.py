"""What a COHORT.yaml may say beyond column names: rules, tests, units, thresholds, joins."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from omicsfm.data.ingest.columns import ColumnRule, as_text
from omicsfm.data.ingest.conditions import Test
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore

N = 12


def clinical() -> pd.DataFrame:
    """Twelve people, one row each."""
    return pd.DataFrame(
        {
            "id": [f"S{n:02d}-BL" for n in range(N)],
            "months": np.arange(N) + 0.5,
            "status": ["dead", "alive", "lost"] * (N // 3),
            "score": range(N),
            "ward": ["A", "B"] * (N // 2),
            "age": 40 + 4 * np.arange(N),
        }
    )


def build(folder: Path, table: pd.DataFrame | None = None, **said: Any) -> OmicsStore:
    """Prepare the cohort; ``said`` replaces top-level keys, ``visits`` is added to."""
    table = clinical() if table is None else table
    table.to_csv(folder / "clinical.csv", index=False)
    matrix = pd.DataFrame({"id": table["id"], "A": np.sin(np.arange(len(table))), "B": np.cos(np.arange(len(table)))})
    if not (folder / "p.csv").exists():
        matrix.to_csv(folder / "p.csv", index=False)
    node = {
        "name": "small",
        "visits": {"path": "clinical.csv", "key": "id", "participant_id": "id"} | said.pop("visits", {}),
        "modalities": {"proteome": {"path": "p.csv", "namespace": "local", "scale": "log2"} | said.pop("proteome", {})},
    }
    (folder / "COHORT.yaml").write_text(yaml.safe_dump(node | said))
    return prepare(folder / "COHORT.yaml", folder / "store")


def test_ids_are_cut_from_a_column_and_visits_mapped_to_days(tmp_path: Path) -> None:
    table = pd.concat([clinical(), clinical().assign(id=lambda t: t["id"].str.replace("BL", "FU"))], ignore_index=True)
    parts = {"from": "id", "pattern": r"S\d+-(BL|FU)"}
    store = build(
        tmp_path,
        table,
        visits={
            "participant_id": {"from": "id", "pattern": r"(S\d+)-.*"},
            "visit": parts,
            "time_days": parts | {"values": {"BL": 0, "FU": 180}},
        },
    )
    first = store.visits.iloc[:2]
    assert first["participant_id"].tolist() == ["S00", "S00"]
    assert first["visit"].tolist() == ["BL", "FU"]
    assert first["time_days"].tolist() == [0.0, 180.0]
    assert store.manifest["participants"] == N


def test_a_constant_names_the_visit(tmp_path: Path) -> None:
    store = build(tmp_path, visits={"visit": {"value": "baseline"}})
    assert set(store.visits["visit"]) == {"baseline"}
    assert (store.visits["time_days"] == 0).all()


def test_months_become_days_and_a_test_marks_the_event(tmp_path: Path) -> None:
    death = {"kind": "survival", "time_months": "months", "event": "status", "event_if": {"equals": "dead"}}
    store = build(tmp_path, outcomes={"death": death | {"level": "participant"}})
    np.testing.assert_allclose(store.outcomes["death.time_days"], (np.arange(N) + 0.5) * 30.4375)
    assert store.outcomes["death.event"].tolist() == [1.0, 0.0, 0.0] * (N // 3)


def test_a_threshold_makes_two_classes_with_the_positive_one_last(tmp_path: Path) -> None:
    table = clinical().astype({"score": float})
    table.loc[0, "score"] = np.nan
    high = {"kind": "class", "column": "score", "positive_if": {"at_least": 5}, "among": {"ward": "A"}}
    store = build(
        tmp_path,
        table,
        outcomes={"high": high, "low": high | {"positive_if": {"below": 3}, "classes": ["fine", "ill"]}},
    )
    assert store.outcome("high").classes == ("no", "yes")
    assert store.outcomes["high"].fillna("?").tolist() == [
        "?",
        "?",
        "no",
        "?",
        "no",
        "?",
        "yes",
        "?",
        "yes",
        "?",
        "yes",
        "?",
    ]
    assert store.outcome("low").classes == ("fine", "ill")
    assert store.manifest["source"]["outcomes"]["high"] == {"known": 5, "missing": 7, "class no": 2, "class yes": 3}


def test_classes_give_the_order_of_the_labels(tmp_path: Path) -> None:
    ward = {"kind": "class", "column": "ward", "classes": ["B", "A"]}
    assert build(tmp_path, outcomes={"ward": ward}).outcome("ward").classes == ("B", "A")


def test_where_keeps_rows_and_the_rest_is_counted_apart_from_what_matches_nothing(tmp_path: Path) -> None:
    clinical().assign(A=1.5, B=2.5)[["id", "A", "B"]].replace("S11-BL", "T11-BL").to_csv(
        tmp_path / "p.csv", index=False
    )
    store = build(tmp_path, visits={"where": {"ward": "A", "score": {"above": 1, "present": True}}})
    assert store.visits["participant_id"].tolist() == ["S02-BL", "S04-BL", "S06-BL", "S08-BL", "S10-BL"]
    assert store.manifest["source"]["visits"]["set_aside_by_where"] == 7
    counts = store.manifest["source"]["modalities"]["proteome"]
    assert (counts["matched"], counts["of_visits_set_aside"], counts["unmatched"]) == (5, 6, 1)


def test_where_of_a_modality_chooses_rows_of_its_matrix(tmp_path: Path) -> None:
    one = clinical()[["id"]].assign(tissue="plasma", A=np.arange(N) / 3.0)
    pd.concat([one, one.assign(tissue="urine", A=-1.0)]).to_csv(tmp_path / "p.csv", index=False)
    matrix = build(tmp_path, proteome={"where": {"tissue": "plasma"}}).modalities["proteome"]
    assert matrix.features.ids == ("A",)
    assert matrix.read(np.array([3]))[0].tolist() == [[1.0]]


def test_weeks_become_days(tmp_path: Path) -> None:
    assert build(tmp_path, visits={"time_weeks": "score"}).visits["time_days"].tolist() == [7.0 * n for n in range(N)]


def test_values_that_rounding_made_negative_are_zero_and_counted(tmp_path: Path) -> None:
    clinical()[["id"]].assign(A=[-1e-13, *range(1, N)]).to_csv(tmp_path / "p.csv", index=False)
    store = build(tmp_path, proteome={"scale": "raw"})
    assert store.modalities["proteome"].read(np.array([0]))[0].tolist() == [[0.0]]
    assert store.manifest["source"]["modalities"]["proteome"]["values_rounded_to_zero"] == 1


def test_classes_are_those_that_occur_in_the_store(tmp_path: Path) -> None:
    table = clinical().assign(ward=["C", *["A", "B"] * (N // 2 - 1), "A"])
    ward = {"kind": "class", "column": "ward"}
    store = build(
        tmp_path, table, visits={"where": {"ward": {"present": True}, "score": {"above": 0}}}, outcomes={"ward": ward}
    )
    assert store.outcome("ward").classes == ("A", "B")
    table[["id"]][1:].assign(A=0.5, B=np.arange(1, N) / 3.0).to_csv(tmp_path / "p.csv", index=False)
    assert build(tmp_path, table, outcomes={"ward": ward}).outcome("ward").classes == ("A", "B")


def test_a_visit_needs_every_required_modality(tmp_path: Path) -> None:
    clinical()[["id", "score"]].rename(columns={"score": "X"}).assign(X=lambda t: np.sin(t["X"]))[:5].to_csv(
        tmp_path / "m.csv", index=False
    )
    clinical()[["id"]].assign(A=np.arange(N) / 7.0)[3:].to_csv(tmp_path / "p.csv", index=False)
    both = {
        "proteome": {"path": "p.csv", "namespace": "local", "scale": "log2"},
        "metabolome": {"path": "m.csv", "namespace": "local", "scale": "identity"},
    }
    store = build(tmp_path, modalities=both, require=["proteome", "metabolome"])
    assert store.visits["participant_id"].tolist() == ["S03-BL", "S04-BL"]
    assert store.modalities["metabolome"].read(np.arange(2))[0].ravel().tolist() == np.sin([3, 4]).astype("f4").tolist()
    assert store.manifest["source"]["visits"]["without_a_required_modality"] == 10


def test_kept_columns_subgroups_and_bands(tmp_path: Path) -> None:
    store = build(
        tmp_path,
        visits={
            "site": "ward",
            "age": "age",
            "keep": {"band": {"from": "age", "bands": [50, 65]}, "severity": "score"},
        },
        subgroups=["band", "site", "status"],
    )
    assert store.visits["band"].unique().tolist() == ["<50", "50-65", ">=65"]
    assert store.visits["severity"].tolist() == list(range(N))  # numbers stay numbers
    assert store.visits["site"].tolist() == ["A", "B"] * (N // 2)
    assert store.visits["status"].iloc[0] == "dead"
    assert store.manifest["subgroups"] == ["band", "site", "status"]


def test_another_clinical_table_is_joined_by_key(tmp_path: Path) -> None:
    extra = pd.DataFrame({"ward": ["A", "B"], "city": ["Assen", "Breda"]})
    extra.to_csv(tmp_path / "wards.tsv", sep="\t", index=False)
    store = build(tmp_path, visits={"join": [{"path": "wards.tsv", "key": "ward"}]}, subgroups=["city"])
    assert store.visits["city"].tolist() == ["Assen", "Breda"] * (N // 2)


def test_a_matrix_key_is_cut_to_shape(tmp_path: Path) -> None:
    pd.DataFrame({"file": [f"run7_{i}.raw" for i in clinical()["id"]], "A": np.arange(N) / 3.0}).to_csv(
        tmp_path / "p.csv", index=False
    )
    store = build(tmp_path, proteome={"key": {"from": "file", "pattern": r"run\d_(.*)\.raw"}})
    assert store.modalities["proteome"].read(np.array([3]))[0].tolist() == [[1.0]]


def test_ids_match_whether_or_not_a_table_wrote_them_with_a_decimal_point(tmp_path: Path) -> None:
    table = clinical().assign(id=range(1, N + 1))
    pd.DataFrame({"id": np.arange(1.0, N + 1), "A": np.arange(N) / 3.0}).to_csv(tmp_path / "p.csv", index=False)
    assert build(tmp_path, table).visits["participant_id"].tolist() == [str(n) for n in range(1, N + 1)]


def test_participant_level_survival_counts_from_the_first_visit(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "id": ["a1", "a2", "b1", "b2"],
            "who": ["a", "a", "b", "b"],
            "day": [0, 100, 10, 400],
            "fu": [250, np.nan, 300, 300],
            "died": [1, np.nan, 0, 0],
        }
    )
    death = {"kind": "survival", "time_days": "fu", "event": "died", "level": "participant"}
    visits = {"participant_id": "who", "visit": "id", "time_days": "day"}
    store = build(tmp_path, table, visits=visits, outcomes={"death": death})
    assert store.outcomes["death.time_days"].fillna(-1).tolist() == [250.0, 150.0, 300.0, -1.0]  # b2 is after b's last
    assert store.outcomes["death.event"].fillna(-1).tolist() == [1.0, 1.0, 0.0, -1.0]


def test_visits_are_ordered_by_participant_and_time(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["b2", "a1", "b1", "a2"], "who": ["b", "a", "b", "a"], "day": [30, 0, 0, 30]})
    store = build(tmp_path, table, visits={"participant_id": "who", "visit": "id", "time_days": "day"})
    assert store.visits["visit"].tolist() == ["b1", "b2", "a1", "a2"]
    expected = np.sin([2, 0, 1, 3]).astype(np.float32)
    np.testing.assert_array_equal(store.modalities["proteome"].read(np.arange(4))[0][:, 0], expected)


def test_the_policy_and_the_hashes_of_the_tables_are_in_the_manifest(tmp_path: Path) -> None:
    policy = {"purposes": ["research"], "jurisdictions": ["EU"], "min_cell_count": 10, "expires": "2030-01-01"}
    store = build(tmp_path, policy=policy)
    assert store.manifest["policy"] == policy
    assert sorted(store.manifest["source"]["files"]) == ["COHORT.yaml", "clinical.csv", "p.csv"]
    assert str(tmp_path) not in (store.path / "manifest.json").read_text()


def test_paths_take_variables_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMICSFM_TEST_TABLES", str(tmp_path))
    assert len(build(tmp_path, visits={"path": "${oc.env:OMICSFM_TEST_TABLES}/clinical.csv"})) == N


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (2, [False, True, False, False]),
        (["1", 3], [True, False, True, False]),
        ({"not": 2}, [True, False, True, False]),
        ({"not_in": [1, 2]}, [False, False, True, False]),
        ({"above": 1, "at_most": 2}, [False, True, False, False]),
        ({"present": False}, [False, False, False, True]),
        ({"matches": "[12]"}, [True, True, False, False]),
    ],
)
def test_an_unknown_value_passes_only_the_test_for_unknown(test: object, expected: list[bool]) -> None:
    assert Test.parse(test, "x").holds(pd.Series([1.0, 2.0, 3.0, np.nan]), "x").tolist() == expected


def test_text_of_a_column_keeps_zeros_in_front_and_loses_them_behind() -> None:
    assert as_text(pd.Series(["007", " 7.0 ", "7.10", "", None])).tolist() == ["007", "7", "7.10", None, None]
    assert as_text(pd.Series([7.0, 7.25, np.nan])).tolist() == ["7", "7.25", None]


def test_values_are_replaced_and_the_others_stay() -> None:
    rule = ColumnRule.parse({"from": "age", "values": {">90": 90}}, "x")
    assert rule.apply(pd.DataFrame({"age": ["55", ">90"]}), "x").tolist() == ["55", 90]
