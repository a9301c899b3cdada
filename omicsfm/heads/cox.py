"""Time to an event under proportional hazards."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omicsfm import distributed
from omicsfm.contracts import Survival
from omicsfm.heads.linear import LinearHead


class CoxHead(LinearHead):
    """Log hazard relative to the baseline, linear in the evidence (Cox 1972), ties after Breslow (1974).

    The baseline is a step function of ``num_times`` training event times, put in after training, so that a
    checkpoint predicts survival and not only an order of risk.
    """

    def __init__(self, *, evidence_dim: int, num_times: int = 64) -> None:
        super().__init__(evidence_dim=evidence_dim, outputs=1)
        self.register_buffer("baseline_time_days", torch.zeros(num_times))
        self.register_buffer("baseline_cumulative_hazard", torch.zeros(num_times))

    def forward(self, evidence: Float[Tensor, "visits evidence"]) -> Float[Tensor, " visits"]:
        """Log hazard."""
        return super().forward(evidence).squeeze(1)

    def loss(self, prediction: Float[Tensor, " visits"], outcome: Survival) -> Float[Tensor, ""]:
        """Negative log partial likelihood per event; the risk sets span all ranks. Zero without events."""
        known = distributed.gather_rows(outcome.observed)
        return negative_log_partial_likelihood(
            distributed.gather_rows(prediction.float())[known],
            distributed.gather_rows(outcome.time_days)[known],
            distributed.gather_rows(outcome.event)[known],
        )

    def readout(self, prediction: Float[Tensor, " visits"]) -> Float[Tensor, " visits"]:
        """Log hazard: higher is a sooner event."""
        return prediction.float()

    @torch.no_grad()
    def set_baseline(self, log_hazard: Float[Tensor, " visits"], outcome: Survival) -> None:
        """Breslow's estimate of the baseline from training participants' log hazards and outcomes."""
        known = outcome.observed
        time, order = outcome.time_days[known].sort(descending=True)
        event, risk = outcome.event[known][order], log_hazard[known][order].double()
        at_risk = torch.logcumsumexp(risk, dim=0)[_last_of_tie(time)]
        step = torch.where(event, torch.exp(-at_risk), 0.0).flip(0)
        times, hazard = time.flip(0)[event.flip(0)], step.cumsum(0)[event.flip(0)]
        if len(times):
            pick = torch.linspace(0, len(times) - 1, len(self.baseline_time_days)).round().long()
            self.baseline_time_days.copy_(times[pick])
            self.baseline_cumulative_hazard.copy_(hazard[pick])

    def survival_probability(
        self, prediction: Float[Tensor, " visits"], time_days: Float[Tensor, " times"]
    ) -> Float[Tensor, "visits times"]:
        """Probability of no event by each time."""
        place = torch.searchsorted(self.baseline_time_days, time_days, right=True) - 1
        hazard = torch.where(place >= 0, self.baseline_cumulative_hazard[place.clamp(min=0)], 0.0)
        # in logs: 0 hazard x infinite risk would be NaN
        return torch.exp(-torch.exp(prediction.float()[:, None] + hazard.log()))


def negative_log_partial_likelihood(
    log_hazard: Float[Tensor, " visits"], time_days: Float[Tensor, " visits"], event: Bool[Tensor, " visits"]
) -> Float[Tensor, ""]:
    """Breslow's negative log partial likelihood divided by the number of events.

    Without events the value is 0 and its gradient is 0 but exists, so that every rank takes part in the backward
    pass.
    """
    if len(log_hazard) == 0:
        return log_hazard.sum()
    time, order = time_days.sort(descending=True)
    log_hazard, event = log_hazard[order], event[order]
    at_risk = torch.logcumsumexp(log_hazard, dim=0)[_last_of_tie(time)]  # not log(cumsum(exp)): overflows above 88
    each = torch.where(event, at_risk - log_hazard, 0.0)
    return each.sum() / event.sum().clamp(min=1)


def _last_of_tie(descending_time: Float[Tensor, " visits"]) -> Tensor:
    """For each row, the last row with the same time: where its risk set ends."""
    _, group, counts = descending_time.unique_consecutive(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - 1)[group]
