"""shared_linear: one model of all strata, fitted to training visits alone."""

from dataclasses import replace

import numpy as np
import pytest

from omicsfm.errors import InputError
from omicsfm.evaluation.methods import baseline_methods, default_names
from omicsfm.evaluation.shared_linear import NAME, SharedLinear
from omicsfm.evaluation.task import Task, make_task
from omicsfm.metrics.targets import SurvivalTarget


@pytest.fixture(params=["responder", "death", "bmi"])
def parted(request, simulated_store) -> tuple[Task, np.ndarray, np.ndarray]:
    """A task with two strata, and its training and test rows."""
    task = make_task(simulated_store, request.param)
    number = np.unique(task.table.groups, return_inverse=True)[1]  # families stay on one side
    task = replace(task, stratum_column="half", strata=np.where(number % 2, "odd", "even"))
    return task, np.flatnonzero(number % 4 < 2), np.flatnonzero(number % 4 >= 2)


def predictions(task: Task, train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    method = SharedLinear()
    method.begin_fold(task, train, seed=0)
    found = {}
    for stratum in ("odd", "even"):
        own = [rows[task.strata[rows] == stratum] for rows in (train, test)]
        predicted = method.fit_predict(task, *own, seed=0)
        assert len(predicted.test) == len(own[1])
        if isinstance(task.target, SurvivalTarget):
            assert len(predicted.held_out) == len(own[0])
        found[stratum] = predicted.test
    return found


def test_the_truth_of_test_rows_does_not_reach_it(parted) -> None:
    task, train, test = parted
    order = np.arange(len(task))
    order[test] = test[::-1]
    swapped = replace(task, target=task.target[order])
    for stratum, predicted in predictions(task, train, test).items():
        np.testing.assert_array_equal(predictions(swapped, train, test)[stratum], predicted)


def test_every_stratum_teaches_the_others(parted) -> None:
    """The odd half's predictions change with the even half's training truth, coefficients being shared."""
    task, train, test = parted
    even = train[task.strata[train] == "even"]
    order = np.arange(len(task))
    order[even] = even[::-1]
    turned = predictions(replace(task, target=task.target[order]), train, test)
    assert np.abs(turned["odd"] - predictions(task, train, test)["odd"]).max() > 1e-6


def test_it_is_a_default_within_strata_and_refused_without(simulated_store, parted) -> None:
    task, train, _ = parted
    assert NAME in default_names(task)
    whole = replace(task, strata=None, stratum_column=None)
    assert NAME not in default_names(whole)
    (method,) = baseline_methods([NAME], whole)
    with pytest.raises(InputError, match="--within"):
        method.begin_fold(whole, train, seed=0)
