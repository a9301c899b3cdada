"""Inner folds of an outer fold's training participants: who is tested outside is neither read nor scored inside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from omicsfm.data.folds import make_split
from omicsfm.data.splits import Split
from omicsfm.evaluation.benchmark import fold_labels
from omicsfm.evaluation.task import Task


@dataclass(frozen=True)
class InnerSplit(Split):
    """A split of training participants; pretraining inside a fold does not read those whom the outer fold tests."""

    outside: tuple[str, ...] = ()

    def readable(self, visits: pd.DataFrame, tested: Sequence[str] | np.ndarray) -> Bool[np.ndarray, " visits"]:
        """As of a split, and nobody of ``outside`` or of their groups."""
        return super().readable(visits, [*map(str, tested), *self.outside])


def training_task(task: Task, split: Split, *, repeat: int, fold: int, folds: int, seed: int) -> Task:
    """The task of an outer fold's training participants alone, cut into inner ``folds``.

    Raises:
        InputError: The split has no such fold, or there are too few participants for the inner folds.
    """
    train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, repeat, fold))
    own = _only(replace(task, split=split), train)
    together = tuple(name for name in own.together if name != "participant_id")
    made = make_split(own.visits, by=together, labels=fold_labels(own), repeats=1, folds=folds, seed=seed)
    tested = tuple(np.unique(task.participant_ids[test]).astype(str).tolist())
    return replace(own, split=InnerSplit(made.table, made.made, outside=tested))


def _only(task: Task, rows: Int[np.ndarray, " rows"]) -> Task:
    strata = None if task.strata is None else task.strata[rows]
    return replace(
        task,
        rows=task.rows[rows],
        target=task.target[rows],
        participant_ids=task.participant_ids[rows],
        strata=strata,
    )
