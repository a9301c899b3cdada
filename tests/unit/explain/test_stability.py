"""Stability of the chosen sets against Kuncheva's index, and agreement of ranks against scipy."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from omicsfm.explain.stability import rank_agreement, set_stability, top


def kuncheva(chosen: np.ndarray) -> float:
    """Kuncheva 2007: (r d - k^2) / (k (d - k)) for each pair of sets of k of d features, r of them in both."""
    features, size = chosen.shape[1], int(chosen[0].sum())
    pairs = [(a & b).sum() for a, b in combinations(chosen, 2)]
    return float(np.mean([(r * features - size**2) / (size * (features - size)) for r in pairs]))


def test_stability_of_sets_of_one_size_is_kunchevas_index(rng) -> None:
    chosen = top(rng.normal(size=(6, 40)) + rng.normal(size=40), 7)
    assert (chosen.sum(axis=1) == 7).all()
    assert set_stability(chosen) == pytest.approx(kuncheva(chosen), abs=1e-12)


def test_equal_sets_are_perfectly_stable_and_random_ones_not_at_all(rng) -> None:
    same = top(np.tile(rng.normal(size=50), (4, 1)), 10)
    assert set_stability(same) == pytest.approx(1.0)
    random = top(rng.normal(size=(200, 50)), 10)
    assert set_stability(random) == pytest.approx(0.0, abs=0.01)


def test_one_model_and_a_choice_of_everything_have_no_stability(rng) -> None:
    sizes = rng.normal(size=(3, 5))
    assert set_stability(top(sizes[:1], 2)) is None
    assert set_stability(top(sizes, 5)) is None
    assert rank_agreement(sizes[:1]) is None
    assert rank_agreement(np.ones((3, 5))) is None


def test_rank_agreement_is_the_mean_spearman_correlation(rng) -> None:
    sizes = rng.normal(size=(4, 30)) + rng.normal(size=30)
    expected = np.mean([spearmanr(a, b).statistic for a, b in combinations(sizes, 2)])
    assert rank_agreement(sizes) == pytest.approx(expected, abs=1e-12)
