"""Who belongs together: a family, or everybody who shares a site or a plate.

A group is a connected component: a participant who was measured on two plates joins these plates into one group, so
that a participant is always whole. A group bears the id of its first member in alphabetical order; a participant who
shares nothing with anybody is a group of one under the participant's own id.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from omicsfm.errors import InputError, closest

PARTICIPANT = "participant_id"
FAMILY = "family_id"
"""Where a cohort has this column, families are kept together unless a split says that they may cross."""
FEWEST_INNER_GROUPS = 5


def group_labels(visits: pd.DataFrame, by: Sequence[str] = ()) -> Shaped[np.ndarray, " visits"]:
    """The group of each visit, where participants who share a value of any column in ``by`` belong together.

    A visit whose value is not known joins nobody.

    Raises:
        InputError: The visits have no such column.
    """
    person, people = pd.factorize(visits[PARTICIPANT].astype(str), sort=True)
    columns = [name for name in by if name != PARTICIPANT]
    if not columns:
        return people.to_numpy(dtype=str)[person]
    first, second, nodes = [], [], len(people)
    for name in columns:
        if name not in visits:
            raise InputError(f"split: the cohort has no column '{name}' to group by; {closest(name, visits.columns)}.")
        value, values = pd.factorize(visits[name])  # an unknown value is -1
        known = value >= 0
        first.append(person[known])
        second.append(nodes + value[known])
        nodes += len(values)
    ends = np.concatenate(first), np.concatenate(second)
    graph = sparse.coo_matrix((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][: len(people)]
    _, leader = np.unique(component, return_index=True)  # people are sorted, so the first is the smallest id
    leader_of = dict(zip(component[leader].tolist(), leader.tolist(), strict=True))
    return people.to_numpy(dtype=str)[np.array([leader_of[c] for c in component.tolist()], dtype=np.int64)[person]]


def families_in(visits: pd.DataFrame) -> tuple[str, ...]:
    """The column of families, where the cohort has one."""
    return (FAMILY,) if FAMILY in visits and visits[FAMILY].notna().any() else ()


def inner_groups(
    visits: pd.DataFrame, by: Sequence[str] = (), *, train: Int[np.ndarray, " train"]
) -> Shaped[np.ndarray, " visits"]:
    """The group of each visit, for the inner folds over ``train`` that choose a penalty or the best epoch.

    They keep together what the outer split kept together. Where fewer than ``FEWEST_INNER_GROUPS`` groups are left in
    training (of three sites, two), inner folds over them would say nothing, and families or participants take their
    place.
    """
    labels = group_labels(visits, by)
    if len(np.unique(labels[train])) >= FEWEST_INNER_GROUPS:
        return labels
    return group_labels(visits, families_in(visits) if FAMILY in by else ())


def outside(
    visits: pd.DataFrame, tested: Sequence[str] | np.ndarray, by: Sequence[str] = ()
) -> Bool[np.ndarray, " visits"]:
    """Visits of participants who share no group with a tested one."""
    labels = group_labels(visits, by)
    touched = np.unique(labels[visits[PARTICIPANT].astype(str).isin(tested).to_numpy()])
    return ~np.isin(labels, touched)


def refuse_crossing(
    visits: pd.DataFrame, train: Bool[np.ndarray, " visits"], test: Bool[np.ndarray, " visits"], column: str
) -> None:
    """Refuse training and test visits that share a value of ``column``.

    Raises:
        InputError: The message names the column and a value on both sides, and the way out.
    """
    values = visits[column]
    crossing = np.intersect1d(values[train].dropna().astype(str).unique(), values[test].dropna().astype(str).unique())
    if not len(crossing):
        return
    split_by = f"omicsfm split STORE SPLIT.csv --group {column}"
    allowed = (
        " To take this split as it is, families apart: omicsfm split STORE NEW.csv --take SPLIT.csv "
        "--families-may-cross."
        if column == FAMILY
        else ""
    )
    raise InputError(
        f"split: {len(crossing):,} values of {column} are on both sides (first: '{crossing[0]}'), so that the test is "
        f"of people whom the training half knows. Keep each {column} on one side: {split_by}.{allowed}"
    )
