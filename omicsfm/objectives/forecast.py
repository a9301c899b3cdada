"""Forecast all measured values of a later visit from the history before it."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omicsfm.contracts import Batch, Loss, Measurement
from omicsfm.model.omics_model import OmicsModel
from omicsfm.model.trajectory import is_earlier
from omicsfm.objectives.draws import uniform
from omicsfm.objectives.reconstruction import mean_where


class Forecast(nn.Module):
    """Each visit with a visit before it is forecast once, from a history that ends at the visit before it or, with
    probability ``skip``, at any earlier one, so that near and far are both learnt.

    The forecast begins at the last observed values, whichever earlier visits they are of.
    """

    reads_histories = True

    def __init__(self, *, skip: float = 0.3, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.skip = skip
        self.weights = dict(weights or {})

    def forward(self, model: OmicsModel, batch: Batch) -> Loss:
        """Nats per value of the forecast visits; visits without an earlier one only pass through."""
        state = model.encode(batch).trajectory
        assert state is not None, "the model has no trajectory: it was not assembled for this objective"
        earlier = is_earlier(batch.participant, batch.time_days)
        end, there = self._ends(batch, earlier)
        ahead = torch.where(there, batch.time_days - batch.time_days[end], 0.0)
        terms, present = {}, {}
        for name, measured in batch.measurements.items():
            panel = carried_forward(measured, earlier, model.modalities[name].tokenizer.num_features)
            last = panel[end].gather(1, measured.feature_ids)
            forecast = model.forecast(state[end], name, measured.feature_ids, days_ahead=ahead, last=last)
            loss = forecast.negative_log_likelihood(measured.values, measured.below_limit)
            terms[name], count = mean_where(loss, measured.observed & there[:, None])
            present[name] = self.weights.get(name, 1.0) * (count > 0)
        total = torch.stack([present[name] * term for name, term in terms.items()]).sum()
        return Loss(total=total / torch.stack(list(present.values())).sum().clamp(min=1e-6), terms=terms)

    def _ends(
        self, batch: Batch, earlier: Bool[Tensor, "visits visits"]
    ) -> tuple[Int[Tensor, " visits"], Bool[Tensor, " visits"]]:
        """Where in the batch the history of each visit ends, and whether it has one."""
        rank = earlier.sum(dim=1)
        draw = uniform(batch.seed, batch.row) / self.skip if self.skip > 0 else torch.ones_like(batch.time_days)
        wanted = torch.where(draw < 1, (draw * rank).long(), rank - 1)
        fits = earlier & (rank[None] <= wanted[:, None])
        latest = torch.where(fits, batch.time_days[None], -torch.inf).argmax(dim=1)
        return latest, rank > 0


def carried_forward(
    measured: Measurement, earlier: Bool[Tensor, "visits visits"], num_features: int
) -> Float[Tensor, "visits all_features"]:
    """The last observed value of every feature at or before each visit, NaN where there is none."""
    value = measured.values.new_full((len(earlier), num_features + 1), torch.nan)
    place = torch.where(measured.visible, measured.feature_ids, num_features)  # what is not visible goes aside
    panel = value.scatter(1, place, measured.values)[:, :num_features]
    rank = earlier.sum(dim=1)
    for step in range(1, int(rank.max()) + 1 if len(rank) else 0):
        now = (rank == step).nonzero().squeeze(1)
        before = torch.where(earlier[now], rank[None], -1).argmax(dim=1)
        panel[now] = torch.where(panel[now].isnan(), panel[before], panel[now])
    return panel
