"""Percentile intervals that resample participants, never rows.

With five visits a participant a row-wise interval that says 95 % covers 65 %. There is no row-wise option here.

An interval describes the participants who were scored, the fitted models held fixed: it does not include the spread
between models that other training participants would have given.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

CELLS_AT_ONCE = 4_000_000  # rows x resamples held at a time: 32 MB an array

PerResample = Float[np.ndarray, " resamples"]


@dataclass(frozen=True)
class Resamples:
    """How often each participant was drawn in each resample; shared by all methods, metrics and repeats."""

    participants: Shaped[np.ndarray, " participants"]
    counts: Int[np.ndarray, "participants resamples"]

    def weights(self, participant_ids: Shaped[np.ndarray, " rows"]) -> Iterator[Float[np.ndarray, "rows drawn"]]:
        """How often each row counts, as often as its participant was drawn; some resamples at a time."""
        place = np.searchsorted(self.participants, participant_ids)
        at_once = max(1, CELLS_AT_ONCE // max(len(place), 1))
        for start in range(0, self.counts.shape[1], at_once):
            yield self.counts[place, start : start + at_once].astype(np.float64)


def draw_resamples(participant_ids: Shaped[np.ndarray, " rows"], *, resamples: int, seed: int) -> Resamples:
    """Draw as many participants as there are, with replacement, ``resamples`` times."""
    participants = np.unique(participant_ids)
    people = len(participants)
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(people, np.full(people, 1.0 / people), size=resamples).T
    return Resamples(participants, np.ascontiguousarray(counts.astype(np.int32)))


@dataclass(frozen=True)
class Repeat:
    """One repeat of a cross-validation: a scorer of row weights, and whose rows they are."""

    score: Callable[[Float[np.ndarray, "rows drawn"]], PerResample]
    participant_ids: Shaped[np.ndarray, " rows"]


def resampled_mean(repeats: Sequence[Repeat], resamples: Resamples) -> PerResample:
    """The metric of each resample: computed in each repeat on the same draw of participants, then averaged.

    The repeats hold the same participants, so they are not independent samples: averaging per-repeat intervals would
    be too narrow by about the square root of their number.
    """
    values = [
        np.concatenate([one.score(weights) for weights in resamples.weights(one.participant_ids)]) for one in repeats
    ]
    return np.mean(values, axis=0)


def percentile_interval(values: PerResample, level: float = 0.95) -> tuple[float, float]:
    """The central ``level`` of the resampled values; NaN, NaN if under half of them are defined."""
    defined = values[np.isfinite(values)]
    if len(defined) < max(len(values) / 2, 1):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
