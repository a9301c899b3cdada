"""Ways to make a split: repeated folds, each group left out once, or a cut in time.

All of them keep families together where the cohort knows families, unless ``families_may_cross``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.groups import FAMILY, PARTICIPANT, families_in, group_labels
from omicsfm.data.splits import Split
from omicsfm.data.times import Cut
from omicsfm.errors import InputError
from omicsfm.seeding import derive

SOME = 1000
"""Groups above which leaving each out once is a mistake rather than a plan."""
MANY = 1000
"""Groups from which on a random share of them is balanced."""


def make_split(
    visits: pd.DataFrame,
    *,
    by: Sequence[str] = (),
    families_may_cross: bool = False,
    labels: np.ndarray | None = None,
    repeats: int,
    folds: int,
    seed: int,
    cut: Cut | None = None,
) -> Split:
    """Repeated K-fold over participants, or over groups of them, stratified by each participant's largest label.

    ``labels`` holds one small integer per visit (a class, or the event indicator); ``by`` are columns of the visits
    whose values are kept in one fold. With a ``cut`` only visits before it are trained on, and only later ones of other
    people tested: people who come back have visits on both sides of any date.

    Raises:
        InputError: There are fewer participants or groups than folds, there is no such column, or a fold has no visit
            on one side of the cut.
    """
    people, made = _people(visits, by, families_may_cross)
    people["label"] = _largest_label(visits, labels)
    if len(people) < folds:
        raise InputError(f"split: {len(people)} participants cannot make {folds} folds.")
    if (groups := people["group"].nunique()) < folds:
        together = " and ".join(made["kept_together"])
        raise InputError(
            f"split: {len(people):,} participants form {groups} groups by {together}, which cannot make {folds} folds. "
            f"Ask for at most {groups} folds"
            + (", or leave each group out once." if groups > 1 else "; one group cannot be split.")
        )
    tables = []
    for repeat in range(repeats):
        tested_in = np.full(len(people), -1)
        for number, test in enumerate(_tested(people, folds, derive(seed, "split", repeat))):
            tested_in[test] = number
        tables.append(people[[PARTICIPANT]].assign(repeat=repeat, fold=tested_in))
    made |= {"method": "folds", "repeats": repeats, "folds": folds, "seed": seed, "groups": groups}
    if cut is not None:
        made |= {"method": "folds, cut in time", "after": cut.after, "time_column": cut.column, "cuts_visits": True}
    split = Split(pd.concat(tables, ignore_index=True), made)
    if cut is not None:
        for repeat, fold in split.folds():
            split.masks(visits, repeat, fold)
    return split


def leave_one_out(visits: pd.DataFrame, *, by: Sequence[str] = (), families_may_cross: bool = False) -> Split:
    """As many folds as groups: each family, site or plate, or each participant, is tested once by a fit on the others.

    Raises:
        InputError: There is one group only, more than ``SOME``, or no such column.
    """
    people, made = _people(visits, by, families_may_cross)
    fold, groups = pd.factorize(people["group"])
    if not 2 <= len(groups) <= SOME:
        raise InputError(
            f"split: leaving one out would make {len(groups):,} folds"
            + (f" of {' and '.join(made['kept_together'])}" if made["kept_together"] else " of one participant")
            + f"; 2 to {SOME:,} are possible. Group by another column, or ask for folds."
        )
    table = people[[PARTICIPANT]].assign(repeat=0, fold=fold)
    return Split(table, {**made, "method": "leave one out", "groups": len(groups)})


def split_at(
    visits: pd.DataFrame, *, after: str, column: str, by: Sequence[str] = (), families_may_cross: bool = False
) -> Split:
    """Train on those who were measured only before ``after``, test those who were measured only at or after it.

    A group with visits on both sides of the cut is left out: to train on it would be to know the future, to test it
    would be to test people who were trained on.

    Raises:
        InputError: Nobody lies wholly before or wholly after, or the column does not hold such times.
    """
    people, made = _people(visits, by, families_may_cross)
    later = Cut(after, column).later(visits)
    group = people.set_index(PARTICIPANT)["group"].reindex(visits[PARTICIPANT].astype(str)).to_numpy()
    sides = pd.Series(later).groupby(group).agg(["min", "max"])  # of a group: is any visit before, is any after
    after_only, before_only = (people["group"].map(sides[side]).to_numpy() for side in ("min", "max"))
    table = people[[PARTICIPANT]].assign(repeat=0, fold=np.where(after_only, 0, -1))
    kept = after_only | ~before_only.astype(bool)
    train, test = int((~before_only.astype(bool)).sum()), int(after_only.sum())
    if not (train and test):
        raise InputError(
            f"split: of {len(people):,} participants {train:,} have all visits before {column} {after} and {test:,} "
            "all at or after it; both must be above 0. Choose another cut"
            + (
                ", or a column of calendar dates: time_days of most cohorts counts from each participant's first visit."
                if column == "time_days"
                else "."
            )
        )
    made |= {"method": "time", "after": after, "time_column": column, "participants_left_out": int((~kept).sum())}
    return Split(table[kept].reset_index(drop=True), made)


def _people(visits: pd.DataFrame, by: Sequence[str], families_may_cross: bool) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row a participant with the group, and what to record of the grouping."""
    families = () if families_may_cross else families_in(visits)
    together = [name for name in dict.fromkeys((*families, *by)) if name != PARTICIPANT]
    people = pd.DataFrame({PARTICIPANT: visits[PARTICIPANT].astype(str), "group": group_labels(visits, together)})
    people = people.drop_duplicates(PARTICIPANT).sort_values(PARTICIPANT, ignore_index=True)
    made = {"kept_together": together, "may_cross": [FAMILY] if families_may_cross else []}
    return people, {**made, "participants": len(people)}


def _largest_label(visits: pd.DataFrame, labels: np.ndarray | None) -> np.ndarray:
    of_visit = pd.Series(0 if labels is None else np.asarray(labels), index=visits.index)
    return of_visit.groupby(visits[PARTICIPANT].astype(str), sort=True).max().to_numpy()


def _tested(people: pd.DataFrame, folds: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of ``people`` that each fold tests.

    A few groups of unlike size, such as sites, are dealt out one by one to keep people and labels balanced; of very
    many, such as families, a random share is balanced already.
    """
    import warnings

    groups = people.groupby("group", sort=True)["label"].max()
    few = len(groups) < min(MANY, len(people))
    units = people["label"] if few else groups
    sizes = units.value_counts()
    spread = len(sizes) > 1 and sizes.min() >= 2 and sizes.max() >= folds  # else there is nothing to balance
    label = units.to_numpy() if spread else np.zeros(len(units), dtype=int)
    if not few and not label.any():
        shares = np.array_split(np.random.RandomState(seed).permutation(len(units)), folds)  # as sklearn has it
        yield from (np.flatnonzero(people["group"].isin(groups.index[share])) for share in shares)
        return
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # half a second

    if few:
        kfold = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(units, label, people["group"])
    else:
        kfold = StratifiedKFold(folds, shuffle=True, random_state=seed).split(units, label)
    with warnings.catch_warnings():  # a class rarer than the folds is no error: it is absent from some test folds
        warnings.filterwarnings("ignore", message="The least populated class")
        for _, test in kfold:
            yield test if few else np.flatnonzero(people["group"].isin(groups.index[test]))
