"""Splits: a participant is never on both sides, and a file is read as it was written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsfm.data.folds import make_split
from omicsfm.data.splits import Split
from omicsfm.errors import InputError


def visits_of(participants: int, visits: int) -> pd.DataFrame:
    return pd.DataFrame({"participant_id": [f"P{p:03d}" for p in range(participants) for _ in range(visits)]})


def people(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"participant_id": ids})


@settings(max_examples=25, deadline=None)
@given(participants=st.integers(6, 40), visits=st.integers(1, 4), folds=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_every_participant_is_tested_once_per_repeat_with_all_visits(
    participants: int, visits: int, folds: int, seed: int
) -> None:
    ids = visits_of(participants, visits)
    split = make_split(ids, repeats=2, folds=folds, seed=seed)
    for repeat in range(2):
        tested = np.zeros(len(ids), dtype=int)
        for fold in range(folds):
            train, test = split.masks(ids, repeat, fold)
            assert not set(ids["participant_id"][train]) & set(ids["participant_id"][test])
            assert (train | test).all()
            tested += test
        assert (tested == 1).all()


def test_folds_are_stratified_by_label() -> None:
    ids = visits_of(40, 2)
    labels = np.repeat(np.arange(40) < 10, 2).astype(int)
    split = make_split(ids, labels=labels, repeats=1, folds=5, seed=0)
    cases = [int(labels[split.masks(ids, 0, fold)[1]].sum()) for fold in range(5)]
    assert cases == [4, 4, 4, 4, 4]  # two people, two visits each


def test_the_same_seed_makes_the_same_split_and_repeats_differ() -> None:
    ids = visits_of(20, 1)
    first, again = (make_split(ids, repeats=2, folds=4, seed=9) for _ in range(2))
    assert first.sha256 == again.sha256
    assert first.sha256 != make_split(ids, repeats=2, folds=4, seed=10).sha256
    folds = first.table.pivot_table(index="participant_id", columns="repeat", values="fold")
    assert (folds[0] != folds[1]).any()


def test_the_first_repeat_is_a_split_of_its_own_that_says_so() -> None:
    ids = visits_of(20, 1)
    split = make_split(ids, repeats=3, folds=4, seed=9)
    first = split.first_repeat()
    assert list(first.folds()) == [(0, fold) for fold in range(4)]
    np.testing.assert_array_equal(first.masks(ids, 0, 2), split.masks(ids, 0, 2))
    assert first.made == {**split.made, "repeats": 1}


def test_a_split_is_read_as_it_was_written_with_ids_that_look_like_numbers(tmp_path: Path) -> None:
    ids = people(*[f"{p:04d}" for p in range(8)])
    split = make_split(ids, repeats=1, folds=2, seed=0)
    split.write(tmp_path / "new" / "split.csv")
    read = Split.read(tmp_path / "new" / "split.csv")
    pd.testing.assert_frame_equal(read.table, split.table, check_dtype=False)
    assert read.sha256 == split.sha256
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"split.csv", "split.csv.json"}


def test_the_hash_does_not_depend_on_the_order_of_rows() -> None:
    split = make_split(visits_of(8, 1), repeats=1, folds=2, seed=0)
    assert Split(split.table[::-1]).sha256 == split.sha256


def test_fold_minus_1_is_never_tested() -> None:
    table = pd.DataFrame({"participant_id": ["a", "b", "c"], "repeat": 0, "fold": [0, 1, -1]})
    split = Split(table)
    assert list(split.folds()) == [(0, 0), (0, 1)]
    train, test = split.masks(people("a", "b", "c"), 0, 0)
    assert train.tolist() == [False, True, True]
    assert test.tolist() == [True, False, False]


def test_a_participant_outside_the_split_is_on_neither_side() -> None:
    split = Split(pd.DataFrame({"participant_id": ["a", "b"], "repeat": 0, "fold": [0, 1]}))
    train, test = split.masks(people("a", "b", "stranger"), 0, 1)
    assert not train[2]
    assert not test[2]


def test_a_participant_in_two_folds_of_a_repeat_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="'a', repeat 0"):
        Split(pd.DataFrame({"participant_id": ["a", "a", "b"], "repeat": 0, "fold": [0, 1, 1]}))


def test_a_row_that_stands_twice_counts_once() -> None:
    table = pd.DataFrame({"participant_id": ["a", "a", "b"], "repeat": 0, "fold": [0, 0, 1]})
    assert len(Split(table).table) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("participant,repeat,fold\na,0,0\n", "column 'participant_id' is missing; did you mean 'participant'"),
        ("participant_id,repeat,fold\na,0,x\n", "column 'fold' must hold whole numbers"),
        ("", "not a readable split"),
    ],
)
def test_a_file_that_is_no_split_is_refused_with_the_way_out(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        Split.read(tmp_path / "split.csv")


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv"):
        Split.read(tmp_path / "absent.csv")


def test_a_split_of_another_cohort_is_refused() -> None:
    split = make_split(visits_of(8, 1), repeats=1, folds=2, seed=0)
    with pytest.raises(InputError, match="Does the split belong to this cohort"):
        split.masks(people("X1", "X2"), 0, 0)


def test_an_unknown_fold_is_refused_with_the_known_ones() -> None:
    split = make_split(visits_of(8, 1), repeats=1, folds=2, seed=0)
    with pytest.raises(InputError, match=r"no \(repeat 0, fold 7\); known: \(0, 0\), \(0, 1\)"):
        split.masks(visits_of(8, 1), 0, 7)


def test_fewer_participants_than_folds_is_refused() -> None:
    with pytest.raises(InputError, match="3 participants cannot make 5 folds"):
        make_split(visits_of(3, 4), repeats=1, folds=5, seed=0)
