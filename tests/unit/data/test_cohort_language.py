"""What a COHORT.yaml says of cohorts that come in several files, codes, long tables and later visits."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from omicsfm.data.ingest.cohort import LaterVisit
from omicsfm.data.ingest.columns import ColumnRule
from omicsfm.data.ingest.later_visits import later_place
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError

N = 12
DAYS = (0, 14)


def wave(number: int) -> pd.DataFrame:
    """One wave: six people at day 0 and 14, with one assay in columns A and B."""
    rows = [(f"S{person:02d}", day) for person in range(6 * number, 6 * number + 6) for day in DAYS]
    values = 1.0 + np.arange(len(rows)) + 100 * number
    return pd.DataFrame(rows, columns=["subject", "day"]).assign(A=values, B=np.sqrt(values))


def people() -> pd.DataFrame:
    return pd.DataFrame(
        {"person": [f"S{n:02d}" for n in range(N)], "dose": ["low", "high"] * 6, "score": np.arange(N) % 7, "lab": 8}
    )


def build(folder: Path, tables: dict[str, pd.DataFrame], **said: Any) -> OmicsStore:
    """Prepare two waves of one assay; ``said`` is added to the mapping of that name."""
    for name, table in {"one.csv": wave(0), "two.csv": wave(1), "people.csv": people(), **tables}.items():
        table.to_csv(folder / name, index=False)
    node: dict[str, Any] = {
        "name": "waves",
        "visits": {"path": ["one.csv", "two.csv"], "participant_id": "subject", "visit": "day", "time_days": "day"},
        "modalities": {"proteome": {"path": ["one.csv", "two.csv"], "namespace": "local", "scale": "raw"}},
    }
    node["visits"] |= said.pop("visits", {})
    node["modalities"]["proteome"] |= said.pop("proteome", {})
    (folder / "COHORT.yaml").write_text(yaml.safe_dump(node | said))
    return prepare(folder / "COHORT.yaml", folder / "store")


def values_of(store: OmicsStore) -> tuple[np.ndarray, np.ndarray]:
    return store.modalities["proteome"].read(np.arange(len(store)))


def test_files_of_two_waves_are_one_cohort(tmp_path: Path) -> None:
    store = build(tmp_path, {})
    assert (len(store), store.manifest["participants"]) == (2 * N, N)
    np.testing.assert_allclose(values_of(store)[0][:, 0], np.concatenate([wave(0)["A"], wave(1)["A"]]))
    assert {"one.csv", "two.csv"} <= set(store.manifest["source"]["files"])


def test_a_visit_that_two_files_name_is_one_visit(tmp_path: Path) -> None:
    other = pd.concat([wave(0)[["subject", "day"]], wave(1)[["subject", "day"]]]).assign(C=1.5)
    store = build(tmp_path, {"other.csv": other}, visits={"path": ["one.csv", "other.csv", "two.csv"]})
    assert len(store) == 2 * N


def test_files_without_a_common_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no column in common; one.csv begins with 'subject', people.csv with 'person'"
    ):
        build(tmp_path, {}, visits={"path": ["one.csv", "people.csv"]})


def test_a_feature_that_only_one_wave_has_is_not_measured_in_the_other(tmp_path: Path) -> None:
    store = build(tmp_path, {"two.csv": wave(1).rename(columns={"B": "C"})})
    assert store.modalities["proteome"].features.ids == ("A", "B", "C")
    missing = np.isnan(values_of(store)[0])
    assert missing[:N].tolist() == [[False, False, True]] * N
    assert missing[N:].tolist() == [[False, True, False]] * N


def test_waves_in_different_scales_meet_in_a_logarithm(tmp_path: Path) -> None:
    two = wave(1)
    two[["A", "B"]] = np.log2(two[["A", "B"]])
    files = [{"path": "one.csv", "scale": "concentration"}, {"path": "two.csv", "scale": "npx"}]
    store = build(tmp_path, {"two.csv": two}, proteome={"path": files, "scale": "log10"})
    expected = np.log10(pd.concat([wave(0), wave(1)])[["A", "B"]].to_numpy())
    np.testing.assert_allclose(values_of(store)[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("files", "scale", "zero", "expected"),
    [
        ([{"path": "one.csv", "scale": "log2"}, "two.csv"], "raw", False, "'log2', which cannot become the modality's"),
        ([{"path": "one.csv", "scale": "raw"}, "two.csv"], "log2", True, "1 values of one.csv are 0 or less"),
        ([{"scale": "raw"}, "two.csv"], "log2", False, r"path\[0\]: 'path' is missing"),
    ],
)
def test_scales_that_cannot_meet_are_refused(
    files: list[Any], scale: str, zero: bool, expected: str, tmp_path: Path
) -> None:
    one = wave(0)
    one.loc[3, "A"] = 0.0 if zero else 1.0
    with pytest.raises(InputError, match=expected):
        build(tmp_path, {"one.csv": one}, proteome={"path": files, "scale": scale})


def test_a_row_that_stands_twice_is_read_once_and_one_that_differs_is_refused(tmp_path: Path) -> None:
    two = wave(1)
    again = pd.concat([two, two.iloc[[3]]])
    store = build(tmp_path, {"two.csv": again})
    assert len(store) == 2 * N
    counts = store.manifest["source"]["modalities"]["proteome"]
    assert (counts["rows"], counts["matched"], counts["unmatched"]) == (2 * N + 1, 2 * N, 1)
    again.iloc[-1, -1] += 0.5
    with pytest.raises(InputError, match=r"the matrix's key .* has 1 duplicates \(first: 'S07 / 14'\)"):
        build(tmp_path, {"two.csv": again})


def test_files_of_one_modality_that_measure_nothing_in_common_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two.csv has no feature of one.csv: 'C' and 'A', say"):
        build(tmp_path, {"two.csv": wave(1).rename(columns={"A": "C", "B": "D"})})


def test_a_column_name_is_replaced_by_the_name_that_a_table_gives_it(tmp_path: Path) -> None:
    named = pd.DataFrame({"code": ["B", "A", "Z"], "label": ["glucose", "lactate", "unused"]})
    store = build(tmp_path, {"n.csv": named}, proteome={"features": {"path": "n.csv", "from": "code", "to": "label"}})
    assert store.modalities["proteome"].features.ids == ("lactate", "glucose")
    assert "n.csv" in store.manifest["source"]["files"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["x", None], "1 of 2 features have no name there"), (["x", "x"], "1 names belong to two features")],
)
def test_feature_names_that_are_no_names_are_refused(labels: list[str | None], expected: str, tmp_path: Path) -> None:
    named = pd.DataFrame({"code": ["A", "B"], "label": labels})
    with pytest.raises(InputError, match=expected):
        build(tmp_path, {"n.csv": named}, proteome={"features": {"path": "n.csv", "from": "code", "to": "label"}})


@pytest.mark.parametrize(("code", "cell"), [("", np.nan), ("0", 0.0), ("-1", -1.0), ("ND", "ND")])
@pytest.mark.parametrize("limit", [0.25, None])
def test_a_code_means_below_a_stated_limit_or_the_lowest_value(
    code: str, cell: object, limit: float | None, tmp_path: Path
) -> None:
    one = wave(0).astype({"A": object})
    one.loc[[2, 5], "A"] = cell
    store = build(tmp_path, {"one.csv": one}, proteome={"below_limit": {code: limit}})
    values, below = values_of(store)
    assert np.argwhere(below).tolist() == [[2, 0], [5, 0]]
    assert values[[2, 5], 0].tolist() == [1.0 if limit is None else limit] * 2


def test_a_long_table_gives_a_column_for_each_question(tmp_path: Path) -> None:
    long = pd.DataFrame(
        [(f"S{n:02d}", drug, 10.0 * n + place) for n in range(N) for place, drug in enumerate(("X", "Y"))],
        columns=["line", "drug", "area"],
    )
    join = [
        {"path": "long.csv", "key": {"subject": "line"}, "where": {"drug": drug}, "columns": {drug.lower(): "area"}}
        for drug in ("X", "Y")
    ]
    store = build(tmp_path, {"long.csv": long}, visits={"join": join, "keep": ["x", "y"]})
    assert store.visits["y"].tolist() == [10.0 * n + 1 for n in range(N) for _ in DAYS]


def test_a_joined_column_that_is_there_already_asks_for_another_name(tmp_path: Path) -> None:
    join = [{"path": "people.csv", "key": {"subject": "person"}, "columns": {"day": "score"}}]
    with pytest.raises(InputError, match=r"column 'day' is already in the visits; .*columns: \{NEW_NAME: score\}"):
        build(tmp_path, {}, visits={"join": join})


def test_bands_take_labels() -> None:
    rule = ColumnRule.parse({"from": "id", "bands": [61, 97], "labels": ["2020", "2021", "2022"]}, "platform")
    table = pd.DataFrame({"id": ["1", "60", "61", "97", None]})
    assert rule.apply(table, "platform").tolist() == ["2020", "2020", "2021", "2022", None]
    with pytest.raises(InputError, match="one more than there are limits"):
        ColumnRule.parse({"from": "id", "bands": [61, 97], "labels": ["2020", "2021"]}, "platform")


def test_an_outcome_may_be_the_value_at_the_next_visit(tmp_path: Path) -> None:
    outcomes = {
        "next": {"kind": "quantity", "column": "A", "at": "next_visit"},
        "rise": {"kind": "class", "column": "A", "positive_if": {"above": 5}, "at": {"after_weeks": 2}},
        "late": {
            "kind": "quantity",
            "column": "A",
            "at": {"after_days": [0, 20]},
            "among": {"subject": ["S00", "S01"]},
        },
    }
    one = pd.concat([wave(0), wave(1)], ignore_index=True)
    store = build(
        tmp_path,
        {"one.csv": one},
        visits={"path": "one.csv"},
        proteome={"path": "one.csv", "columns": ["B"]},
        outcomes=outcomes,
    )
    day0 = np.arange(0, len(one), 2)
    assert store.outcomes["next"][day0].tolist() == one["A"][day0 + 1].tolist()
    assert store.outcomes["next"][day0 + 1].isna().all()
    assert store.outcomes["rise"][:4:2].tolist() == ["no", "no"]
    assert store.outcomes["late"].notna().sum() == 2


def test_a_value_that_is_measured_today_may_be_the_outcome_of_an_earlier_visit(tmp_path: Path) -> None:
    shared = pd.concat([wave(0), wave(1)], ignore_index=True).assign(A=lambda t: np.sin(t["A"]) + 2)
    said: dict[str, Any] = {
        "visits": {"path": "one.csv", "join": [{"path": "again.csv", "key": ["subject", "day"]}]},
        "proteome": {"path": "one.csv"},
    }
    again = shared[["subject", "day", "A"]].rename(columns={"A": "level"})
    tables = {"one.csv": shared, "again.csv": again}
    store = build(tmp_path, tables, **said, outcomes={"x": {"kind": "quantity", "column": "level", "at": "next_visit"}})
    assert store.outcomes["x"].notna().sum() == N
    with pytest.raises(InputError, match="feature 'A' equals outcome x"):
        build(tmp_path, tables, **said, outcomes={"x": {"kind": "quantity", "column": "level"}})


def test_a_feature_that_equals_the_outcome_of_a_later_visit_is_refused(tmp_path: Path) -> None:
    table = pd.concat([wave(0), wave(1)], ignore_index=True).assign(A=lambda t: np.sin(t["A"]) + 2)
    told = table.assign(B=table.groupby("subject")["A"].transform("last"))
    with pytest.raises(InputError, match="feature 'B' equals outcome x"):
        build(
            tmp_path,
            {"one.csv": told},
            visits={"path": "one.csv"},
            proteome={"path": "one.csv", "columns": ["B"]},
            outcomes={"x": {"kind": "quantity", "column": "A", "at": "next_visit"}},
        )


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("last_visit", "expected next_visit, or one of after_days"),
        ({"after_days": [20, 10]}, r"as a number or as \[from, to\]"),
        ({"after_days": -1}, "0 or more"),
    ],
)
def test_a_later_visit_that_makes_no_sense_is_named(at: object, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        build(tmp_path, {}, outcomes={"x": {"kind": "quantity", "column": "A", "at": at}})


def test_the_later_visit_is_the_first_in_the_window_and_not_of_the_same_day(rng: np.random.Generator) -> None:
    who, when = rng.integers(0, 40, 400), rng.integers(-30, 60, 400).astype(float)
    for window in (LaterVisit(), LaterVisit(7.0, 21.0), LaterVisit(0.0, 5.0), LaterVisit(10.0, 10.0)):
        found = later_place(window, who, when)
        for visit in range(400):
            gap = when - when[visit]
            fit = np.flatnonzero((who == who[visit]) & (gap > 0) & (gap >= window.from_days) & (gap <= window.to_days))
            assert (found[visit] >= 0) == (len(fit) > 0)
            assert not len(fit) or when[found[visit]] == when[fit].min()


def test_the_covariates_are_what_the_cohort_lists(tmp_path: Path) -> None:
    join = [{"path": "people.csv", "key": {"subject": "person"}}]
    store = build(tmp_path, {}, visits={"join": join, "keep": ["dose", "score", "lab"]}, clinical=["score", "dose"])
    clinical = store.inputs["clinical"]
    assert clinical.features.ids == ("score", "dose=low")
    assert clinical.read(np.array([0, 2]))[0].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    with pytest.raises(InputError, match=r"clinical: 'sofa' is not a column of the store's visits"):
        build(tmp_path, {}, clinical=["sofa"])
