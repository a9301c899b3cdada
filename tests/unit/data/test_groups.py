"""Families, sites, plates and time: what must stay together never stands on both sides."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.folds import leave_one_out, make_split, split_at
from omicsfm.data.groups import group_labels, inner_groups, outside
from omicsfm.data.split_options import add_split_options, split_asked
from omicsfm.data.splits import Split
from omicsfm.errors import InputError


@pytest.fixture
def visits() -> pd.DataFrame:
    """60 people in 20 families, 6 sites and 12 plates; some people lie on two plates; recruited over two years."""
    person = np.repeat(np.arange(60), 2)
    return pd.DataFrame(
        {
            "participant_id": [f"P{n:02d}" for n in person],
            "family_id": [f"F{n // 3:02d}" for n in person],
            "site": [f"s{n // 10}" for n in person],
            "plate": [f"p{n // 5}" if visit == 0 or n % 15 else f"p{(n // 5 + 1) % 12}" for n, visit in
                      zip(person, np.tile([0, 1], 60), strict=True)],
            "date": pd.to_datetime("2024-01-01").strftime("%Y-%m-%d"),
        }
    ).assign(date=[f"202{4 + n // 30}-0{1 + n % 9}-15" for n in person])  # fmt: skip


def sides(split: Split, visits: pd.DataFrame, column: str) -> None:
    for repeat, fold in split.folds():
        train, test = split.masks(visits, repeat, fold)
        assert train.any()
        assert test.any()
        assert not set(visits[column][train]) & set(visits[column][test])


@pytest.mark.parametrize("column", ["family_id", "site", "plate"])
def test_no_group_stands_on_both_sides(visits: pd.DataFrame, column: str) -> None:
    split = make_split(visits, by=(column,), families_may_cross=column != "family_id", repeats=2, folds=3, seed=0)
    sides(split, visits, column)


def test_a_person_on_two_plates_joins_them(visits: pd.DataFrame) -> None:
    label = pd.Series(group_labels(visits, ["plate"]))
    both = visits.groupby("participant_id")["plate"].unique()
    first, second = next(plates for plates in both if len(plates) == 2)
    assert len(label[visits["plate"].isin([first, second])].unique()) == 1
    assert label.nunique() < visits["plate"].nunique()


def test_families_are_kept_together_without_being_asked(visits: pd.DataFrame) -> None:
    sides(make_split(visits, repeats=1, folds=4, seed=0), visits, "family_id")


def test_leaving_one_out_tests_each_group_once(visits: pd.DataFrame) -> None:
    alone = visits.drop(columns="family_id")
    split = leave_one_out(alone, by=("site",))
    assert len(list(split.folds())) == 6
    sides(split, alone, "site")


def test_a_split_in_time_trains_before_and_tests_after(visits: pd.DataFrame) -> None:
    split = split_at(visits, after="2025-01-01", column="date")
    train, test = split.masks(visits, 0, 0)
    assert visits["date"][train].max() < "2025-01-01" <= visits["date"][test].min()
    late = visits.copy()
    late.loc[0, "date"] = "2026-01-01"  # one visit of P00: the whole family F00 lies on both sides
    moved = split_at(late, after="2025-01-01", column="date")
    assert moved.made["participants_left_out"] == 3
    with pytest.raises(InputError, match="1 visits lie on the wrong side of date 2025-01-01"):
        split.masks(late, 0, 0)


def test_time_since_the_first_visit_is_no_cut(visits: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="time_days of most cohorts counts from each participant's first visit"):
        split_at(visits.assign(time_days=np.tile([0.0, 400.0], 60)), after="200", column="time_days")
    with pytest.raises(InputError, match="holds '2024-01-15', which is no number"):
        split_at(visits, after="200", column="date")


def test_a_family_that_crosses_is_refused_unless_the_split_allows_it(visits: pd.DataFrame, tmp_path: Path) -> None:
    alone = make_split(visits.drop(columns="family_id"), repeats=1, folds=5, seed=0)
    with pytest.raises(InputError, match=r"values of family_id are on both sides \(first: 'F\d\d'\)"):
        alone.masks(visits, 0, 0)
    allowed = make_split(visits, families_may_cross=True, repeats=1, folds=5, seed=0)
    allowed.write(tmp_path / "split.csv")
    Split.read(tmp_path / "split.csv").masks(visits, 0, 0)


def test_a_table_edited_after_it_was_made_is_refused(visits: pd.DataFrame, tmp_path: Path) -> None:
    make_split(visits, repeats=1, folds=5, seed=0).write(tmp_path / "split.csv")
    text = (tmp_path / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace("P00,0,", "P00,0,1", 1))
    with pytest.raises(InputError, match="was changed after it was made"):
        Split.read(tmp_path / "split.csv")


def test_folds_of_families_are_stratified(visits: pd.DataFrame) -> None:
    ill = (np.arange(60) // 3 % 4 == 0).repeat(2).astype(int)  # five whole families
    split = make_split(visits, labels=ill, repeats=1, folds=5, seed=0)
    assert [int(ill[split.masks(visits, 0, fold)[1]].sum()) for fold in range(5)] == [6] * 5


def test_inner_folds_keep_groups_whole_where_enough_are_left(visits: pd.DataFrame) -> None:
    everybody = np.arange(len(visits))
    assert (inner_groups(visits, ["site"], train=everybody) == group_labels(visits, ["site"])).all()
    two_sites = np.flatnonzero(visits["site"].isin(["s0", "s1"]))
    within = inner_groups(visits, ["site", "family_id"], train=two_sites)
    assert (within == group_labels(visits, ["family_id"])).all()


def test_nobody_is_read_who_shares_a_family_with_a_tested_one(visits: pd.DataFrame) -> None:
    readable = outside(visits, ["P04"], ["family_id"])
    assert set(visits["participant_id"][~readable]) == {"P03", "P04", "P05"}


def test_groups_that_cannot_make_the_folds_are_refused_with_the_number(visits: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="form 6 groups by site, which cannot make 9 folds"):
        make_split(visits.drop(columns="family_id"), by=("site",), repeats=1, folds=9, seed=0)
    with pytest.raises(InputError, match="no column 'sit' to group by; did you mean 'site'"):
        make_split(visits, by=("sit",), repeats=1, folds=2, seed=0)


def test_the_options_of_a_command_make_the_split_they_name(visits: pd.DataFrame) -> None:
    parser = argparse.ArgumentParser()
    add_split_options(parser, repeats=1)
    made = split_asked(parser.parse_args(["--group", "site", "--leave-one-out", "--families-may-cross"]), visits).made
    assert made["method"] == "leave one out"
    assert made["kept_together"] == ["site"]
    with pytest.raises(InputError, match="cannot both cross and stay whole"):
        split_asked(parser.parse_args(["--group", "family_id", "--families-may-cross"]), visits)
