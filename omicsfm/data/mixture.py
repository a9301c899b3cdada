"""Which visits an epoch draws from each of several stores."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from omicsfm.data.store import OmicsStore
from omicsfm.data.union import rows_by_store
from omicsfm.seeding import derive

Rows = Int[np.ndarray, " _"]  # as many as there are


class Mixture:
    """An epoch has as many visits as there are to train on, shared out over the stores by weight.

    A store's visits come in passes over all of them, each in an order of its own; an epoch goes on where the one
    before it stopped. So every visit of a store is drawn once before any is drawn again, whatever the weights, and an
    epoch is decided by the seed and its number alone. Without weights every epoch is one pass over everybody.
    """

    def __init__(self, parts: Sequence[Rows], weights: Sequence[float] | None, *, seed: int) -> None:
        """``parts`` are the rows to train on of each store."""
        given = [len(part) for part in parts] if weights is None else weights
        kept = [(part, weight) for part, weight in zip(parts, given, strict=True) if len(part)]
        self.parts = [part for part, _ in kept]
        self.counts = _share_out(sum(len(part) for part in self.parts), np.array([float(w) for _, w in kept]))
        self.seed = seed

    @classmethod
    def of(cls, store: OmicsStore, rows: Rows, *, seed: int) -> "Mixture":
        """The mixture of these rows of a store, or of a union by its weights."""
        starts = np.cumsum([0, *(len(own) for own in store.stores)])
        parts = [own + start for (_, own), start in zip(rows_by_store(store, rows), starts[:-1], strict=True)]
        return cls(parts, store.weights, seed=seed)

    def epoch(self, number: int) -> Rows:
        """The rows of an epoch, in no random order."""
        drawn = [self._drawn(place, number) for place in range(len(self.parts))]
        return np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)

    def _drawn(self, place: int, epoch: int) -> Rows:
        part, count = self.parts[place], int(self.counts[place])
        first, last, size = epoch * count, (epoch + 1) * count, len(part)
        chosen = []
        for number in range(first // size, -(-last // size)):
            begin, end = max(first - number * size, 0), min(last - number * size, size)
            order = np.arange(size)
            if end - begin < size:
                order = np.random.default_rng(derive(self.seed, "pass", place, number)).permutation(size)[begin:end]
            chosen.append(np.sort(order))
        return part[np.concatenate(chosen)] if chosen else part[:0]


def _share_out(total: int, weights: np.ndarray) -> Int[np.ndarray, " stores"]:
    """``total`` in whole numbers proportional to the weights, by largest remainders."""
    exact = total * weights / weights.sum() if len(weights) else weights
    counts = np.floor(exact).astype(np.int64)
    rest = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[rest] += 1
    return counts
