"""Who came when: histories, what was known last, and batches of whole participants."""

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.histories import Histories
from omicsfm.data.whole_participants import ParticipantSampler
from omicsfm.errors import InputError


def table(people, times, **columns) -> pd.DataFrame:
    names = [f"v{number}" for number in range(len(people))]
    return pd.DataFrame(
        {"participant_id": list(people), "visit": names, "time_days": np.array(times, float), **columns}
    )


@pytest.mark.parametrize("seed", range(5))
def test_histories_agree_with_looking_at_every_visit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    visits = table(generator.integers(0, 6, 40).astype(str), generator.integers(0, 12, 40))
    value = np.where(generator.random(40) < 0.4, np.nan, generator.normal(size=40))
    histories = Histories.of(visits)
    last, days = histories.last_known(value, np.arange(40), count=2)
    for row, own in visits.iterrows():
        earlier = visits[(visits["participant_id"] == own["participant_id"]) & (visits["time_days"] < own["time_days"])]
        assert sorted(histories.before(row)) == sorted(earlier.index)
        assert histories.earlier[row] == len(earlier)
        known = [r for r in histories.before(row) if not np.isnan(value[r])] + (
            [row] if value[row] == value[row] else []
        )
        wanted = [value[r] for r in known[::-1][:2]] + [np.nan] * 2
        np.testing.assert_array_equal(last[row], wanted[:2])
        np.testing.assert_array_equal(np.isnan(days[row]), np.isnan(wanted[:2]))


def test_completed_rows_hold_the_visits_before_and_nobody_else() -> None:
    histories = Histories.of(table("AAAABB", [3, 1, 2, 9, 1, 2]))
    assert sorted(histories.complete(np.array([3]), reach=2)) == [0, 2, 3]
    assert sorted(histories.complete(np.array([4]), reach=2)) == [4]


@pytest.mark.parametrize(
    ("visits", "message"),
    [
        (table("AA", [0, np.nan]), "time of 1 of 2 visits is not known .*participant 'A', visit 'v1'"),
        (table("AA", [0, 400], age=[40, -3]), "age at 1 visits is below 0 or above 130 .*age -3"),
        (table("AA", [0, 400], age=[40, 35]), "times run backwards for 1 participants .*age 35 on day 400, but age 40"),
        (
            table("AA", [400, 0]).assign(visit=["1", "2"]),
            "times run backwards for 1 participants .*visit '1' on day 400",
        ),
    ],
)
def test_times_without_sense_are_one_clear_message(visits: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Histories.of(visits)


def test_repeated_times_are_refused_where_an_order_is_needed() -> None:
    visits = table("AAB", [5, 5, 5])
    with pytest.raises(InputError, match=r"1 repeat a time .*participant 'A', visit 'v1', day 5.*own time_days"):
        Histories.of(visits).require_distinct_times(visits)


def test_an_age_at_enrolment_that_stays_is_no_fault() -> None:
    Histories.of(table("AA", [0, 4000], age=[40, 40]))


def sampler(people: int, most: int = 8, **options) -> ParticipantSampler:
    generator = np.random.default_rng(0)
    whose = np.repeat(np.arange(people), generator.integers(1, 7, people))
    visits = table(whose.astype(str), generator.permutation(len(whose)))
    shared = {"batch_size": 16, "seed": 3, "shuffle": True, **options}
    return ParticipantSampler(np.arange(len(whose)), Histories.of(visits), most=most, **shared)


def test_a_batch_holds_whole_participants_and_an_epoch_everybody_once() -> None:
    made = sampler(30)
    histories_of = {row: piece for piece in made._pieces for row in piece}
    batches = [rows for rows, _ in made]
    for number, rows in enumerate(batches):
        assert made.visits(number) == len(rows)
        for row in rows:
            assert set(histories_of[row]) <= set(rows)
    assert sorted(np.concatenate(batches)) == sorted(made.rows)
    assert len(batches) == len(made)


def test_epochs_differ_and_a_seed_decides() -> None:
    made, again = sampler(30), sampler(30)
    first = np.concatenate([rows for rows, _ in made])
    np.testing.assert_array_equal(first, np.concatenate([rows for rows, _ in again]))
    made.set_epoch(1)
    assert not np.array_equal(first, np.concatenate([rows for rows, _ in made]))


def test_ten_thousand_visits_of_one_participant_come_in_pieces() -> None:
    visits = table(["A"] * 10_000, np.arange(10_000))
    made = ParticipantSampler(np.arange(10_000), Histories.of(visits), most=32, batch_size=32, seed=0, shuffle=True)
    sizes = [len(rows) for rows, _ in made]
    assert max(sizes) == 32
    assert sum(sizes) == 10_000
