"""Bring the embeddings of a visit's modalities together and those of other people apart."""

from collections.abc import Mapping
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omicsfm import distributed
from omicsfm.contracts import Batch, Loss
from omicsfm.model.omics_model import OmicsModel

LARGEST_INVERSE_TEMPERATURE = 100.0


class Contrastive(nn.Module):
    """Symmetric InfoNCE between each pair of modalities (CLIP; Radford et al. 2021, arXiv:2103.00020).

    Each modality of a visit is encoded alone. Given one, the other of the same visit is to be found among those of all
    other people of the batch, of every rank; further visits of the same participant are neither right nor wrong and are
    left out. The temperature is learned.
    """

    def __init__(
        self, *, weight: float = 0.1, temperature: float = 0.1, weights: Mapping[str, float] | None = None
    ) -> None:
        """``weight`` of the term beside the other objectives; ``temperature`` is where the learned one starts."""
        super().__init__()
        self.weight = weight
        self.log_inverse_temperature = nn.Parameter(-torch.tensor([temperature]).log())  # no scalar can be sharded
        self.weights = dict(weights or {})

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        """Nats per visit and pair, with what guessing would score subtracted: 0 is chance, lower is better."""
        names = list(batch.measurements)
        participant = distributed.gather_rows(batch.participant)
        embedded = {name: distributed.gather_rows(F.normalize(_alone(model, batch, name), dim=1)) for name in names}
        present = {name: distributed.gather_rows(m.observed.any(dim=1)) for name, m in batch.measurements.items()}
        terms, counted = {}, {}
        inverse = self.log_inverse_temperature.exp().clamp(max=LARGEST_INVERSE_TEMPERATURE).squeeze()
        for a, b in combinations(names, 2):
            both = present[a] & present[b]
            terms[f"{a} and {b}"] = _info_nce(inverse * embedded[a] @ embedded[b].T, participant, both)
            counted[f"{a} and {b}"] = self.weights.get(a, 1.0) * self.weights.get(b, 1.0) * (both.sum() > 1)
        if not terms:  # one modality has nothing to be compared with, and keeps its place in the graph
            terms["none"], counted["none"] = 0.0 * (inverse + embedded[names[0]].sum()), torch.zeros(())
        total = torch.stack([counted[name] * term for name, term in terms.items()]).sum()
        return Loss(self.weight * total / torch.stack(list(counted.values())).sum().clamp(min=1e-6), terms)


def _alone(model: OmicsModel, batch: Batch, name: str) -> Float[Tensor, "visits embedding"]:
    view = batch
    for other in batch.measurements:
        if other != name:
            view = view.query(other, batch.measurements[other].observed)
    return model.encode(view).visit.float()


def _info_nce(
    similarity: Float[Tensor, "visits visits"], participant: Int[Tensor, " visits"], both: Bool[Tensor, " visits"]
) -> Float[Tensor, ""]:
    """Mean over visits with both modalities of the two cross-entropies, less that of a guess among the candidates."""
    same = torch.eye(len(both), dtype=torch.bool, device=both.device)
    allowed = same | ((participant[:, None] != participant[None]) & both[None])
    guess = allowed.sum(dim=1).float().log()
    right = similarity.diagonal()
    losses = []
    for logits in (similarity, similarity.T):
        losses.append(torch.logsumexp(logits.masked_fill(~allowed, -torch.inf), dim=1) - right - guess)
    each = (losses[0] + losses[1]) / 2
    return torch.where(both, each, 0.0).sum() / both.sum().clamp(min=1)
