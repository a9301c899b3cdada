"""A cut in time: who was measured only before it, and who only after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from omicsfm.errors import InputError, closest


@dataclass(frozen=True)
class Cut:
    """A value of a time column: days as a number, or a calendar date as YYYY-MM-DD."""

    after: str
    column: str

    @classmethod
    def of(cls, made: Mapping[str, Any]) -> "Cut | None":
        """The cut that a split was made at, if one."""
        return cls(str(made["after"]), str(made["time_column"])) if "after" in made else None

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers; dates otherwise."""
        try:
            float(self.after)
        except ValueError:
            return False
        return True

    def later(self, visits: pd.DataFrame) -> Bool[np.ndarray, " visits"]:
        """Which visits lie at or after the cut.

        Raises:
            InputError: There is no such column, a time is not known, or it is no number or date.
        """
        if self.column not in visits:
            raise InputError(
                f"--time-column {self.column}: the cohort has no such column; {closest(self.column, visits.columns)}. "
                "A column of dates comes into a store with visits.keep in COHORT.yaml."
            )
        values = visits[self.column]
        if unknown := int(values.isna().sum()):
            raise InputError(f"--time-column {self.column}: the time of {unknown:,} visits is not known. Fill it in.")
        what = "number" if self.is_number else "date (YYYY-MM-DD)"
        if self.is_number:
            times = pd.to_numeric(values, errors="coerce")
            limit = float(self.after)
        else:
            limit = pd.to_datetime(self.after, format="ISO8601", errors="coerce")
            if pd.isna(limit):
                raise InputError(f"--after {self.after}: expected days as a number, or a date as YYYY-MM-DD.")
            times = pd.to_datetime(values.astype(str), format="ISO8601", errors="coerce")
        if times.isna().any():
            raise InputError(
                f"--after {self.after}: column {self.column} holds '{values[times.isna()].iloc[0]}', which is no "
                f"{what}. Give --after in the unit of the column, or name another --time-column."
            )
        return np.asarray(times >= limit, dtype=bool)

    def parted(
        self, visits: pd.DataFrame, train: Bool[np.ndarray, " visits"], test: Bool[np.ndarray, " visits"]
    ) -> tuple[Bool[np.ndarray, " visits"], Bool[np.ndarray, " visits"]]:
        """Of the training visits those before the cut, of the test visits those at or after it.

        Raises:
            InputError: One of the two has none.
        """
        later = self.later(visits)
        train, test = train & ~later, test & later
        if not (train.any() and test.any()):
            raise InputError(
                f"split: {int(train.sum()):,} training visits lie before {self.column} {self.after} and "
                f"{int(test.sum()):,} test visits at or after it; both must be above 0. Choose another cut."
            )
        return train, test

    def refuse_mixed(
        self, visits: pd.DataFrame, train: Bool[np.ndarray, " visits"], test: Bool[np.ndarray, " visits"]
    ) -> None:
        """Refuse training visits after the cut, and test visits before it.

        Raises:
            InputError: The store's times are not those that the split was made from.
        """
        later = self.later(visits)
        wrong = int((train & later).sum() + (test & ~later).sum())
        if wrong:
            raise InputError(
                f"split: {wrong:,} visits lie on the wrong side of {self.column} {self.after}, at which the split was "
                "cut. The store's times have changed since: make the split again."
            )
