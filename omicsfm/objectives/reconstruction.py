"""The term the reconstruction objectives share: how well withheld values are predicted from an embedding."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from omicsfm import distributed
from omicsfm.contracts import Batch, Encoded, Loss
from omicsfm.model.omics_model import OmicsModel


def reconstruct(
    model: OmicsModel,
    encoded: Encoded,
    truth: Batch,
    asked: Mapping[str, Bool[Tensor, "visits features"]],
    weights: Mapping[str, float],
) -> Loss:
    """Negative log-likelihood of the asked values in nats per value.

    Each modality is averaged over its own measured values first, then weighted: 20,000 genes do not drown 250
    metabolites. A modality with nothing asked contributes zero and keeps its place in the graph.
    """
    terms, present = {}, {}
    for name, where in asked.items():
        measured = truth.measurements[name]
        predicted = model.decode(encoded, name, measured.feature_ids)
        loss = predicted.negative_log_likelihood(measured.values, measured.below_limit)
        terms[name], count = mean_where(loss, where & measured.observed)
        present[name] = weights.get(name, 1.0) * (count > 0)
    total = torch.stack([present[name] * term for name, term in terms.items()]).sum()
    return Loss(total=total / torch.stack(list(present.values())).sum().clamp(min=1e-6), terms=terms)


def mean_where(
    values: Float[Tensor, "*shape"], where: Bool[Tensor, "*shape"]
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """The mean over ``where`` and the number averaged over; 0 where that is empty.

    With several ranks the count is over all of them, and the mean is scaled so that the average of the ranks'
    gradients is the gradient of the mean over everything.
    """
    count = distributed.all_sum(where.sum())
    total = torch.where(where, values, 0.0).sum() * distributed.world_size()
    return total / count.clamp(min=1), count
