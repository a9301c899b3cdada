"""Which rows make up each batch: random, the same on every machine for the same seed, shared out over ranks."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from omicsfm import distributed
from omicsfm.seeding import derive

Request = tuple[np.ndarray, int]
"""Store rows of a batch, and its seed."""


@runtime_checkable
class Choice(Protocol):
    """Which rows an epoch draws, where it is not each once."""

    def epoch(self, number: int) -> np.ndarray:
        """The rows of an epoch, in no random order."""


class BatchSampler:
    """Which visits make up each batch of an epoch.

    Visits and order are a function of the seed and the epoch alone. A batch of ``batch_size`` visits is cut over the
    ranks, so two processes take the same optimiser steps as one; in a short last batch a rank may have no visit.
    """

    def __init__(
        self,
        rows: Int[np.ndarray, " visits"],
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        mixture: Choice | None = None,
    ) -> None:
        """``mixture`` says which of the rows an epoch draws, and how often; without one each once."""
        self.rows = np.asarray(rows)
        self.mixture = mixture
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
        order = self.rows if self.mixture is None else self.mixture.epoch(epoch)
        if self.shuffle:
            order = np.random.default_rng(derive(self.seed, "order", epoch)).permutation(order)
        world, rank = distributed.world_size(), distributed.rank()
        for number in range(len(self)):
            batch = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield batch[rank::world], derive(self.seed, "batch", epoch, number)
