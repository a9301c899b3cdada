"""Foretell the events of a registry from the embedding: what a population study knows of everybody it follows."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from omicsfm.contracts import Batch, Loss, Survival
from omicsfm.heads.piecewise_hazard import PiecewiseHazardHead
from omicsfm.model.omics_model import OmicsModel


class TimeToEvent(nn.Module):
    """Piecewise-constant hazards of several outcomes, each linear in the embedding alone, so that the encoder has to
    carry what foretells them (MOTOR, Steinberg et al. 2024, arXiv:2301.03150).

    The outcomes are those of training participants; a model pretrained so must not be tested on them with participants
    it saw, which the splits of this project forbid for every pretraining.
    """

    def __init__(
        self,
        *,
        embedding_dim: int,
        registry: Mapping[str, Mapping[str, Sequence[float]]],
        weight: float = 0.1,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """``registry`` gives for each outcome ``cut_days``, the ends of its intervals, and ``log_hazard``, the level of
        each among training participants, where the heads begin.
        """
        super().__init__()
        self.weight = weight
        self.weights = dict(weights or {})
        self.norm = nn.LayerNorm(embedding_dim)
        self.heads = nn.ModuleDict()
        for name, entry in registry.items():
            head = PiecewiseHazardHead(evidence_dim=embedding_dim, cut_days=entry["cut_days"])
            with torch.no_grad():
                head.linear.bias.copy_(torch.tensor(list(entry["log_hazard"])))
            self.heads[name] = head

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        """Mean over outcomes of the nats per visit with a known follow-up."""
        embedding = self.norm(model.encode(batch).visit.float())
        terms = {}
        for name, head in self.heads.items():
            outcome = batch.outcomes[name]
            assert isinstance(outcome, Survival)
            terms[name] = head.loss(head(embedding), outcome)
        return Loss(total=self.weight * torch.stack(list(terms.values())).mean(), terms=terms)
