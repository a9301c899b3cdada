"""Random batches of visits, the same on every machine for the same seed, shared out over ranks."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int
from torch.utils.data import DataLoader, Dataset, Sampler

from omicsfm import distributed
from omicsfm.contracts import Batch
from omicsfm.data.collate import BatchReader
from omicsfm.seeding import derive

Request = tuple[np.ndarray, int]  # store rows, and the seed of the batch


class _BatchDataset(Dataset[Batch]):
    def __init__(self, reader: BatchReader) -> None:
        self.reader = reader

    def __getitem__(self, request: Request) -> Batch:
        rows, seed = request
        return self.reader.read(rows, seed=seed)


class BatchSampler(Sampler[Request]):
    """Which visits make up each batch of an epoch.

    The order is a function of the seed and the epoch alone. A batch of ``batch_size`` visits is cut over the
    ranks, so two processes take the same optimiser steps as one; in a short last batch a rank may have no visit.
    """

    def __init__(self, rows: Int[np.ndarray, " visits"], *, batch_size: int, seed: int, shuffle: bool) -> None:
        self.rows = np.asarray(rows)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, -(-len(self.rows) // self.batch_size))

    def visits(self, number: int) -> int:
        """How many visits batch ``number`` has, over all ranks together."""
        return min(self.batch_size, len(self.rows) - number * self.batch_size)

    def __iter__(self) -> Iterator[Request]:
        epoch = self.epoch if self.shuffle else 0
        order = self.rows
        if self.shuffle:
            order = np.random.default_rng(derive(self.seed, "order", epoch)).permutation(self.rows)
        world, rank = distributed.world_size(), distributed.rank()
        for number in range(len(self)):
            batch = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield batch[rank::world], derive(self.seed, "batch", epoch, number)


def make_loader(
    reader: BatchReader,
    rows: Int[np.ndarray, " visits"],
    *,
    batch_size: int,
    seed: int,
    shuffle: bool,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """A loader whose items are whole batches. ``batch_size`` is over all ranks together."""
    sampler = BatchSampler(rows, batch_size=batch_size, seed=seed, shuffle=shuffle)
    return DataLoader(
        _BatchDataset(reader),
        sampler=sampler,
        batch_size=None,
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
    )
