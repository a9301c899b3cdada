"""Time to an event in intervals: the probability of the event in each, for those who came that far."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from omicsfm import distributed
from omicsfm.contracts import Survival
from omicsfm.heads.intervals import IntervalHead

STEEPEST, FLATTEST = 20.0, -10.0


class DiscreteHazardHead(IntervalHead):
    """Discrete-time hazards with the complementary log-log link: log(-log(1 - h)) is linear in the evidence, so that
    coefficients are those of a proportional hazards model of the times before they were cut (Prentice and Gloeckler,
    Biometrics 1978).
    """

    def loss(self, prediction: Float[Tensor, "visits intervals"], outcome: Survival) -> Float[Tensor, ""]:
        """Negative log-likelihood in nats per visit with a known outcome, over all ranks.

        An interval counts where it was seen whole: from its beginning on (delayed entry), until its end or the event.
        """
        numbers = torch.arange(len(self.cut_days), device=prediction.device)
        place = self.interval_of(outcome.time_days)[:, None]
        known = outcome.observed[:, None] & (outcome.entry_days[:, None] <= self.begin_days)
        happened = known & outcome.event[:, None] & (numbers == place)
        reached_end = outcome.time_days[:, None] >= self.cut_days
        survived = known & ((numbers < place) | (~outcome.event[:, None] & reached_end))
        log_hazard, accumulated = _log_probability(prediction.float())
        each = torch.where(happened, -log_hazard, 0.0) + torch.where(survived, accumulated, 0.0)
        count = distributed.all_sum(outcome.observed.sum()).clamp(min=1)
        return each.sum() * distributed.world_size() / count


def _log_probability(prediction: Float[Tensor, "visits intervals"]) -> tuple[Tensor, Tensor]:
    """Log of the probability of the event in an interval, and the hazard accumulated there; both finite, with their
    gradients, whatever the prediction: the exponential goes on as a straight line where it would overflow.
    """
    accumulated = torch.exp(prediction.clamp(max=STEEPEST)) * (1 + (prediction - STEEPEST).clamp(min=0))
    likely = torch.log(-torch.expm1(-accumulated.clamp(min=math.exp(FLATTEST))))
    return torch.where(prediction > FLATTEST, likely, prediction), accumulated
