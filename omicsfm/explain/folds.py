"""A model trained in each fold of a split, as a benchmark trains it, and all of them explained."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from omicsfm.data.splits import Split
from omicsfm.evaluation.pretrained import Pretrained
from omicsfm.evaluation.task import Task
from omicsfm.explain.importance import Importance, importance_of
from omicsfm.explain.people import require_enough, sampled
from omicsfm.explain.summary import Explanation, summarise
from omicsfm.seeding import derive

log = logging.getLogger(__name__)


def explain_folds(
    task: Task, method: Pretrained, split: Split, *, number: int = 25, most: int = 200, seed: int = 0
) -> Explanation:
    """Train in each (repeat, fold) the model that a benchmark with this seed tests there, and explain all of them on
    the same participants of the task, at most ``most``. ``number`` features of each are compared as a set.

    Raises:
        InputError: The split does not fit the task, a training fold cannot teach the outcome, or there are too few
            participants.
    """
    task = replace(task, split=split)
    rows = sampled(task.store, task.rows, most=most, seed=seed)
    require_enough(task.store, rows)

    def models() -> Iterator[Importance]:
        folds = list(split.folds())
        for place, (repeat, fold) in enumerate(folds, start=1):
            train, _ = (np.flatnonzero(mask) for mask in split.masks(task.visits, repeat, fold))
            fold_seed = derive(seed, "fold", repeat, fold)
            method.begin_fold(task, train, seed=fold_seed)
            model, reader, _ = method.fitted(task, train, seed=fold_seed)
            yield importance_of(model, reader, rows, task.outcome, name=f"repeat {repeat}, fold {fold}")
            log.info("%d of %d: repeat %d, fold %d explained", place, len(folds), repeat, fold)

    whom = "everybody with the outcome; each model was trained on most of them"
    return summarise(models(), task.outcome, store=task.store, number=number, whom=whom)
