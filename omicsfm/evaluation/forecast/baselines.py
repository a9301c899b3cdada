"""What a forecast must beat, on the same folds: the last value carried forward, and linear models that begin at it.

last_observation      the last known value; where there is none, the training mean
linear_last           a line through the last value, and how far ahead is looked where that differs
last_and_omics        that line, and a ridge-penalised linear model of the omics for what it leaves
mixed_model           random intercepts of participants over time (``mixed_model.py``)
linear                ridge-penalised omics of the last visit alone (``methods.py``)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from omicsfm.baselines.base import Predicted
from omicsfm.baselines.penalised import LinearFit, fit_penalised
from omicsfm.baselines.preprocess import to_matrices
from omicsfm.evaluation.forecast.task import ForecastTask, as_forecast
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.task import Task
from omicsfm.metrics.targets import QuantityTarget

Rows = Train | Test


class OfForecasts:
    """What the methods here share: they are linear, and have nothing to prepare."""

    is_linear = True

    def config(self) -> Mapping[str, Any]:
        """Nothing but the method itself decides."""
        return {}

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """Nothing to prepare."""


@dataclass(frozen=True)
class LastObservation(OfForecasts):
    """The last known value carried forward."""

    name: str = "last_observation"

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Predictions of the test rows."""
        task = as_forecast(task)
        last = task.past()[0][:, 0]
        return Predicted(np.where(np.isnan(last[test]), task.target[train].value.mean(), last[test]))


@dataclass(frozen=True)
class LinearLast(OfForecasts):
    """A line through the last known value."""

    name: str = "linear_last"

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Predictions of the test rows."""
        task = as_forecast(task)
        return Predicted(line_through_last(task, train, seed=seed)[1][test])


@dataclass(frozen=True)
class LastAndOmics(OfForecasts):
    """The line through the last value takes what it can; the omics of the last visit explain the rest.

    With one penalty for all the last value would be one of thousands of features, and shrunk like them.
    """

    name: str = "last_and_omics"

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Predictions of the test rows."""
        task = as_forecast(task)
        line, everywhere = line_through_last(task, train, seed=seed)
        groups = task.inner_groups(train)
        matrices = to_matrices(task.table[train].grouped(groups), task.table[test])
        rest = QuantityTarget(task.target[train].value - line.held_out[:, 0])
        omics = fit_penalised(matrices.train, rest, groups=groups, seed=seed)
        return Predicted(everywhere[test] + omics.predict(matrices.test))


def line_through_last(task: ForecastTask, train: Train, *, seed: int) -> tuple[LinearFit, Float[np.ndarray, " rows"]]:
    """A linear model of the last value fitted on ``train``, and what it predicts at every row of the task."""
    design = last_design(task, train)
    fit = fit_penalised(design[train], task.target[train], groups=task.inner_groups(train), seed=seed)
    return fit, fit.predict(design)


def last_design(task: ForecastTask, train: Train) -> Float[np.ndarray, "rows columns"]:
    """The last value, at the training median where not known; whether it is known and how old it is, where that tells
    rows apart.
    """
    values, days = (array[:, 0] for array in task.past())
    unknown = np.isnan(values)
    filled = np.where(unknown, np.nanmedian(values[train]) if (~unknown[train]).any() else 0.0, values)
    age = np.log1p(np.where(unknown, 0.0, days))
    columns = [filled, unknown.astype(float), age]
    return np.stack([c for number, c in enumerate(columns) if number == 0 or np.ptp(c[train]) > 0], axis=1)
