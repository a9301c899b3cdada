"""Time to the first of several events: a cause-specific hazard for each, and what they amount to together."""

import torch
from jaxtyping import Float
from torch import Tensor

from omicsfm.contracts import CompetingRisks
from omicsfm.heads.linear import LinearHead
from omicsfm.heads.partial_likelihood import breslow, gathered
from omicsfm.heads.timed import breslow_steps, hazard_until

HIGHEST = 80.0  # a higher exponential overflows, and a share of infinity is no number


class CauseSpecificHead(LinearHead):
    """One Cox model a cause, in which an event of another cause ends follow-up (Prentice et al., Biometrics 1978).

    Two readings of one fit. The cause-specific hazard says how fast the event comes to those still free of all:
    aetiology. The cumulative incidence says how many will have had it by a day, those who had another event first
    not: prognosis; ``subdistribution_log_hazard`` puts it on the scale of Fine and Gray (JASA 1999).
    """

    def __init__(self, *, evidence_dim: int, num_causes: int, num_times: int = 64) -> None:
        super().__init__(evidence_dim=evidence_dim, outputs=num_causes)
        self.register_buffer("baseline_time_days", torch.zeros(num_times))
        self.register_buffer("baseline_cumulative_hazard", torch.zeros(num_causes, num_times))

    def loss(self, prediction: Float[Tensor, "visits causes"], outcome: CompetingRisks) -> Float[Tensor, ""]:
        """The sum over causes of the negative log partial likelihood per event; the risk sets span all ranks."""
        losses = [breslow(*gathered(outcome.of_cause(k + 1), prediction[:, k])) for k in range(prediction.shape[1])]
        return torch.stack(losses).sum()

    def readout(self, prediction: Float[Tensor, "visits causes"]) -> Float[Tensor, "visits causes"]:
        """Cause-specific log hazards: higher is a sooner event."""
        return prediction.float()

    @property
    def has_baseline(self) -> bool:
        """Whether it can say when, and not only who first."""
        return bool(self.baseline_cumulative_hazard.any())

    @torch.no_grad()
    def set_baseline(self, log_hazard: Float[Tensor, "visits causes"], outcome: CompetingRisks) -> None:
        """Breslow's estimate of each cause's baseline, kept at training times of any event."""
        times = outcome.time_days[outcome.observed & (outcome.cause > 0)].sort().values
        if not len(times):
            return
        pick = torch.linspace(0, len(times) - 1, len(self.baseline_time_days)).round().long()
        self.baseline_time_days.copy_(times[pick])
        for k in range(log_hazard.shape[1]):
            steps = breslow_steps(log_hazard[:, k], outcome.of_cause(k + 1))
            self.baseline_cumulative_hazard[k].copy_(hazard_until(times[pick], *steps))

    def after_training(self, prediction: Float[Tensor, "visits causes"], outcome: CompetingRisks) -> None:
        """Partial likelihoods leave the baselines open."""
        self.set_baseline(prediction, outcome)

    def cumulative_incidence(
        self, prediction: Float[Tensor, "visits causes"], time_days: Float[Tensor, " times"]
    ) -> Float[Tensor, "visits causes times"]:
        """Probability of having had the event of each cause, and of no other before, by each time.

        With the probability of none they add up to 1.
        """
        before = torch.nn.functional.pad(self.baseline_cumulative_hazard, (1, 0))
        added = torch.diff(before)
        hazard = torch.exp((prediction.float()[:, :, None] + added.log()).clamp(max=HIGHEST))  # [visits, causes, steps]
        together = hazard.sum(dim=1)
        free = torch.exp(-(together.cumsum(dim=1) - together))  # just before each step
        share = hazard / together.clamp(min=torch.finfo(hazard.dtype).tiny)[:, None]
        incidence = (share * (free * -torch.expm1(-together))[:, None]).cumsum(dim=2)
        place = torch.searchsorted(self.baseline_time_days, time_days, right=True) - 1
        return torch.where(place >= 0, incidence[:, :, place.clamp(min=0)], 0.0)

    def survival_probability(
        self, prediction: Float[Tensor, "visits causes"], time_days: Float[Tensor, " times"]
    ) -> Float[Tensor, "visits times"]:
        """Probability of none of the events by each time."""
        return 1 - self.cumulative_incidence(prediction, time_days).sum(dim=1)

    def subdistribution_log_hazard(
        self, prediction: Float[Tensor, "visits causes"], time_days: Float[Tensor, " times"]
    ) -> Float[Tensor, "visits causes times"]:
        """log(-log(1 - cumulative incidence)) at each time: in a Fine-Gray model its difference between two people is
        their difference in log subdistribution hazard.
        """
        incidence = self.cumulative_incidence(prediction, time_days).double().clamp(1e-12, 1 - 1e-12)
        return torch.log(-torch.log1p(-incidence)).to(prediction.dtype)
