"""Withhold a share of each visit's measured features and predict them from the rest."""

from collections.abc import Mapping

import torch
from torch import nn

from omicsfm.contracts import Batch, Loss
from omicsfm.model.omics_model import OmicsModel
from omicsfm.objectives.draws import uniform
from omicsfm.objectives.reconstruction import reconstruct


class MaskedFeatures(nn.Module):
    """The withheld share is drawn per visit from [min_ratio, max_ratio].

    A random share beats the best fixed one (arXiv:2509.21650), and the encoder sees only what is left, as in a
    masked autoencoder (He et al. 2022, arXiv:2111.06377).
    """

    def __init__(
        self, *, min_ratio: float = 0.15, max_ratio: float = 0.9, weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        self.min_ratio, self.max_ratio = min_ratio, max_ratio
        self.weights = dict(weights or {})

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        """Nats per withheld value."""
        visit = batch.row[:, None]
        share = self.min_ratio + (self.max_ratio - self.min_ratio) * uniform(batch.seed, visit)
        view, asked = batch, {}
        for number, (name, measured) in enumerate(batch.measurements.items()):
            draw = uniform(batch.seed, visit, measured.feature_ids + 1, torch.full_like(visit, number))
            asked[name] = (draw < share) & measured.observed
            view = view.query(name, asked[name])
        return reconstruct(model, model.encode(view), batch, asked, self.weights)
