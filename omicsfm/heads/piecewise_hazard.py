"""Time to an event with a constant hazard in each of several intervals."""

import torch
from jaxtyping import Float
from torch import Tensor

from omicsfm import distributed
from omicsfm.contracts import Survival
from omicsfm.heads.intervals import IntervalHead

STEEPEST = 20.0


class PiecewiseHazardHead(IntervalHead):
    """The piecewise exponential model: a log hazard per interval's length in each interval, linear in the evidence
    (Friedman, Annals of Statistics 1982; MOTOR, arXiv:2301.03150, pretrains with it).
    """

    def loss(self, prediction: Float[Tensor, "visits intervals"], outcome: Survival) -> Float[Tensor, ""]:
        """Negative log-likelihood in nats per visit with a known outcome, over all ranks. Delayed entry is exact."""
        log_hazard = prediction.float()
        seen = self.exposure(outcome)
        happened = (outcome.event & outcome.observed)[:, None] & (
            torch.arange(len(self.cut_days), device=seen.device) == self.interval_of(outcome.time_days)[:, None]
        )
        hazard = torch.exp(log_hazard.clamp(max=STEEPEST)) * (1 + (log_hazard - STEEPEST).clamp(min=0))
        each = seen * hazard - torch.where(happened, log_hazard, 0.0)
        count = distributed.all_sum(outcome.observed.sum()).clamp(min=1)
        return torch.where(outcome.observed[:, None], each, 0.0).sum() * distributed.world_size() / count

    def exposure(self, outcome: Survival) -> Float[Tensor, "visits intervals"]:
        """Which share of each interval a visit was followed and without the event."""
        until = torch.minimum(outcome.time_days[:, None], self.cut_days)
        since = torch.maximum(outcome.entry_days[:, None], self.begin_days)
        return ((until - since) / (self.cut_days - self.begin_days)).clamp(min=0)
