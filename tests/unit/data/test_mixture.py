"""What an epoch draws from several stores: by weight, each visit once before any again, decided by seed and epoch."""

from collections import Counter

import numpy as np
import pytest

from omicsfm import distributed
from omicsfm.data.loader import BatchSampler
from omicsfm.data.mixture import Mixture

PARTS = (np.arange(10, 40), np.arange(100, 110), np.arange(200, 220))


def mixture(weights=(1.0, 2.0, 1.0), seed: int = 5) -> Mixture:
    return Mixture(PARTS, weights, seed=seed)


def counts(rows: np.ndarray) -> list[int]:
    return [int(np.isin(rows, part).sum()) for part in PARTS]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1.0, 2.0, 1.0), [15, 30, 15]), ((1.0, 1.0, 1.0), [20, 20, 20]), ((5.0, 1.0, 1.0), [43, 9, 8])],
)
def test_an_epoch_is_as_long_as_there_are_visits_and_shared_out_by_weight(weights, expected: list[int]) -> None:
    for epoch in range(3):
        assert counts(mixture(weights).epoch(epoch)) == expected
    assert sum(expected) == 60


def test_without_weights_an_epoch_is_everybody_once_and_in_the_order_given() -> None:
    for epoch in range(3):
        np.testing.assert_array_equal(mixture(None).epoch(epoch), np.concatenate(PARTS))


@pytest.mark.parametrize("weights", [(1.0, 2.0, 1.0), (7.0, 1.0, 3.0)])
def test_every_visit_of_a_store_is_drawn_once_before_any_is_drawn_again(weights) -> None:
    drawn = mixture(weights)
    seen: Counter[int] = Counter()
    for epoch in range(7):
        seen.update(drawn.epoch(epoch).tolist())
        for part in PARTS:
            times = [seen[int(row)] for row in part]
            assert max(times) - min(times) <= 1


def test_an_epoch_is_decided_by_seed_and_number_whatever_was_drawn_before() -> None:
    drawn = mixture()
    drawn.epoch(0)
    np.testing.assert_array_equal(drawn.epoch(4), mixture().epoch(4))
    assert set(mixture().epoch(4)[:15]) != set(mixture(seed=6).epoch(4)[:15])


def test_a_store_of_which_nobody_is_trained_on_leaves_its_share_to_the_others() -> None:
    drawn = Mixture([PARTS[0], PARTS[0][:0]], (1.0, 5.0), seed=0)
    np.testing.assert_array_equal(drawn.epoch(1), PARTS[0])


@pytest.mark.parametrize("world", [2, 3])
def test_several_processes_draw_what_one_does(monkeypatch, world: int) -> None:
    def batches() -> list[list[int]]:
        sampler = BatchSampler(np.concatenate(PARTS), batch_size=7, seed=1, shuffle=True, mixture=mixture())
        sampler.set_epoch(3)
        return [rows.tolist() for rows, _ in sampler]

    whole = batches()
    assert counts(np.concatenate(whole)) == [15, 30, 15]
    parts = []
    for rank in range(world):
        monkeypatch.setattr(distributed, "world_size", lambda: world)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(batches())
    for number, rows in enumerate(whole):
        assert sorted(row for part in parts for row in part[number]) == sorted(rows)
