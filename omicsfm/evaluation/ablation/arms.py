"""Arms of an ablation: a method with something taken from it. Each is a method of its own, on the same folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.baselines.base import Predicted
from omicsfm.data.folds import make_split
from omicsfm.evaluation.methods import Method, Test, Train
from omicsfm.evaluation.task import Task, read_target
from omicsfm.seeding import derive


@dataclass
class Arm:
    """A method under another name, that is given less."""

    name: str
    method: Method
    is_linear: bool = False

    def config(self) -> Mapping[str, Any]:
        """The method's own, and what it was given."""
        return {**self.method.config(), "arm": self.given()}

    def given(self) -> Mapping[str, Any]:
        """What sets the arm apart."""
        return {}

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """As the method does."""
        self.method.begin_fold(task, train, seed=seed)

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """As the method does."""
        return self.method.fit_predict(task, train, test, seed=seed)


@dataclass
class OfModalities(Arm):
    """Sees some modalities only, at the same visits; pretrained on them alone too. Covariates stay."""

    modalities: Sequence[str] = ()

    def given(self) -> Mapping[str, Any]:
        return {"modalities": list(self.modalities)}

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        self.method.begin_fold(self._seen(task), train, seed=seed)

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        return self.method.fit_predict(self._seen(task), train, test, seed=seed)

    def _seen(self, task: Task) -> Task:
        kept = {name: task.store.modalities[name] for name in self.modalities}
        return replace(task, store=replace(task.store, modalities=kept))


@dataclass
class PermutedLabels(Arm):
    """Outcomes of the training visits change hands: what it still scores above chance is a leak."""

    _task: Task | None = field(default=None, repr=False)

    def given(self) -> Mapping[str, Any]:
        return {"labels": "permuted"}

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        rows = task.rows[train]
        shuffled = np.random.default_rng(derive(seed, "permuted labels")).permutation(rows)
        outcomes = task.store.outcomes.copy()
        outcomes.iloc[rows] = task.store.outcomes.iloc[shuffled].to_numpy()
        store = replace(task.store, outcomes=outcomes)
        self._task = replace(task, store=store, target=read_target(store, task.outcome, task.rows))
        self.method.begin_fold(self._task, train, seed=seed)

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        assert self._task is not None, "begin_fold comes first"
        return self.method.fit_predict(self._task, train, test, seed=seed)


@dataclass
class FewerLabels(Arm):
    """Knows the outcome of one in ``one_in`` training participants, with the classes (or events, or quarters of a
    quantity) in the same proportions. It is pretrained on the measurements of all of them.
    """

    one_in: int = 2

    def given(self) -> Mapping[str, Any]:
        return {"labelled": f"1 in {self.one_in}"}

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        people = pd.DataFrame({"participant_id": task.inner_groups(train)})
        labels = np.asarray(task.target[train].stratum)
        split = make_split(
            people, labels=labels, repeats=1, folds=self.one_in, seed=derive(seed, "labelled", self.one_in)
        )
        _, labelled = split.masks(people, 0, 0)
        return self.method.fit_predict(task, train[labelled], test, seed=seed)
