"""choose_features: which of a visit's measured features become tokens."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from omicsfm.data.sampling import choose_features

tables = hnp.arrays(bool, st.tuples(st.integers(0, 5), st.integers(0, 8)))


def choose(observed: np.ndarray, cap: int | None, seed: int = 0, visits: np.ndarray | None = None):
    visits = np.arange(len(observed)) if visits is None else visits
    return choose_features(observed, max_features=cap, seed=seed, visits=visits)


@settings(max_examples=60, deadline=None)
@given(tables, st.one_of(st.none(), st.integers(1, 9)), st.integers(0, 5))
def test_what_is_kept_was_observed_once_and_as_much_as_fits(observed, cap, seed) -> None:
    chosen, kept = choose(observed, cap, seed)
    assert chosen.shape == kept.shape
    assert chosen.shape[1] >= 1
    for visit in range(len(observed)):
        mine = chosen[visit][kept[visit]].tolist()
        everything = np.flatnonzero(observed[visit]).tolist()
        assert len(set(mine)) == len(mine)
        assert set(mine) <= set(everything)
        assert len(mine) == min(len(everything), len(everything) if cap is None else cap)


def test_without_a_cap_the_second_axis_is_as_long_as_the_longest_visit() -> None:
    observed = np.array([[True, False, False, True, False], [False, True, False, False, False]])
    chosen, kept = choose(observed, None)
    assert chosen.shape == (2, 2)
    assert chosen[0].tolist() == [0, 3]
    assert kept.tolist() == [[True, True], [True, False]]


def test_under_a_cap_every_measured_feature_is_drawn_equally_often() -> None:
    observed = np.ones((2000, 8), dtype=bool)
    observed[:, 3] = False
    chosen, kept = choose(observed, 2)
    counts = np.bincount(chosen[kept], minlength=8) / 2000
    assert counts[3] == 0
    np.testing.assert_allclose(np.delete(counts, 3), 2 / 7, atol=0.05)


def test_a_visits_draw_depends_on_seed_and_visit_and_not_on_its_place_or_batch_mates() -> None:
    observed, visits = np.random.default_rng(0).random((6, 10)) < 0.8, np.arange(50, 56)
    chosen, kept = choose(observed, 3, 5, visits)
    order = [4, 0, 2]
    again, again_kept = choose(observed[order], 3, 5, visits[order])
    for place, row in enumerate(order):
        assert set(again[place][again_kept[place]]) == set(chosen[row][kept[row]])
    assert not np.array_equal(choose(observed, 3, 6, visits)[0], chosen)
    assert not np.array_equal(choose(observed, 3, 5, visits + 6)[0], chosen)


def test_a_features_chance_is_close_to_proportional_to_its_weight_up_to_certainty() -> None:
    weights = np.r_[np.ones(35), np.full(5, 4.0), 1000.0]
    observed = np.ones((1, 41), dtype=bool)
    chosen, kept = choose_features(observed, max_features=6, seed=1, visits=np.arange(4000), weights=weights)
    share = np.bincount(chosen[kept], minlength=41) / 4000
    np.testing.assert_allclose(share[:35], 1 / 11, atol=0.02)  # 5 places for weights of 55 in all
    np.testing.assert_allclose(share[35:40], 4 / 11, atol=0.04)
    assert share[40] > 0.999


def test_one_row_of_observed_features_stands_for_all_visits() -> None:
    known, visits = np.random.default_rng(0).random(30) < 0.6, np.arange(5, 12)
    one = choose_features(known[None], max_features=4, seed=2, visits=visits)
    each = choose_features(np.tile(known, (7, 1)), max_features=4, seed=2, visits=visits)
    for ours, theirs in zip(one, each, strict=True):
        np.testing.assert_array_equal(ours, theirs)
