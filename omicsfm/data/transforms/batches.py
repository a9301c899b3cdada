"""Which batch (platform, plate, site, cohort) each row belongs to, among those seen in training."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from omicsfm.data.transforms.base import Labels


def known_batches(labels: Labels, column: str | None) -> tuple[str, ...]:
    """Every batch that these rows name, sorted; a row of unknown batch names none."""
    return tuple(sorted(set(labels.get(column, ())) - {""})) if column is not None else ()


def batch_number(labels: Labels, column: str | None, known: Sequence[str], rows: int) -> Int[np.ndarray, " visits"]:
    """1 + the place of each row's batch in ``known``; 0 where it is none of them, or not known."""
    place = {batch: 1 + number for number, batch in enumerate(known)}
    own = labels.get(column, ()) if column is not None else ()
    return np.array([place.get(batch, 0) for batch in own], dtype=np.int64) if len(own) else np.zeros(rows, np.int64)
