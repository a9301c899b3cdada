"""Batches of visits as a model takes them, in random order, read ahead."""

import numpy as np
from jaxtyping import Int

from omicsfm.contracts import Batch
from omicsfm.data.collate import BatchReader
from omicsfm.data.histories import Histories
from omicsfm.data.mixture import Mixture
from omicsfm.data.order import BatchSampler
from omicsfm.data.read_ahead import Loader
from omicsfm.data.whole_participants import ParticipantSampler


def make_loader(
    reader: BatchReader,
    rows: Int[np.ndarray, " visits"],
    *,
    batch_size: int,
    seed: int,
    shuffle: bool,
    ahead: int = 2,
    history: int | None = None,
) -> Loader[Batch]:
    """A loader whose items are whole batches, as a model takes them, drawn by the weights of the reader's store where
    it has some. ``batch_size`` is over all ranks together. With ``history`` a participant's visits come together, at
    most so many of them.
    """
    mixture = None if reader.store.weights is None else Mixture.of(reader.store, rows, seed=seed)
    sampler = BatchSampler(rows, batch_size=batch_size, seed=seed, shuffle=shuffle, mixture=mixture)
    if history is not None:
        sampler = ParticipantSampler(
            rows,
            Histories.of(reader.store.visits),
            most=history,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            mixture=mixture,
        )
    return Loader(sampler, lambda rows, seed: reader.read(rows, seed=seed), ahead=ahead)
