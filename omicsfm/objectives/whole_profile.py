"""Decode everything measured at a visit from its embedding, also where only part of it was shown."""

from collections.abc import Mapping

import torch
from torch import nn

from omicsfm.contracts import Batch, Loss
from omicsfm.model.omics_model import OmicsModel
from omicsfm.objectives.draws import uniform
from omicsfm.objectives.reconstruction import reconstruct


class WholeProfile(nn.Module):
    """The share of features withheld is drawn per visit from [0, max_ratio]; all of them are asked for.

    Decoding the whole profile from the embedding of a partial input gave better embeddings than predicting the masked
    values alone, though its reconstruction is worse (WCED in bmfm-rna, arXiv:2506.14861).
    """

    def __init__(self, *, max_ratio: float = 0.9, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.max_ratio = max_ratio
        self.weights = dict(weights or {})

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        """Nats per measured value, shown or withheld."""
        visit = batch.row[:, None]
        share = self.max_ratio * uniform(batch.seed, visit, torch.full_like(visit, OWN_DRAWS))
        view, asked = batch, {}
        for number, (name, measured) in enumerate(batch.measurements.items()):
            where = torch.full_like(visit, OWN_DRAWS + 1 + number)
            view = view.query(name, uniform(batch.seed, visit, measured.feature_ids + 1, where) < share)
            asked[name] = measured.observed
        return reconstruct(model, model.encode(view), batch, asked, self.weights)


OWN_DRAWS = 10_000  # keys of draws that no other objective of the same batch uses
