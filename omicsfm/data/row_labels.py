"""What is said of a visit beside its values: platform, plate, site; what a harmonisation goes by."""

from collections.abc import Sequence

import numpy as np

from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms import Labels

PLATFORM = "platform"
SCALE = "scale"
EVERYWHERE = (PLATFORM, "bridge", "time_days")
"""Columns of which equal values mean the same in two cohorts."""
PERSONAL = ("participant_id", "family_id")


def row_labels(store: OmicsStore, modality: str, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """For each of these columns of the visits, every visit's text; a column that no cohort has is left out.

    An unknown value is the empty text. Where the visits name no platform, the modality's own (``platform`` in
    COHORT.yaml) holds for all of them, and where that is not declared the cohort stands for its platform. ``scale`` is
    the modality's declared scale. Platforms, days and bridge samples are the same everywhere; plates, sites and other
    labels carry the name of their cohort, participants of those whose ids they bear.
    """
    parts = [(len(own), _of_cohort(own, modality, columns)) for own in store.stores]
    known = [column for column in columns if any(column in labels for _, labels in parts)]
    return {
        column: np.concatenate([labels.get(column, np.broadcast_to("", size)) for size, labels in parts])
        if len(parts) > 1
        else parts[0][1][column]
        for column in known
    }


def at_rows(labels: Labels, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The labels of these rows."""
    return {column: values[rows] for column, values in labels.items()}


def _of_cohort(store: OmicsStore, modality: str, columns: Sequence[str]) -> dict[str, np.ndarray]:
    labels = {column: _named(store, column) for column in columns if column in store.visits}
    if modality not in store.inputs:
        return labels
    space = store.inputs[modality].features
    if PLATFORM in columns and PLATFORM not in labels:
        labels[PLATFORM] = np.broadcast_to(space.platform or store.name, len(store))
    if SCALE in columns:
        labels[SCALE] = np.broadcast_to(space.scale, len(store))
    return labels


def _named(store: OmicsStore, column: str) -> np.ndarray:
    values = store.visits[column]
    text = values.astype(str)
    if column not in EVERYWHERE:
        text = f"{store.people if column in PERSONAL else store.name}/" + text
    return np.where(values.notna(), text, "").astype(str)
