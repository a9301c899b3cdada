"""Centre and spread of each feature to 0 and 1, by median and quartiles."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omicsfm.data.transforms.base import NO_LABELS, Features, Labels, Total, Values, target
from omicsfm.data.transforms.batches import batch_number, known_batches


class RobustZ:
    """(value - median) / (interquartile range / 1.349) per feature and batch, clipped.

    Where the range is zero (a feature that is mostly one value) the standard deviation takes its place, and 1
    where that is zero too. A batch with fewer than ``min_rows`` values of a feature, or one never seen in
    training, takes the statistics over all batches.
    """

    def __init__(
        self,
        *,
        clip: float = 8.0,
        min_rows: int = 10,
        column: str | None = "platform",
        batches: Sequence[str] = (),
    ) -> None:
        """``column`` of the visits names each row's batch; None: one for all."""
        self.clip = clip
        self.min_rows = min_rows
        self.column = column
        self.batches = tuple(batches)
        self.center = np.zeros((1, 0), dtype=np.float32)
        self.spread = np.ones((1, 0), dtype=np.float32)

    @property
    def columns(self) -> tuple[str, ...]:
        return () if self.column is None else (self.column,)

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "RobustZ":
        self.batches = known_batches(labels, self.column)
        number = batch_number(labels, self.column, self.batches, len(values))
        pooled = location_and_spread(values)
        rows = [pooled]
        for batch in range(len(self.batches)):
            here = number == 1 + batch
            if here.all():
                rows.append(pooled)
                continue
            own = values[here]
            enough = (~np.isnan(own)).sum(axis=0) >= self.min_rows
            center, spread = location_and_spread(own)
            rows.append((np.where(enough, center, pooled[0]), np.where(enough, spread, pooled[1])))
        self.center = np.stack([center for center, _ in rows]).astype(np.float32)
        self.spread = np.stack([spread for _, spread in rows]).astype(np.float32)
        return self

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        row = batch_number(labels, self.column, self.batches, len(values)) if self.batches else 0
        return self._scaled(values, self.center[row], self.spread[row])

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        row = batch_number(labels, self.column, self.batches, len(values))[:, None]
        return self._scaled(values, self.center[row, features], self.spread[row, features])

    def _scaled(self, values: Values, center: np.ndarray, spread: np.ndarray) -> Values:
        return np.clip((values - center) / spread, -self.clip, self.clip).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        return {
            "_target_": target(self),
            "clip": self.clip,
            "min_rows": self.min_rows,
            "column": self.column,
            "batches": list(self.batches),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        return {"center": self.center, "spread": self.spread}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.center, self.spread = arrays["center"], arrays["spread"]


def location_and_spread(values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Median and interquartile range / 1.349 (a normal's standard deviation) of each feature; never 0."""
    measured = ~np.isnan(values)
    empty = ~measured.any(axis=0)
    filled = np.where(empty, 0.0, values)  # nanmedian warns on a column without a value
    if len(filled) == 0:
        filled = np.zeros((1, values.shape[1]))
    low, center, high = np.nanpercentile(filled, [25, 50, 75], axis=0)
    spread = (high - low) / 1.349
    spread = np.where(spread > 1e-6, spread, np.nanstd(filled, axis=0))
    return center, np.where(spread > 1e-6, spread, 1.0)
