"""One linear model that all strata share: what a model that learns from every stratum must beat.

Coefficients are the same everywhere; each stratum keeps its own intercept, or for survival its own baseline hazard.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from omicsfm.baselines.base import OmicsTable, Predicted, held_out_of
from omicsfm.baselines.penalised import fit_penalised
from omicsfm.baselines.preprocess import to_matrices
from omicsfm.errors import InputError
from omicsfm.evaluation.task import Task

NAME = "shared_linear"

Train = Int[np.ndarray, " train"]
Test = Int[np.ndarray, " test"]


class SharedLinear:
    """A ridge-penalised linear model of all omics, fitted once a fold to the training visits of every stratum."""

    name = NAME
    is_linear = True

    def config(self) -> Mapping[str, Any]:
        """It has no settings."""
        return {"baseline": "SharedLinear"}

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """Fit on the training visits of the fold.

        Raises:
            InputError: The task has no strata.
        """
        if task.strata is None:
            raise InputError(f"--methods: {NAME} is one model of several strata. Name their column with --within.")
        self._train = train
        matrices = to_matrices(_omics(task)[train], _omics(task)[train[:0]])
        names, codes = np.unique(task.strata[train], return_inverse=True)
        self._stratum = {str(name): code for code, name in enumerate(names)}
        groups = task.inner_groups(train)
        self._fit = fit_penalised(matrices.train, task.target[train], groups=groups, seed=seed, strata=codes)

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Predictions of one stratum's test visits."""
        assert task.strata is not None, "begin_fold comes first"
        own = self._fit.within(self._stratum[str(task.strata[train[0]])])
        features = to_matrices(_omics(task)[self._train], _omics(task)[test]).test
        held_out = own.held_out[np.searchsorted(self._train, train)]
        return Predicted(own.predict(features), held_out_of(task.target, held_out))


def _omics(task: Task) -> OmicsTable:
    return task.table
