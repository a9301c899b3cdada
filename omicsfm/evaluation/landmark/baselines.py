"""What a landmark prediction must beat, beside the ridge Cox regression of the last visit that ``linear`` is.

logistic[clinical]   at each landmark and horizon a ridge-penalised logistic regression of who had the event by then
landmark_cox         one Cox regression of all landmarks, each with its own baseline hazard and coefficients that
                     change along the landmarks (the supermodel of van Houwelingen and Putter, 2012)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from omicsfm.baselines.base import OmicsTable, Predicted, held_out_of
from omicsfm.baselines.penalised import LinearFit, fit_penalised
from omicsfm.baselines.preprocess import to_matrices
from omicsfm.errors import InputError
from omicsfm.evaluation.landmark.task import Landmark, LandmarkTask
from omicsfm.evaluation.methods import Test, Train
from omicsfm.metrics import SurvivalCurves
from omicsfm.metrics.targets import ClassTarget, SurvivalTarget

SUPERMODEL, LOGISTIC = "landmark_cox", "logistic"


@dataclass(frozen=True)
class HorizonLogistic:
    """Logistic regression of the event by each horizon, of those whose state is known then."""

    name: str
    modalities: tuple[str, ...]
    is_linear: bool = True

    def config(self) -> Mapping[str, Any]:
        """What it sees."""
        return {"baseline": "HorizonLogistic", "modalities": list(self.modalities)}

    def begin_fold(self, task: LandmarkTask, train: Train, *, seed: int) -> None:
        """It has nothing to prepare."""

    def fit_predict(self, task: LandmarkTask, train: Train, test: Test, *, seed: int) -> Predicted:
        """Risks by every horizon, not falling with it; the logit of the last ranks."""
        if not isinstance(task.target, SurvivalTarget):
            raise InputError(f"--methods: {self.name} knows one event; use landmark_cox for competing risks.")
        table, target, one = task.table.only(self.modalities), task.target[train], landmark_of(task, train)
        matrices = to_matrices(table[train].grouped(task.inner_groups(train)), table[test])
        horizons = sorted(set(one.horizons.values()))
        risks, logit = [], np.zeros(len(test))
        for day in horizons:
            case = target.event & (target.time_days <= day)
            known = case | (target.time_days > day)
            if len(np.unique(case[known])) < 2:
                risks.append(np.full(len(test), float(case[known].mean())))
                continue
            truth = ClassTarget(case[known].astype(np.int64), ("no", "yes"))
            groups = task.inner_groups(train)[known]
            fit = fit_penalised(matrices.train[known], truth, groups=groups, seed=seed)
            logit = fit.linear_predictor(matrices.test)[:, 0]
            risks.append(fit.predict(matrices.test)[:, 1])
        survival = 1 - np.maximum.accumulate(np.stack(risks, axis=1), axis=1)
        return Predicted(logit, curves=SurvivalCurves(np.array(horizons), survival))


class LandmarkCox:
    """The ridge-penalised supermodel: features, and features times the place of the landmark."""

    name = SUPERMODEL
    is_linear = True

    def config(self) -> Mapping[str, Any]:
        """It has no settings."""
        return {"baseline": "LandmarkCox"}

    def begin_fold(self, task: LandmarkTask, train: Train, *, seed: int) -> None:
        """Fit on the training rows of all landmarks."""
        self._train = train
        matrices = to_matrices(task.table[train].grouped(task.inner_groups(train)), task.table[train[:0]])
        self._fit = fit_supermodel(with_position(matrices.train, task, train), task, train, seed=seed)

    def fit_predict(self, task: LandmarkTask, train: Train, test: Test, *, seed: int) -> Predicted:
        """Log hazards of one landmark's test rows."""
        seen: OmicsTable = task.table[self._train]
        features = with_position(to_matrices(seen, task.table[test]).test, task, test)
        held_out = self._fit.held_out[np.searchsorted(self._train, train)]
        return Predicted(self._fit.predict(features), held_out_of(task.target, held_out))


def fit_supermodel(
    features: Float[np.ndarray, "train features"], task: LandmarkTask, train: Train, *, seed: int
) -> LinearFit:
    """A Cox regression of all landmarks, each with its own baseline hazard."""
    assert task.strata is not None
    codes = np.unique(task.strata[train], return_inverse=True)[1]
    groups = task.inner_groups(train)
    return fit_penalised(features, task.target[train], groups=groups, seed=seed, strata=codes)


def with_position(
    features: Float[np.ndarray, "rows features"], task: LandmarkTask, rows: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "rows both"]:
    """The features, and the features times the place of each row's landmark."""
    assert task.strata is not None
    place = {one.label: one.position for one in task.landmarks}
    position = np.array([place[str(label)] for label in task.strata[rows]])
    return np.concatenate([features, features * (position - 0.5)[:, None]], axis=1)


def landmark_of(task: LandmarkTask, rows: Int[np.ndarray, " rows"]) -> Landmark:
    """The landmark of rows that are all of one."""
    assert task.strata is not None
    return next(one for one in task.landmarks if one.label == task.strata[rows[0]])
