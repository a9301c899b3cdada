"""Participant-grouped splits, written to and read from a file.

A split has the columns ``participant_id, repeat, fold``. A participant's visits are test rows of that (repeat,
fold) and training rows of the repeat's other folds; fold -1 is training only. The same file serves training,
benchmark and evaluation, and its hash goes into every result.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool
from sklearn.model_selection import KFold, StratifiedKFold

from omicsfm.errors import InputError, closest
from omicsfm.seeding import derive

COLUMNS = ("participant_id", "repeat", "fold")


@dataclass(frozen=True)
class Split:
    """Which participants are tested in which (repeat, fold)."""

    table: pd.DataFrame

    def __post_init__(self) -> None:
        keyed = self.table.groupby(["participant_id", "repeat"])["fold"].nunique()
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
        """Read a SPLIT.csv.

        Raises:
            InputError: The file is missing or unreadable, a column is missing, or a participant is in two folds.
        """
        try:
            table = pd.read_csv(path, dtype={"participant_id": str})
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a readable split ({error}).") from error
        for column in COLUMNS:
            if column not in table:
                raise InputError(f"{path}: column '{column}' is missing; {closest(column, table.columns)}.")
        for column in ("repeat", "fold"):
            if not pd.api.types.is_integer_dtype(table[column]):
                raise InputError(f"{path}: column '{column}' must hold whole numbers; fold -1 is training only.")
        return cls(table[list(COLUMNS)])

    def write(self, path: str | Path) -> None:
        """Write the table as CSV, under a temporary name first."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        self.table.to_csv(partial, index=False)
        partial.rename(path)

    @property
    def sha256(self) -> str:
        """Hash of the sorted table, independent of row order."""
        ordered = self.table.sort_values(list(COLUMNS)).to_csv(index=False)
        return hashlib.sha256(ordered.encode()).hexdigest()

    def folds(self) -> Iterator[tuple[int, int]]:
        """Every (repeat, fold) that tests somebody."""
        pairs = self.table.loc[self.table["fold"] >= 0, ["repeat", "fold"]].drop_duplicates()
        yield from sorted(map(tuple, pairs.to_numpy().tolist()))

    def masks(
        self, participant_ids: pd.Series, repeat: int, fold: int
    ) -> tuple[Bool[np.ndarray, " visits"], Bool[np.ndarray, " visits"]]:
        """Training and test visits of one (repeat, fold); a participant who is not in the split is in neither.

        Raises:
            InputError: The split has no such (repeat, fold), or nobody in the cohort is tested or trained on.
        """
        if (repeat, fold) not in set(self.folds()):
            known = ", ".join(map(str, list(self.folds())[:10]))
            raise InputError(f"split: there is no (repeat {repeat}, fold {fold}); known: {known}.")
        own = self.table[self.table["repeat"] == repeat]
        tested = set(own.loc[own["fold"] == fold, "participant_id"].astype(str))
        trained = set(own["participant_id"].astype(str)) - tested
        ids = participant_ids.astype(str)
        train, test = ids.isin(trained).to_numpy(), ids.isin(tested).to_numpy()
        if not (train.any() and test.any()):
            raise InputError(
                f"split: of the cohort's participants {ids[train].nunique()} train and {ids[test].nunique()} are "
                f"tested in (repeat {repeat}, fold {fold}); both must be above 0. Does the split belong to this cohort?"
            )
        return train, test


def make_split(
    participant_ids: pd.Series, *, labels: np.ndarray | None = None, repeats: int, folds: int, seed: int
) -> Split:
    """Repeated K-fold over participants, stratified by each participant's largest label where labels are given.

    ``labels`` holds one small integer per visit (a class, or the event indicator).

    Raises:
        InputError: There are fewer participants than folds.
    """
    by_participant = pd.DataFrame({"participant_id": participant_ids.astype(str).to_numpy()})
    by_participant["label"] = 0 if labels is None else np.asarray(labels)
    people = by_participant.groupby("participant_id", sort=True)["label"].max().reset_index()
    if len(people) < folds:
        raise InputError(f"split: {len(people)} participants cannot make {folds} folds.")
    rarest = people["label"].value_counts().min()
    tables = []
    for repeat in range(repeats):
        random_state = derive(seed, "split", repeat)
        if rarest >= 2 and people["label"].nunique() > 1:
            kfold = StratifiedKFold(folds, shuffle=True, random_state=random_state)
        else:
            kfold = KFold(folds, shuffle=True, random_state=random_state)
        table = people[["participant_id"]].assign(repeat=repeat, fold=-1)
        for fold, (_, test) in enumerate(_quiet_split(kfold, people)):
            table.loc[test, "fold"] = fold
        tables.append(table)
    return Split(pd.concat(tables, ignore_index=True))


def _quiet_split(kfold: KFold | StratifiedKFold, people: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import warnings

    with warnings.catch_warnings():  # a class rarer than the folds is no error: it is absent from some test folds
        warnings.filterwarnings("ignore", message="The least populated class")
        yield from kfold.split(people, people["label"])
