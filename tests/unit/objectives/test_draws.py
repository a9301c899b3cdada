"""uniform: uniform numbers that belong to a visit and a feature, not to a place in a batch."""

import numpy as np
import torch
from scipy import stats

from omicsfm.objectives.draws import uniform


def test_draws_over_visits_and_features_are_uniform() -> None:
    visits, features = torch.arange(300)[:, None], torch.arange(300)[None]
    for seed in (0, 1, 2**31):
        draws = uniform(seed, visits, features).flatten().numpy()
        assert draws.min() >= 0.0
        assert draws.max() < 1.0
        assert stats.kstest(draws, "uniform").statistic < 1.95 / len(draws) ** 0.5  # exceeded once in 1,000
        assert len(np.unique(draws)) > 0.99 * len(draws)


def test_neighbouring_visits_features_and_seeds_are_uncorrelated() -> None:
    visits, features = torch.arange(200)[:, None], torch.arange(200)[None]
    draws, next_seed = uniform(7, visits, features), uniform(8, visits, features)
    pairs = [(draws[1:], draws[:-1]), (draws[:, 1:], draws[:, :-1]), (draws, next_seed), (draws, draws.T)]
    for a, b in pairs:
        off_diagonal = ~torch.eye(200, dtype=torch.bool) if a is draws and b.shape == (200, 200) else slice(None)
        correlation = np.corrcoef(a[off_diagonal].flatten().numpy(), b[off_diagonal].flatten().numpy())[0, 1]
        assert abs(correlation) < 0.025  # five standard deviations of 40,000 pairs


def test_a_draw_depends_on_its_keys_alone() -> None:
    visits, features = torch.tensor([5, 9, 2])[:, None], torch.arange(4)[None]
    draws = uniform(3, visits, features)
    torch.testing.assert_close(uniform(3, visits.flip(0), features), draws.flip(0), atol=0, rtol=0)
    torch.testing.assert_close(uniform(3, visits[1:2], features[:, 2:3]), draws[1:2, 2:3], atol=0, rtol=0)
    assert not torch.equal(uniform(4, visits, features), draws)


def test_the_numbers_never_change_between_releases() -> None:
    draws = uniform(11, torch.tensor([0, 1, 2**40]), torch.tensor([0, 1, -1]))
    torch.testing.assert_close(draws, torch.tensor([0.2177608, 0.8881777, 0.9778756]), atol=1e-6, rtol=0)
