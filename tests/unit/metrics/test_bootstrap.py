"""Intervals resample participants: they cover with repeated visits, and methods share their draws."""

import numpy as np
import pytest

from omicsfm.metrics import ClassTarget, metrics_for
from omicsfm.metrics.bootstrap import Repeat, draw_resamples, percentile_interval, resampled_mean
from omicsfm.metrics.classification import auroc
from omicsfm.metrics.registry import REGISTRY, metric

PARTICIPANTS, VISITS = 80, 5


def draw_cohort(generator):
    """Visits of one participant share truth and most of the score, so that they are one observation, not five."""
    truth = np.repeat(generator.uniform(size=PARTICIPANTS) < 0.4, VISITS)
    shared = np.repeat(generator.normal(size=PARTICIPANTS), VISITS)
    score = 0.9 * truth + shared + 0.3 * generator.normal(size=len(truth))
    p = 1 / (1 + np.exp(-score))
    ids = np.repeat([f"P{n:03d}" for n in range(PARTICIPANTS)], VISITS)
    return ClassTarget(truth.astype(np.int64), ("no", "yes")), np.stack([1 - p, p], axis=1), ids


def interval_of(target, p, ids, seed):
    resamples = draw_resamples(ids, resamples=300, seed=seed)
    repeat = Repeat(lambda weights: auroc(target, p, weights), ids)
    return percentile_interval(resampled_mean([repeat], resamples))


def test_the_interval_covers_with_several_visits_a_participant():
    generator = np.random.default_rng(0)
    truth_target, truth_p = zip(*[draw_cohort(generator)[:2] for _ in range(200)], strict=True)
    population = np.mean([auroc(t, p) for t, p in zip(truth_target, truth_p, strict=True)])
    covered = 0
    for trial in range(200):
        low, high = interval_of(*draw_cohort(generator), seed=trial)
        covered += low <= population <= high
    assert 0.90 <= covered / 200 <= 0.98


def test_treating_visits_as_participants_would_be_too_narrow():
    target, p, ids = draw_cohort(np.random.default_rng(1))
    low, high = interval_of(target, p, ids, seed=0)
    row_low, row_high = interval_of(target, p, np.arange(len(ids)), seed=0)
    assert high - low > 1.6 * (row_high - row_low)


def test_a_resample_keeps_a_participants_visits_together():
    ids = np.repeat(["a", "b", "c"], [1, 4, 2])
    (weights,) = draw_resamples(ids, resamples=50, seed=0).weights(ids)
    assert (weights[1:5] == weights[1]).all()
    assert (weights[[0, 1, 5]].sum(axis=0) == 3).all()


def test_ten_identical_repeats_give_the_interval_of_one():
    target, p, ids = draw_cohort(np.random.default_rng(2))
    resamples = draw_resamples(ids, resamples=200, seed=0)
    repeat = Repeat(lambda weights: auroc(target, p, weights), ids)
    one, ten = resampled_mean([repeat], resamples), resampled_mean([repeat] * 10, resamples)
    np.testing.assert_allclose(one, ten)


def test_a_method_paired_with_itself_differs_by_nothing():
    target, p, ids = draw_cohort(np.random.default_rng(3))
    resamples = draw_resamples(ids, resamples=100, seed=0)
    own = [resampled_mean([Repeat(lambda w: auroc(target, p, w), ids)], resamples) for _ in range(2)]
    assert percentile_interval(own[0] - own[1]) == (0.0, 0.0)


def test_mostly_undefined_resamples_give_no_interval():
    assert np.isnan(percentile_interval(np.array([np.nan, np.nan, 0.5]))).all()


def test_a_new_metric_is_one_function():
    @metric("class", best="high")
    def share_called(target, probability, weights):
        """Share of rows given the second class."""
        return (probability[:, 1] > 0.5) @ weights / weights.sum(axis=0)

    try:
        target, p, _ = draw_cohort(np.random.default_rng(4))
        assert metrics_for(target)["share_called"](target, p) == pytest.approx((p[:, 1] > 0.5).mean())
    finally:
        del REGISTRY["class"]["share_called"]


def test_every_metric_says_what_it_is_and_which_way_is_good():
    for kind, known in REGISTRY.items():
        for name, one in known.items():
            assert one.kind == kind
            assert len(one.__doc__) > 60, name
            assert one.best in ("high", "low") or isinstance(one.best, float)
