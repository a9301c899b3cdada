"""Integrated gradients of a prediction with respect to the measured values of each visit.

Sundararajan, Taly and Yan 2017, arXiv:1703.01365, through captum: the gradient along the straight way from a baseline
to the visit, times the distance. The baseline is the same visit with every measured value at the training median, which
is 0 in model scale; who was measured for what, and what lies below its limit, stays as it is. Attributions of a visit
sum to its prediction minus the baseline's (completeness), whatever the encoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from omicsfm.contracts import Batch, Measurement, OutcomeSpec
from omicsfm.data.collate import BatchReader
from omicsfm.errors import InputError

POINTS_AT_ONCE = 256
"""Visits times points of the way that are held in memory."""
MOST_POINTS = 256
TOLERANCE = 0.01
"""Largest gap between the attributions' sum and the difference they explain, as a share of the mean difference."""


@dataclass(frozen=True)
class Attribution:
    """Attributions of one output at some visits, in the unit of the output."""

    through_embedding: Float[np.ndarray, "visits all_features"]
    """What each value adds through the encoder's embedding."""
    through_values: Float[np.ndarray, "visits all_features"]
    """What it adds through the values that the head reads beside the embedding."""
    difference: Float[np.ndarray, " visits"]
    """Prediction minus the baseline's."""

    @property
    def total(self) -> Float[np.ndarray, "visits all_features"]:
        """Both ways together."""
        return self.through_embedding + self.through_values

    @property
    def gap(self) -> float:
        """Mean distance between sum and difference, as a share of the mean difference."""
        missed = np.abs(self.total.sum(axis=1) - self.difference).mean()
        return float(missed / max(np.abs(self.difference).mean(), 1e-12))


def outputs_of(outcome: OutcomeSpec) -> tuple[str, ...]:
    """What is explained: the second of two classes, each of several, each cause of death, or the outcome itself."""
    two = outcome.kind == "class" and len(outcome.classes) == 2
    return (outcome.classes[1:] if two else outcome.classes) or (outcome.name,)


def unit_of(outcome: OutcomeSpec) -> str:
    """In what the attributions of an outcome are given."""
    if outcome.kind == "class":
        return "log odds" if len(outcome.classes) == 2 else "logit above the mean of the classes"
    return "the unit of the outcome" if outcome.kind == "quantity" else "log hazard"


def attribute(
    model: Any,
    reader: BatchReader,
    rows: Int[np.ndarray, " visits"],
    outcome: OutcomeSpec,
    *,
    output: int = 0,
    points: int = 16,
) -> Attribution:
    """Attributions of one output of the outcome's head at the visits ``rows``, features as in ``Encoded.profile``.

    ``points`` of the way are doubled until completeness holds within ``TOLERANCE``, or ``MOST_POINTS`` are reached.

    Raises:
        InputError: captum is not installed.
    """
    model.eval()
    while True:
        size = max(1, POINTS_AT_ONCE // points)
        parts = [
            _attribute_batch(model, reader.read(rows[start : start + size]), outcome, output, points)
            for start in range(0, len(rows), size)
        ]
        found = Attribution(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        if found.gap <= TOLERANCE or points >= MOST_POINTS:
            return found
        points *= 2


def _attribute_batch(
    model: Any, batch: Batch, outcome: OutcomeSpec, output: int, points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gradients = _integrated_gradients()
    read = {name: m for name, m in batch.measurements.items() if m.values.shape[1]}
    values = tuple(m.values for m in read.values())

    def forward(*given: Tensor) -> Tensor:
        """Values for the encoder, values for the head, and which visit each row is."""
        *both, place = given
        encoded = model.encode(_with_values(batch, dict(zip(read, both[: len(read)], strict=True)), place))
        profile, _ = model.profile(_with_values(batch, dict(zip(read, both[len(read) :], strict=True)), place))
        prediction = model.predict(replace(encoded, profile=profile), outcome.name)
        return _scores(model, prediction, outcome)[:, output]

    place = torch.arange(len(batch))
    inputs = (*values, *values)
    found = gradients(forward).attribute(inputs, additional_forward_args=(place,), n_steps=points)
    with torch.no_grad():
        difference = forward(*inputs, place) - forward(*(torch.zeros_like(v) for v in inputs), place)
    ways = (found[: len(read)], found[len(read) :])
    embedding, beside = (_in_order(model, batch, dict(zip(read, way, strict=True))) for way in ways)
    return embedding, beside, difference.double().numpy()


def _scores(model: Any, prediction: Tensor, outcome: OutcomeSpec) -> Float[Tensor, "visits outputs"]:
    """What is explained of a head's prediction: class logits on a scale that any constant leaves alone, else the
    readout.
    """
    if outcome.kind == "class":
        two = prediction.shape[1] == 2
        return prediction[:, 1:] - prediction[:, :1] if two else prediction - prediction.mean(dim=1, keepdim=True)
    readout = model.heads[outcome.name].readout(prediction)
    return readout[:, None] if readout.ndim == 1 else readout


def _with_values(batch: Batch, values: Mapping[str, Tensor], place: Int[Tensor, " points"]) -> Batch:
    """The visits at ``place``, each a participant of its own, with other values."""
    measurements = {}
    for name, measured in batch.measurements.items():
        fields = {field: tensor[place] for field, tensor in vars(measured).items()}
        measurements[name] = Measurement(**{**fields, "values": values.get(name, fields["values"])})
    return Batch(
        participant=torch.arange(len(place)),
        time_days=batch.time_days[place],
        row=torch.arange(len(place)),
        measurements=measurements,
        outcomes={},
        seed=batch.seed,
    )


def _in_order(model: Any, batch: Batch, found: Mapping[str, Tensor]) -> np.ndarray:
    """Attributions at the places of the features in ``Encoded.profile``; 0 for what was not measured."""
    panels = []
    for name, parts in model.modalities.items():
        panel = torch.zeros(len(batch), parts.tokenizer.num_features, dtype=torch.float64)
        if name in found:
            measured = batch.measurements[name]
            panel.scatter_add_(1, measured.feature_ids, found[name].double() * measured.visible)
        panels.append(panel)
    return torch.cat(panels, dim=1).numpy()


def _integrated_gradients() -> Any:
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise InputError(
            "explanations need captum, which is not installed. Install it: pip install 'omicsfm[explain]'."
        ) from None
    return IntegratedGradients
