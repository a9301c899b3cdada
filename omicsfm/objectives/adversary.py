"""Take from the embedding what tells the site, plate or run of a visit: an adversary behind a gradient reversal."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omicsfm.contracts import Batch, ClassLabel, Loss
from omicsfm.model.omics_model import OmicsModel
from omicsfm.objectives.reconstruction import mean_where

PREFIX = "nuisance."
"""A nuisance column is among a batch's outcomes under this prefix, so that no outcome's name clashes with it."""


class NuisanceAdversary(nn.Module):
    """A classifier learns the nuisance from the embedding while the encoder learns to hide it (Ganin et al. 2016).

    Use it where the nuisance is not tied to the outcome: what both share is taken away too. The weight is small by
    default, as in bmfm-rna, where a larger one cost more than the batch effect.
    """

    def __init__(
        self,
        *,
        column: str,
        embedding_dim: int,
        num_labels: int,
        weight: float = 0.05,
        width: int = 64,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """``column`` of the visits names the nuisance and has ``num_labels`` values among the training visits."""
        super().__init__()
        self.column = column
        self.weight = weight
        self.weights = dict(weights or {})
        self.classifier = nn.Sequential(
            nn.LayerNorm(embedding_dim), nn.Linear(embedding_dim, width), nn.GELU(), nn.Linear(width, num_labels)
        )

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        """Nats per visit whose nuisance is known: what the classifier minimises and the encoder maximises."""
        label = batch.outcomes[PREFIX + self.column]
        assert isinstance(label, ClassLabel)
        logits = self.classifier(_Reversed.apply(model.encode(batch).visit.float()))
        term, _ = mean_where(F.cross_entropy(logits, label.class_id, reduction="none"), label.observed)
        return Loss(total=self.weight * term, terms={self.column: term})


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient changes its sign."""

    @staticmethod
    def forward(context: Any, embedding: Float[Tensor, "visits embedding"]) -> Float[Tensor, "visits embedding"]:
        return embedding.view_as(embedding)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return -gradient
