"""A split in time of people who come back: trained on the past of some, tested on the future of others."""

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.folds import make_split, split_at
from omicsfm.data.splits import Split
from omicsfm.data.times import Cut
from omicsfm.errors import InputError


@pytest.fixture
def visits() -> pd.DataFrame:
    """20 participants with a visit in each of four years."""
    people = np.repeat([f"P{number:02d}" for number in range(20)], 4)
    years = np.tile([2010, 2012, 2014, 2016], 20)
    dates = [f"{year}-0{1 + number % 9}-15" for number, year in enumerate(years)]
    return pd.DataFrame({"participant_id": people, "visit": np.tile(list("abcd"), 20), "date": dates})


def test_no_training_visit_is_later_than_a_test_visit_and_nobody_is_on_both_sides(visits) -> None:
    split = make_split(visits, repeats=2, folds=4, seed=0, cut=Cut("2014-01-01", "date"))
    tested = []
    for repeat, fold in split.folds():
        train, test = split.masks(visits, repeat, fold)
        assert visits["date"][train].max() < "2014-01-01" <= visits["date"][test].min()
        assert not set(visits["participant_id"][train]) & set(visits["participant_id"][test])
        tested += visits["participant_id"][test].unique().tolist()
        readable = split.readable(visits, visits["participant_id"][test].unique())
        assert not (readable & (visits["date"] >= "2014-01-01").to_numpy()).any()
    assert sorted(tested) == sorted(2 * visits["participant_id"].unique().tolist())


def test_people_who_come_back_leave_nobody_to_a_cut_between_people(visits) -> None:
    with pytest.raises(InputError, match="both must be above 0"):
        split_at(visits, after="2014-01-01", column="date")


def test_the_cut_comes_back_from_the_file(visits, tmp_path) -> None:
    split = make_split(visits, repeats=1, folds=4, seed=0, cut=Cut("2014-01-01", "date"))
    split.write(tmp_path / "split.csv")
    again = Split.read(tmp_path / "split.csv")
    for ours, theirs in zip(split.masks(visits, 0, 1), again.masks(visits, 0, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("2030-01-01", "0 test visits at or after it; both must be above 0"),
        ("01.02.2014", "expected days as a number, or a date as YYYY-MM-DD"),
        ("12", "holds '2010-01-15', which is no number"),
    ],
)
def test_a_cut_without_sense_is_one_clear_message(visits, after: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_split(visits, repeats=1, folds=4, seed=0, cut=Cut(after, "date"))
