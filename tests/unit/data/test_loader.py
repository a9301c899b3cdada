"""Batches of an epoch: every visit once, decided by seed and epoch, cut over the processes."""

import numpy as np
import pytest

from omicsfm import distributed
from omicsfm.data.collate import BatchReader
from omicsfm.data.loader import make_loader
from omicsfm.data.order import BatchSampler
from omicsfm.training.assemble import fitted_transforms

ROWS = np.arange(100, 123)


def epoch_of(sampler: BatchSampler, epoch: int) -> list[tuple[list[int], int]]:
    sampler.set_epoch(epoch)
    return [(rows.tolist(), seed) for rows, seed in sampler]


def sampler(**changes) -> BatchSampler:
    return BatchSampler(ROWS, **{"batch_size": 5, "seed": 3, "shuffle": True, **changes})


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_comes_once_an_epoch(shuffle: bool) -> None:
    batches = epoch_of(sampler(shuffle=shuffle), 0)
    assert len(batches) == len(sampler()) == 5
    assert sorted(row for rows, _ in batches for row in rows) == ROWS.tolist()
    assert [len(rows) for rows, _ in batches] == [5, 5, 5, 5, 3]
    assert [sampler().visits(number) for number in range(5)] == [5, 5, 5, 5, 3]


def test_an_epoch_is_decided_by_seed_and_epoch_alone() -> None:
    assert epoch_of(sampler(), 2) == epoch_of(sampler(), 2)
    order = [rows for rows, _ in epoch_of(sampler(), 2)]
    assert [rows for rows, _ in epoch_of(sampler(), 3)] != order
    assert [rows for rows, _ in epoch_of(sampler(seed=4), 2)] != order
    later = sampler()
    epoch_of(later, 0)
    assert epoch_of(later, 2) == epoch_of(sampler(), 2)  # whatever was read before, as in a resumed run


def test_no_two_batches_of_a_run_share_a_seed() -> None:
    seeds = [seed for epoch in range(4) for _, seed in epoch_of(sampler(), epoch)]
    assert len(set(seeds)) == len(seeds)


def test_validation_is_the_same_in_every_epoch() -> None:
    fixed = sampler(shuffle=False)
    assert epoch_of(fixed, 0) == epoch_of(fixed, 5)
    assert [row for rows, _ in epoch_of(fixed, 0) for row in rows] == ROWS.tolist()


@pytest.mark.parametrize("world", [2, 4, 7])
def test_the_processes_batches_part_the_batch_of_one_process(monkeypatch, world: int) -> None:
    whole = epoch_of(sampler(), 1)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(distributed, "world_size", lambda: world)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(epoch_of(sampler(), 1))
    for number, (rows, seed) in enumerate(whole):
        theirs = [part[number] for part in parts]
        assert sorted(row for own, _ in theirs for row in own) == sorted(rows)
        assert {s for _, s in theirs} == {seed}  # draws belong to the batch, not to the process
    assert {len(part) for part in parts} == {len(whole)}


def test_no_rows_are_one_empty_batch() -> None:
    empty = BatchSampler(np.zeros(0, np.int64), batch_size=5, seed=0, shuffle=True)
    assert [rows.tolist() for rows, _ in empty] == [[]]


@pytest.mark.parametrize("ahead", [0, 1, 9])
def test_a_loader_gives_the_readers_batches_in_the_samplers_order(simulated_store, ahead: int) -> None:
    rows = np.arange(12)
    features = {name: matrix.features for name, matrix in simulated_store.modalities.items()}
    transforms = fitted_transforms(simulated_store, rows)
    reader = BatchReader(simulated_store, features=features, transforms=transforms, max_features=5)
    loader = make_loader(reader, rows, batch_size=5, seed=1, shuffle=True, ahead=ahead)
    expected = epoch_of(BatchSampler(rows, batch_size=5, seed=1, shuffle=True), 0)
    batches = list(loader)
    assert [(batch.row.tolist(), batch.seed) for batch in batches] == expected
    again = reader.read(np.array(expected[1][0]), seed=expected[1][1])
    for name, measured in again.measurements.items():
        np.testing.assert_array_equal(batches[1].measurements[name].values, measured.values)
