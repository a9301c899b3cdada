"""Metrics of each feature of a profile."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from omicsfm.metrics.profiles import rmse_by_feature, spearman_by_feature

ONE = np.ones((40, 1))


@pytest.fixture
def profiles(rng) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.normal(size=(40, 5))
    predicted = truth + rng.normal(size=truth.shape)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    return truth, predicted


def test_each_feature_scores_as_scipy_says_of_the_people_who_have_it(profiles) -> None:
    truth, predicted = profiles
    ranks, errors = spearman_by_feature(truth, predicted, ONE), rmse_by_feature(truth, predicted, ONE)
    for feature in range(5):
        known = ~np.isnan(truth[:, feature])
        expected = spearmanr(truth[known, feature], predicted[known, feature]).statistic
        assert ranks[feature, 0] == pytest.approx(expected, abs=1e-12)
        error = np.sqrt(((truth - predicted)[known, feature] ** 2).mean())
        assert errors[feature, 0] == pytest.approx(error, abs=1e-12)


def test_weights_count_a_person_as_often_as_drawn(profiles, rng) -> None:
    truth, predicted = profiles
    drawn = rng.integers(0, 40, 40)
    weights = np.bincount(drawn, minlength=40).astype(float)[:, None]
    for metric in (spearman_by_feature, rmse_by_feature):
        np.testing.assert_allclose(metric(truth, predicted, weights), metric(truth[drawn], predicted[drawn], ONE))


def test_one_answer_for_everybody_ranks_nobody() -> None:
    truth = np.arange(12.0)[:, None]
    assert spearman_by_feature(truth, np.full((12, 1), 3.0), np.ones((12, 1)))[0, 0] == 0.0


def test_nothing_is_said_of_a_feature_that_few_have_or_that_is_the_same_for_all(profiles) -> None:
    truth, predicted = profiles
    truth[4:, 0], truth[:, 1] = np.nan, 7.0
    found = spearman_by_feature(truth, predicted, ONE)[:, 0]
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()
