"""Quantile bridging: each platform's distribution of a feature is laid over the reference platform's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from omicsfm.data.transforms.base import NO_LABELS, Features, Labels, Total, Values, target
from omicsfm.data.transforms.batches import batch_number, known_batches
from omicsfm.data.transforms.bridging import reference_batch

Curves = Float[np.ndarray, "knots visits_or_one features"]
CELLS = 2_000_000  # values compared with their knots at a time


class QuantileBridging:
    """Maps the quantiles of each feature on a platform to those on the reference platform, linear between them.

    Beyond the outermost quantiles the difference there is kept. It needs no common samples, and supposes that the
    platforms measured like people: differences between their people go with those between the platforms. A feature with
    fewer than ``min_rows`` values on either platform, and a platform that training did not see, stay as they are.
    """

    def __init__(
        self,
        *,
        column: str = "platform",
        reference: str | None = None,
        knots: int = 33,
        min_rows: int = 20,
        batches: Sequence[str] = (),
    ) -> None:
        """``reference``: the platform that the others are brought to; where None or absent, the one with most rows.
        ``knots`` quantiles from 0 to 1 describe a distribution.
        """
        self.column = column
        self.reference = reference
        self.knots = knots
        self.min_rows = min_rows
        self.batches = tuple(batches)
        self.source = np.zeros((0, knots, 0), dtype=np.float32)
        self.goal = np.zeros((knots, 0), dtype=np.float32)

    @property
    def columns(self) -> tuple[str, ...]:
        """The label that names the platform."""
        return (self.column,)

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "QuantileBridging":
        """Learn the quantiles of training rows, platform by platform."""
        self.batches = known_batches(labels, self.column)
        self.goal = np.zeros((self.knots, values.shape[1]), dtype=np.float32)
        self.source = self.goal[None][:0]
        if not self.batches:
            return self
        self.reference = reference_batch(self.reference, labels, self.column, self.batches)
        number = batch_number(labels, self.column, self.batches, len(values))
        own = [values[number == 1 + batch] for batch in range(len(self.batches))]
        enough = [(~np.isnan(rows)).sum(axis=0) >= self.min_rows for rows in own]
        found = [_quantiles(rows, self.knots) for rows in own]
        place = self.batches.index(self.reference)
        self.goal = found[place]
        self.source = np.stack([np.where(e & enough[place], q, self.goal) for q, e in zip(found, enough, strict=True)])
        return self

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        """The rows as the reference platform would have read them."""
        number = batch_number(labels, self.column, self.batches, len(values))
        out = values.astype(np.float32)
        step = max(1, CELLS // max(values.shape[1], 1))
        for batch, source in enumerate(self.source):
            if self.batches[batch] == self.reference:
                continue
            rows = np.flatnonzero(number == 1 + batch)
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                out[some] = _interpolate(out[some], source[:, None], self.goal[:, None])
        return out

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        """Some features of each row; see ``Pointwise``."""
        number = batch_number(labels, self.column, self.batches, len(values))
        out = values.astype(np.float32)
        for batch, source in enumerate(self.source):
            if self.batches[batch] != self.reference:
                rows = np.flatnonzero(number == 1 + batch)
                out[rows] = _interpolate(out[rows], source[:, features[rows]], self.goal[:, features[rows]])
        return out

    def spec(self) -> dict[str, Any]:
        """What ``build`` needs to make this step again."""
        own = ("column", "reference", "knots", "min_rows")
        return {"_target_": target(self), **{name: getattr(self, name) for name in own}, "batches": list(self.batches)}

    def arrays(self) -> dict[str, np.ndarray]:
        """Quantiles of every platform, and those they are brought to."""
        return {"source": self.source, "goal": self.goal}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what was fitted."""
        self.source, self.goal = arrays["source"], arrays["goal"]


def _quantiles(values: Values, knots: int) -> Float[np.ndarray, "knots features"]:
    empty = np.isnan(values).all(axis=0)
    return np.nanquantile(np.where(empty, 0.0, values), np.linspace(0, 1, knots), axis=0).astype(np.float32)


def _interpolate(values: Values, source: Curves, goal: Curves) -> Values:
    """Piecewise linear from ``source`` to ``goal``, shifted in parallel beyond the ends; NaN stays NaN."""
    below = np.zeros((1, *values.shape), dtype=np.int64)
    for knot in source[1:-1]:  # the segment of each value, without an array of visits, knots and features
        below += values >= knot  # a limit that many share goes to the upper end of their quantiles: still their limit
    source, goal = (np.broadcast_to(curve, (len(curve), *values.shape)) for curve in (source, goal))
    low, high = (np.take_along_axis(source, below + end, axis=0)[0] for end in (0, 1))
    to_low, to_high = (np.take_along_axis(goal, below + end, axis=0)[0] for end in (0, 1))
    width = high - low
    share = np.full(values.shape, 0.5, dtype=np.float32)
    np.divide(np.clip(values, low, high) - low, width, out=share, where=width > 0)
    inside = to_low + share * (to_high - to_low)
    beyond = np.where(values < source[0], values - source[0], np.maximum(values - source[-1], 0))
    return (inside + beyond).astype(np.float32)
