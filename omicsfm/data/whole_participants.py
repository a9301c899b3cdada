"""Batches of whole participants: the visits of a history are read together, and nothing is padded to the longest."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from omicsfm import distributed
from omicsfm.data.histories import Histories
from omicsfm.data.order import BatchSampler, Choice, Request
from omicsfm.seeding import derive


class ParticipantSampler(BatchSampler):
    """Which participants make up each batch of an epoch; a batch has about ``batch_size`` visits.

    Somebody with more than ``most`` visits comes as several pieces of that many, each a history of its own, so that a
    batch stays small however often people come. Participants and order are a function of the seed and the epoch alone,
    and a batch is cut over the ranks by participant.
    """

    def __init__(
        self,
        rows: Int[np.ndarray, " visits"],
        histories: Histories,
        *,
        most: int,
        batch_size: int,
        seed: int,
        shuffle: bool,
        mixture: Choice | None = None,
    ) -> None:
        """``mixture`` says how often an epoch draws each visit; a piece is drawn as often as its visits on average."""
        super().__init__(rows, batch_size=batch_size, seed=seed, shuffle=shuffle, mixture=mixture)
        self._pieces = _pieces(self.rows, histories, most)
        self._drawn: tuple[int, list[list[Int[np.ndarray, " piece"]]]] | None = None

    def visits(self, number: int) -> int:
        """How many visits batch ``number`` has, over all ranks together."""
        return sum(map(len, self._batches()[number]))

    def __iter__(self) -> Iterator[Request]:
        epoch = self.epoch if self.shuffle else 0
        world, rank = distributed.world_size(), distributed.rank()
        for number, batch in enumerate(self._batches()):
            own = batch[rank::world]
            yield np.concatenate(own) if own else self.rows[:0], derive(self.seed, "batch", epoch, number)

    def _batches(self) -> list[list[Int[np.ndarray, " piece"]]]:
        epoch = self.epoch if self.shuffle else 0
        if self._drawn is None or self._drawn[0] != epoch:
            generator = np.random.default_rng(derive(self.seed, "order", epoch))
            order = np.arange(len(self._pieces))
            if self.mixture is not None:
                order = np.repeat(order, self._times(self.mixture.epoch(epoch), generator))
            order = generator.permutation(order) if self.shuffle else order
            parts = np.array_split(order, len(self))
            self._drawn = epoch, [[self._pieces[place] for place in part] for part in parts]
        return self._drawn[1]

    def _times(self, rows: Int[np.ndarray, " drawn"], generator: np.random.Generator) -> Int[np.ndarray, " pieces"]:
        lengths = np.array([len(piece) for piece in self._pieces])
        piece_of = np.full(int(self.rows.max()) + 1, -1)
        piece_of[np.concatenate(self._pieces)] = np.repeat(np.arange(len(self._pieces)), lengths)
        mean = np.bincount(piece_of[rows], minlength=len(lengths)) / lengths
        return np.floor(mean + generator.random(len(mean))).astype(np.int64)


def _pieces(rows: Int[np.ndarray, " visits"], histories: Histories, most: int) -> list[Int[np.ndarray, " piece"]]:
    """Each participant's rows in time, cut into pieces of at most ``most``."""
    rows = histories.order[np.sort(histories.place[rows])]
    first = histories.first[rows]
    begins = np.flatnonzero(np.diff(first, prepend=-1))
    return [
        person[start : start + most] for person in np.split(rows, begins[1:]) for start in range(0, len(person), most)
    ]
