"""What is said of a visit beside its values: platform, plate, site; what a harmonisation goes by."""

from collections.abc import Sequence

import numpy as np

from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms import Labels

PLATFORM = "platform"


def row_labels(store: OmicsStore, modality: str, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """For each of these columns of the visits, every visit's text; a column that the store lacks is left out.

    An unknown value is the empty text. Where the visits name no platform, the modality's own (``platform`` in
    COHORT.yaml) holds for all of them.
    """
    labels = {column: _text(store, column) for column in columns if column in store.visits}
    declared = store.modalities[modality].features.platform
    if PLATFORM in columns and PLATFORM not in labels and declared:
        labels[PLATFORM] = np.full(len(store), declared)
    return labels


def at_rows(labels: Labels, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The labels of these rows."""
    return {column: values[rows] for column, values in labels.items()}


def _text(store: OmicsStore, column: str) -> np.ndarray:
    values = store.visits[column]
    return np.where(values.notna(), values.astype(str), "").astype(str)
