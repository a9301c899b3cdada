"""Time to an event under proportional hazards."""

import torch
from jaxtyping import Float
from torch import Tensor

from omicsfm.contracts import Survival
from omicsfm.heads.partial_likelihood import breslow, gathered
from omicsfm.heads.timed import TimedHead, breslow_steps, hazard_until


class CoxHead(TimedHead):
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
        return breslow(*gathered(outcome, prediction))

    def readout(self, prediction: Float[Tensor, " visits"]) -> Float[Tensor, " visits"]:
        """Log hazard: higher is a sooner event."""
        return prediction.float()

    @property
    def has_baseline(self) -> bool:
        """Whether it can say when, and not only who first."""
        return bool(self.baseline_cumulative_hazard.any())

    @torch.no_grad()
    def set_baseline(self, log_hazard: Float[Tensor, " visits"], outcome: Survival) -> None:
        """Breslow's estimate of the baseline from training participants' log hazards and outcomes."""
        times, hazard = breslow_steps(log_hazard, outcome)
        if len(times):
            pick = torch.linspace(0, len(times) - 1, len(self.baseline_time_days)).round().long()
            self.baseline_time_days.copy_(times[pick])
            self.baseline_cumulative_hazard.copy_(hazard[pick])

    def after_training(self, prediction: Float[Tensor, " visits"], outcome: Survival) -> None:
        """A partial likelihood leaves the baseline open."""
        self.set_baseline(prediction, outcome)

    def survival_probability(
        self, prediction: Float[Tensor, " visits"], time_days: Float[Tensor, " times"]
    ) -> Float[Tensor, "visits times"]:
        """Probability of no event by each time."""
        hazard = hazard_until(time_days, self.baseline_time_days, self.baseline_cumulative_hazard)
        # in logs: 0 hazard x infinite risk would be NaN
        return torch.exp(-torch.exp(prediction.float()[:, None] + hazard.log()))
