"""The oracle of simulated forecasts: what it may know, and what it is worth."""

import numpy as np
import pytest

from benchmarks.oracle import drift_covariance, oracle_errors
from omicsfm.data.generative import _drift, generator
from omicsfm.data.synthetic import simulate


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_the_covariance_is_that_of_the_drawn_factors(momentum: float) -> None:
    drawn = _drift(np.arange(40_000), 4, 1, momentum, generator(0, "factors"))[:, :, 0]
    np.testing.assert_allclose(np.cov(drawn.T), drift_covariance(4, momentum), atol=0.03)


def test_two_visits_are_worth_more_than_one_only_with_momentum(tmp_path) -> None:
    ratio = {}
    for momentum in (0.0, 0.8):
        cohort = simulate(tmp_path / f"m{momentum}.h5mu", participants=200, visits=4, signal=4.0, momentum=momentum)
        errors = oracle_errors(cohort, signal=4.0, momentum=momentum, first_visit=3)
        ratio[momentum] = errors["two"] / errors["one"]
    assert ratio[0.8] < 0.85
    assert ratio[0.0] == pytest.approx(1.0, abs=0.02)
