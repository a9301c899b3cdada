"""Withhold whole modalities of a visit and predict them from the others."""

from collections.abc import Mapping

import torch
from torch import nn

from omicsfm.contracts import Batch, Loss
from omicsfm.model.omics_model import OmicsModel
from omicsfm.objectives.draws import uniform
from omicsfm.objectives.reconstruction import reconstruct


class CrossModal(nn.Module):
    """Modality dropout: each modality of a visit is withheld with probability ``drop``, one is always kept.

    Visits with one modality have nothing to predict and only pass through.
    """

    def __init__(self, *, drop: float = 0.5, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.drop = drop
        self.weights = dict(weights or {})

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        """Nats per value of the withheld modalities."""
        names = list(batch.measurements)
        numbers = torch.arange(len(names), device=batch.row.device)[None]
        present = torch.stack([batch.measurements[name].observed.any(dim=1) for name in names], dim=1)
        draw = uniform(batch.seed, batch.row[:, None], -1 - numbers)
        kept_for_sure = torch.where(present, draw, -1.0).argmax(dim=1, keepdim=True)
        withheld = present & (draw < self.drop) & (numbers != kept_for_sure)
        view, asked = batch, {}
        for number, name in enumerate(names):
            asked[name] = withheld[:, number, None] & batch.measurements[name].observed
            view = view.query(name, asked[name])
        return reconstruct(model, model.encode(view), batch, asked, self.weights)
