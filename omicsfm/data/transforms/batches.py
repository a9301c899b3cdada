"""Which batch (platform, plate, site, cohort) each row belongs to, and a linear map for each batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from omicsfm.data.transforms.base import NO_LABELS, Features, Labels, Total, Values, target


def known_batches(labels: Labels, column: str | None) -> tuple[str, ...]:
    """Every batch that these rows name, sorted; a row of unknown batch names none."""
    return tuple(sorted(set(labels.get(column, ())) - {""})) if column is not None else ()


def batch_number(labels: Labels, column: str | None, known: Sequence[str], rows: int) -> Int[np.ndarray, " visits"]:
    """1 + the place of each row's batch in ``known``; 0 where it is none of them, or not known."""
    place = {batch: 1 + number for number, batch in enumerate(known)}
    own = labels.get(column, ()) if column is not None else ()
    return np.array([place.get(batch, 0) for batch in own], dtype=np.int64) if len(own) else np.zeros(rows, np.int64)


def largest_batch(labels: Labels, column: str, known: Sequence[str]) -> str:
    """The batch with most rows, the first of equals."""
    return max(known, key=lambda batch: int((labels[column] == batch).sum()))


class BatchMap:
    """value * factor + offset per feature and batch, as a method of harmonisation fitted them.

    A row of a batch that training did not see, or of none, stays as it is.
    """

    def __init__(self, *, column: str, batches: Sequence[str] = ()) -> None:
        """``column`` of the visits names each row's batch; ``batches`` are those seen in training."""
        self.column = column
        self.batches = tuple(batches)
        self.factor = np.ones((1, 0), dtype=np.float32)
        self.offset = np.zeros((1, 0), dtype=np.float32)

    @property
    def columns(self) -> tuple[str, ...]:
        """The label that names the batch."""
        return (self.column,)

    def begin(self, values: Values, labels: Labels) -> Int[np.ndarray, " visits"]:
        """Take note of the batches, start with maps that change nothing, and return each row's number: 0 for none."""
        self.batches = known_batches(labels, self.column)
        shape = (1 + len(self.batches), values.shape[1])
        self.factor, self.offset = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        return batch_number(labels, self.column, self.batches, len(values))

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        """Every row by the map of its batch."""
        row = batch_number(labels, self.column, self.batches, len(values)) if self.batches else 0
        return (values * self.factor[row] + self.offset[row]).astype(np.float32)

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        """Some features of each row; see ``Pointwise``."""
        row = batch_number(labels, self.column, self.batches, len(values))[:, None]
        return (values * self.factor[row, features] + self.offset[row, features]).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """What ``build`` needs to make this step again."""
        return {"_target_": target(self), "column": self.column, "batches": list(self.batches)}

    def arrays(self) -> dict[str, np.ndarray]:
        """The maps, that of no known batch first."""
        return {"factor": self.factor, "offset": self.offset}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back the maps."""
        self.factor, self.offset = arrays["factor"], arrays["offset"]
