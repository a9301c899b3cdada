"""Train heads on outcomes."""

from collections.abc import Mapping

import torch
from torch import nn

from omicsfm.contracts import Batch, Loss
from omicsfm.model.omics_model import OmicsModel


class OutcomePrediction(nn.Module):
    """The sum of the losses of the model's heads, each on the outcome of its own name."""

    def __init__(self, *, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        encoded = model.encode(batch)
        terms = {
            name: head.loss(model.predict(encoded, name), batch.outcomes[name]) for name, head in model.heads.items()
        }
        total = torch.stack([self.weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
        return Loss(total=total, terms=terms)
