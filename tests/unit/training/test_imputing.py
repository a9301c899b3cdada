"""Weights of an imputer's members: what all components say of a member counts where one of them says little."""

import numpy as np

from omicsfm.training.imputing import _shares


def held_out_of(rng: np.random.Generator, scores: np.ndarray, noise: float) -> np.ndarray:
    return scores + noise * rng.normal(size=scores.shape)


def test_a_member_that_is_right_gets_the_weight_and_noise_none(rng) -> None:
    scores = rng.normal(size=(400, 6))
    shares = _shares(np.stack([held_out_of(rng, scores, 0.1), rng.normal(size=scores.shape)]), scores)
    np.testing.assert_allclose(shares[0], 1.0, atol=0.1)
    assert shares[1].max() < 0.1
    assert (shares >= 0).all()


def test_a_component_that_nothing_foretells_is_left_out(rng) -> None:
    scores = rng.normal(size=(400, 6))
    said = held_out_of(rng, scores, 0.5)
    said[:, 5] = rng.normal(size=400)
    shares = _shares(said[None], scores)
    assert shares[0, 5] < 0.15
    assert shares[0, :5].min() > 0.6


def test_few_people_leave_a_component_near_what_all_components_say(rng) -> None:
    scores = rng.normal(size=(12, 40))
    said = np.stack([held_out_of(rng, scores, 2.0), held_out_of(rng, scores, 2.0)])
    own = np.stack([np.linalg.lstsq(said[:, :, c].T, scores[:, c], rcond=None)[0] for c in range(40)], axis=1)
    assert _shares(said, scores).std() < 0.7 * own.std()


def test_where_nothing_is_foretold_what_is_said_still_ranks_as_the_members_do(rng) -> None:
    scores, said = rng.normal(size=(30, 60)), rng.normal(size=(2, 30, 60))
    said[:, :, :] -= 0.5 * scores  # worse than nothing
    shares = _shares(said, scores)
    assert (np.median(shares, axis=1) > 0.01).all()
    assert shares.max() < 0.3
