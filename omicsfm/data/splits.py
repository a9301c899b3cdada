"""Participant-grouped splits, written to and read from a file.

A split has the columns ``participant_id, repeat, fold``. A participant's visits are test rows of that (repeat,
fold) and training rows of the repeat's other folds; fold -1 is training only. The same file serves training,
benchmark and evaluation, and its hash goes into every result.

Beside SPLIT.csv lies SPLIT.csv.json, which says how the split was made: what was kept together, what may cross, the
time it was cut at, and the hash of the table, so that a table edited afterwards is noticed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from omicsfm.data.groups import PARTICIPANT, families_in, outside, refuse_crossing
from omicsfm.data.times import Cut
from omicsfm.errors import InputError, closest

COLUMNS = (PARTICIPANT, "repeat", "fold")


@dataclass(frozen=True)
class Split:
    """Which participants are tested in which (repeat, fold)."""

    table: pd.DataFrame
    made: Mapping[str, Any] = field(default_factory=dict)
    """How it was made, as SPLIT.csv.json has it; empty where nobody says."""

    def __post_init__(self) -> None:
        keyed = self.table.groupby([PARTICIPANT, "repeat"])["fold"].nunique()
        crossing = keyed[keyed > 1]
        if len(crossing):
            participant, repeat = crossing.index[0]
            raise InputError(
                f"split: {len(crossing)} participants stand in two folds of one repeat (first: '{participant}', repeat "
                f"{repeat}). A participant's visits must be tested together: give each participant one fold a repeat."
            )
        if self.table.duplicated(list(COLUMNS)).any():
            object.__setattr__(self, "table", self.table.drop_duplicates(list(COLUMNS)))

    @classmethod
    def read(cls, path: str | Path) -> "Split":
        """Read a SPLIT.csv, and the SPLIT.csv.json beside it where there is one.

        Raises:
            InputError: The file is missing or unreadable, a column is missing, a participant is in two folds, or the
                table was edited after SPLIT.csv.json was written.
        """
        try:
            table = pd.read_csv(path, dtype={PARTICIPANT: str})
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a readable split ({error}).") from error
        for column in COLUMNS:
            if column not in table:
                raise InputError(f"{path}: column '{column}' is missing; {closest(column, table.columns)}.")
        for column in ("repeat", "fold"):
            if not pd.api.types.is_integer_dtype(table[column]):
                raise InputError(f"{path}: column '{column}' must hold whole numbers; fold -1 is training only.")
        split = cls(table[list(COLUMNS)])
        return cls(split.table, _read_record(Path(path), split.sha256))

    def write(self, path: str | Path) -> None:
        """Write the table as CSV, and how it was made beside it; each under a temporary name first."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        record = record_of(path)
        record.unlink(missing_ok=True)  # an older one would call this table edited
        self.table.to_csv(partial, index=False)
        partial.rename(path)
        if self.made:
            partial = record.with_name(f".{record.name}.partial")
            partial.write_text(json.dumps({"sha256": self.sha256, **self.made}, indent=1) + "\n")
            partial.rename(record)

    @property
    def sha256(self) -> str:
        """Hash of the sorted table, independent of row order."""
        ordered = self.table.sort_values(list(COLUMNS)).to_csv(index=False)
        return hashlib.sha256(ordered.encode()).hexdigest()

    @property
    def kept_together(self) -> tuple[str, ...]:
        """Columns of the visits whose values this split keeps on one side."""
        return tuple(str(name) for name in self.made.get("kept_together", ()))

    def together_in(self, visits: pd.DataFrame) -> tuple[str, ...]:
        """The columns of these visits no value of which may stand on both sides: families, and what was grouped by."""
        columns = dict.fromkeys((*families_in(visits), *self.kept_together))
        return tuple(name for name in columns if name in visits and name not in self.made.get("may_cross", ()))

    def readable(self, visits: pd.DataFrame, tested: Sequence[str] | np.ndarray) -> Bool[np.ndarray, " visits"]:
        """Visits that pretraining may read while ``tested`` are tested, whether their outcome is known or not: of
        people in no group of theirs, and before the cut of a split in time.
        """
        allowed = outside(visits, tested, self.together_in(visits))
        cut = Cut.of(self.made)
        return allowed if cut is None else allowed & ~cut.later(visits)

    def folds(self) -> Iterator[tuple[int, int]]:
        """Every (repeat, fold) that tests somebody."""
        yield from self._pairs

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], None]:
        pairs = self.table.loc[self.table["fold"] >= 0, ["repeat", "fold"]].drop_duplicates()
        return dict.fromkeys(sorted((int(repeat), int(fold)) for repeat, fold in pairs.to_numpy()))

    @cached_property
    def _places(self) -> dict[int, tuple[pd.Index, Int[np.ndarray, " people"]]]:
        """Of each repeat the participants and their folds: looked up once, for masks are asked for by the thousand."""
        return {
            int(repeat): (pd.Index(own[PARTICIPANT].astype(str)), own["fold"].to_numpy())
            for repeat, own in self.table.groupby("repeat")
        }

    def first_repeat(self) -> "Split":
        """The folds of the first repeat alone."""
        first = self.table[self.table["repeat"] == self.table["repeat"].min()]
        return Split(first, {**self.made, **({"repeats": 1} if "repeats" in self.made else {})})

    def masks(
        self, visits: pd.DataFrame, repeat: int, fold: int
    ) -> tuple[Bool[np.ndarray, " visits"], Bool[np.ndarray, " visits"]]:
        """Training and test visits of one (repeat, fold); a participant who is not in the split is in neither.

        Every fit and every test takes its visits from here: nothing that must stay together comes out on both sides.

        Raises:
            InputError: The split has no such (repeat, fold), nobody in the cohort is tested or trained on, a family or
                another group crosses, or a split in time trains on visits after its cut.
        """
        if (repeat, fold) not in self._pairs:
            known = ", ".join(map(str, list(self.folds())[:10]))
            raise InputError(f"split: there is no (repeat {repeat}, fold {fold}); known: {known}.")
        people, fold_of = self._places[repeat]
        ids = visits[PARTICIPANT].astype(str)
        place = people.get_indexer(ids)
        test = (place >= 0) & (fold_of[place] == fold)
        train = (place >= 0) & ~test
        if not (train.any() and test.any()):
            raise InputError(
                f"split: of the cohort's participants {ids[train].nunique()} train and {ids[test].nunique()} are "
                f"tested in (repeat {repeat}, fold {fold}); both must be above 0. Does the split belong to this cohort?"
            )
        for column in self.together_in(visits):
            refuse_crossing(visits, train, test, column)
        if (cut := Cut.of(self.made)) is None:
            return train, test
        if self.made.get("cuts_visits"):
            return cut.parted(visits, train, test)
        cut.refuse_mixed(visits, train, test)
        return train, test


def record_of(path: Path) -> Path:
    """Where it is written how a split was made."""
    return path.with_name(f"{path.name}.json")


def _read_record(path: Path, sha256: str) -> dict[str, Any]:
    file = record_of(path)
    if not file.exists():
        return {}
    try:
        record = json.loads(file.read_text())
        said = record.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"{file}: does not say how {path.name} was made ({error!r}). Delete it, or restore it."
        ) from None
    if said != sha256:
        raise InputError(
            f"{path}: was changed after it was made: {file.name} holds another hash. Restore it, make it again, or "
            f"delete {file.name} if the change was meant."
        )
    return dict(record)
