"""What one model reads of each feature: attributions at some visits, and their means over participants."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int, Shaped

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.collate import BatchReader
from omicsfm.explain.attribution import attribute, outputs_of
from omicsfm.features import FeatureSpace


@dataclass(frozen=True)
class Explained:
    """The visits that are explained: whose they are, and what was measured. Features as in ``Encoded.profile``."""

    participant_ids: Shaped[np.ndarray, " visits"]
    values: Float32[np.ndarray, "visits features"]
    """In model scale; 0 where not measured."""
    measured: Bool[np.ndarray, "visits features"]

    @cached_property
    def weights(self) -> Float[np.ndarray, " visits"]:
        """Weights that sum to one: every participant counts the same, however many visits."""
        _, number, visits = np.unique(self.participant_ids, return_inverse=True, return_counts=True)
        return 1.0 / (visits[number] * len(visits))

    def mean(self, attributions: Shaped[np.ndarray, "visits features"]) -> Float[np.ndarray, " features"]:
        """Mean absolute attribution of each feature over participants."""
        return self.weights @ np.abs(attributions)

    def slope(self, attributions: Shaped[np.ndarray, "visits features"]) -> Float[np.ndarray, " features"]:
        """Attribution per unit of the value (robust z), by least squares through the origin: above 0 where a higher
        value raises the output.
        """
        return self.weights @ (attributions * self.values) / np.maximum(self.weights @ self.values**2, 1e-12)


@dataclass(frozen=True)
class Importance:
    """One model's attributions of each output, and their means over participants."""

    name: str
    """Which model: its fold, or its run."""
    spaces: tuple[FeatureSpace, ...]
    outputs: tuple[str, ...]
    explained: Explained
    total: Float32[np.ndarray, "outputs visits features"]
    mean_absolute: Float[np.ndarray, "outputs features"]
    slope: Float[np.ndarray, "outputs features"]
    embedding: Float[np.ndarray, "outputs features"]
    """Mean absolute attribution of the way through the embedding alone."""
    beside: Float[np.ndarray, "outputs features"]
    """The same of the way past it, through the values that the head reads."""
    gap: float
    """Largest gap of an output (see ``Attribution.gap``)."""


def importance_of(
    model: Any, reader: BatchReader, rows: Int[np.ndarray, " visits"], outcome: OutcomeSpec, *, name: str
) -> Importance:
    """Explain the model's predictions of the outcome at the visits ``rows`` of the reader's store. A feature that was
    not measured adds nothing to that visit.
    """
    explained, outputs = _read(model, reader, rows), outputs_of(outcome)
    found = [attribute(model, reader, rows, outcome, output=place) for place in range(len(outputs))]
    return Importance(
        name=name,
        spaces=tuple(reader.features[modality] for modality in model.modalities),
        outputs=outputs,
        explained=explained,
        total=np.stack([one.total.astype(np.float32) for one in found]),
        mean_absolute=np.stack([explained.mean(one.total) for one in found]),
        slope=np.stack([explained.slope(one.total) for one in found]),
        embedding=np.stack([explained.mean(one.through_embedding) for one in found]),
        beside=np.stack([explained.mean(one.through_values) for one in found]),
        gap=max(one.gap for one in found),
    )


def _read(model: Any, reader: BatchReader, rows: np.ndarray) -> Explained:
    """The visits as the model reads them."""
    batch, values, measured = reader.read(rows), [], []
    for name, parts in model.modalities.items():
        read = batch.measurements[name]
        panel = np.full((len(rows), parts.tokenizer.num_features), np.nan, np.float32)
        visit, place = np.nonzero(read.visible.numpy())
        panel[visit, read.feature_ids.numpy()[visit, place]] = read.values.numpy()[visit, place]
        values.append(np.nan_to_num(panel))
        measured.append(~np.isnan(panel))
    ids = reader.store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    return Explained(ids, np.concatenate(values, axis=1), np.concatenate(measured, axis=1))


def feature_rows(importance: Importance) -> pd.DataFrame:
    """Modality, namespace and id of each feature, in the order of the numbers."""
    return pd.DataFrame(
        [(space.modality, space.namespace, feature) for space in importance.spaces for feature in space.ids],
        columns=["modality", "namespace", "feature_id"],
    )
