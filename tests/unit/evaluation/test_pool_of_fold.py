"""What strata share is fitted once for all adaptations of a fold, and anew where outcomes are others."""

from dataclasses import replace
from typing import Any

import numpy as np

from omicsfm.data.collate import BatchReader
from omicsfm.data.store import OmicsStore
from omicsfm.evaluation.pretrained import Encoders
from omicsfm.evaluation.task import Task, make_task


def a_task(store: OmicsStore, *, strata: bool = True) -> Task:
    task = make_task(store, "ill")
    return replace(task, strata=np.array(["a", "b"])[np.arange(len(task)) % 2] if strata else None)


def test_the_pool_of_a_fold_is_one_and_that_of_other_outcomes_another(cohort, tmp_path) -> None:
    store, encoders = cohort(tmp_path, "one", ["P1", "P2"]), Encoders({})
    train, others, reader = np.arange(4), np.arange(1, 5), BatchReader(store, features={}, transforms={})

    def pool(task: Task, rows: np.ndarray, seed: int = 0) -> Any:
        return encoders.pool_of_fold(task, rows, reader, seed=seed)

    first = pool(a_task(store), train)
    assert pool(a_task(store), train) is first
    assert pool(a_task(store), others) is not first
    assert pool(a_task(store), train, seed=1) is not first
    permuted = replace(store, outcomes=store.outcomes.iloc[::-1].reset_index(drop=True))
    assert pool(a_task(permuted), train) is not first
    assert pool(a_task(store, strata=False), train) is None
