"""Each participant's visits in the order of time: what a trajectory and a forecast may know at a visit.

The history of a visit is its participant's strictly earlier visits. Two visits at one time are no history of each
other, so where times repeat nothing can be forecast from one to the other.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from omicsfm.errors import InputError

OLDEST = 130.0
"""Years; what is above is in another unit."""


@dataclass(frozen=True)
class Histories:
    """Rows of all participants side by side, each participant's in the order of time."""

    order: Int[np.ndarray, " visits"]
    """Rows, participant by participant, in time."""
    place: Int[np.ndarray, " visits"]
    """Where each row stands in ``order``."""
    first: Int[np.ndarray, " visits"]
    """Place of the participant's first visit, for each row."""
    earlier: Int[np.ndarray, " visits"]
    """How many visits of the participant are strictly earlier, for each row."""
    time_days: Float[np.ndarray, " visits"]

    @classmethod
    def of(cls, visits: pd.DataFrame) -> "Histories":
        """Histories of visits with columns ``participant_id`` and ``time_days``, and ``age`` where it is known.

        Raises:
            InputError: A time is not known, an age is that of nobody, or ages run against the times.
        """
        time = visits["time_days"].to_numpy(dtype=np.float64)
        _check_times(visits, time)
        person = pd.factorize(visits["participant_id"].astype(str))[0]
        order = np.lexsort((np.arange(len(visits)), time, person))
        _check_ages(visits, order, person, time)
        _check_numbers(visits, order, person, time)
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        begins = np.flatnonzero(np.diff(person[order], prepend=-1))
        first = begins[np.searchsorted(begins, place, side="right") - 1] if len(order) else place
        starts_time = np.ones(len(order), dtype=bool)  # of visits at one time, the first
        starts_time[1:] = (np.diff(person[order]) != 0) | (np.diff(time[order]) > 0)
        leader = np.maximum.accumulate(np.where(starts_time, np.arange(len(order)), 0))
        return cls(order, place, first, leader[place] - first, time)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def previous(self) -> Int[np.ndarray, " visits"]:
        """The row of each row's last earlier visit, -1 where there is none."""
        last = self.order[np.maximum(self.first + self.earlier - 1, 0)] if len(self) else self.order
        return np.where(self.earlier > 0, last, -1)

    def before(self, row: int) -> Int[np.ndarray, " earlier"]:
        """Rows of the participant's strictly earlier visits, in time."""
        return self.order[self.first[row] : self.first[row] + self.earlier[row]]

    def complete(self, rows: Int[np.ndarray, " rows"], *, reach: int) -> Int[np.ndarray, " completed"]:
        """The rows, and up to ``reach`` visits that stand before each of them, every row once."""
        if not len(rows):
            return rows
        places = np.unique(
            np.concatenate([np.maximum(self.place[rows] - back, self.first[rows]) for back in range(reach + 1)])
        )
        return self.order[places]

    def last_known(
        self, values: Float[np.ndarray, " visits"], rows: Int[np.ndarray, " rows"], *, count: int = 1
    ) -> tuple[Float[np.ndarray, "rows count"], Float[np.ndarray, "rows count"]]:
        """The last ``count`` known ``values`` of the participants at each of ``rows`` or before, the newest first, and
        the days they are of; NaN where there are fewer.
        """
        known = np.flatnonzero(~np.isnan(values[self.order]))  # places
        counted = np.searchsorted(known, self.first[rows] + self.earlier[rows])  # known before the row, of everybody
        own = ~np.isnan(values[rows])
        begin = np.searchsorted(known, self.first[rows])
        places = np.full((len(rows), count), -1, dtype=np.int64)
        if len(known):
            for back in range(count):
                behind = counted - 1 - back + own
                earlier = np.where(behind >= begin, known[np.clip(behind, 0, len(known) - 1)], -1)
                places[:, back] = np.where(own, self.place[rows], earlier) if back == 0 else earlier
        row = self.order[np.maximum(places, 0)]
        there = places >= 0
        return np.where(there, values[row], np.nan), np.where(there, self.time_days[row], np.nan)

    def require_distinct_times(self, visits: pd.DataFrame) -> None:
        """Refuse participants with two visits at one time.

        Raises:
            InputError: The message names the first, and the way out.
        """
        repeats = self.earlier < self.place - self.first
        if repeats.any():
            row = int(self.order[np.flatnonzero(repeats[self.order])[0]])
            raise InputError(
                f"visits: {int(repeats.sum()):,} repeat a time of the same participant (first: {_named(visits, row)}, "
                f"day {self.time_days[row]:g}). A forecast needs to know which visit came first: give each visit its "
                "own time_days in COHORT.yaml, or leave repeats out with visits.where."
            )


def _named(visits: pd.DataFrame, row: int) -> str:
    return f"participant '{visits['participant_id'].iloc[row]}', visit '{visits['visit'].iloc[row]}'"


def _check_times(visits: pd.DataFrame, time: Float[np.ndarray, " visits"]) -> None:
    unknown = ~np.isfinite(time)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise InputError(
            f"visits: the time of {int(unknown.sum()):,} of {len(time):,} visits is not known (first: "
            f"{_named(visits, row)}). A history needs times: fill them in, and prepare again."
        )


def _check_ages(visits: pd.DataFrame, order: np.ndarray, person: np.ndarray, time: np.ndarray) -> None:
    age = ages_of(visits)
    nobodys: Bool[np.ndarray, " visits"] = (age < 0) | (age > OLDEST)
    if nobodys.any():
        row = int(np.flatnonzero(nobodys)[0])
        raise InputError(
            f"visits: the age at {int(nobodys.sum()):,} visits is below 0 or above {OLDEST:g} (first: "
            f"{_named(visits, row)}, age {age[row]:g}). Ages are years since birth: correct the column, or name "
            "another as visits.age in COHORT.yaml."
        )
    backwards = (np.diff(person[order]) == 0) & (np.diff(age[order]) <= -1)  # less is rounding
    if backwards.any():
        at = int(np.flatnonzero(backwards)[0])
        early, late = int(order[at]), int(order[at + 1])
        raise InputError(
            f"visits: times run backwards for {len(np.unique(person[order[1:]][backwards])):,} participants (first: "
            f"{_named(visits, late)}, age {age[late]:g} on day {time[late]:g}, but age {age[early]:g} on day "
            f"{time[early]:g}). Correct time_days or age in COHORT.yaml."
        )


def _check_numbers(visits: pd.DataFrame, order: np.ndarray, person: np.ndarray, time: np.ndarray) -> None:
    """Visits that are numbered 1, 2, 3 ... come in that order."""
    number = pd.to_numeric(visits["visit"], errors="coerce").to_numpy(dtype=np.float64)
    distinct = np.unique(number)
    if np.isnan(number).any() or not np.array_equal(distinct, distinct[:1] + np.arange(len(distinct))):
        return  # names, days or codes: they say nothing of the order
    backwards = (np.diff(person[order]) == 0) & (np.diff(number[order]) < 0) & (np.diff(time[order]) > 0)
    if backwards.any():
        at = int(np.flatnonzero(backwards)[0])
        early, late = int(order[at]), int(order[at + 1])
        raise InputError(
            f"visits: times run backwards for {len(np.unique(person[order[1:]][backwards])):,} participants (first: "
            f"{_named(visits, late)} on day {time[late]:g}, but visit '{number[early]:g}' on day {time[early]:g}). "
            "Correct time_days in COHORT.yaml, or give the visits names if their numbers mean no order."
        )


def ages_of(visits: pd.DataFrame) -> Float[np.ndarray, " visits"]:
    """Age in years at each visit, NaN where not known."""
    if "age" not in visits:
        return np.full(len(visits), np.nan)
    return pd.to_numeric(visits["age"], errors="coerce").to_numpy(dtype=np.float64)
