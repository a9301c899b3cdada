"""What every head of a time to an event can do besides ranking: say when."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from omicsfm.contracts import Survival
from omicsfm.heads.linear import LinearHead
from omicsfm.heads.partial_likelihood import log_at_risk


class TimedHead(LinearHead):
    """A head that predicts survival over time. Its readout is a log hazard: higher is a sooner event."""

    @property
    @abstractmethod
    def has_baseline(self) -> bool:
        """Whether it can say when, and not only who first."""

    @abstractmethod
    def set_baseline(self, log_hazard: Float[Tensor, " visits"], outcome: Survival) -> None:
        """Fit what is the same for everybody, after ``fill`` took coefficients of log hazards that came without it."""

    @abstractmethod
    def after_training(self, prediction: Float[Tensor, "visits ..."], outcome: Survival) -> None:
        """Fit what the loss does not, after weights were trained; of training participants."""

    @abstractmethod
    def survival_probability(
        self, prediction: Float[Tensor, "visits ..."], time_days: Float[Tensor, " times"]
    ) -> Float[Tensor, "visits times"]:
        """Probability of no event by each time."""


def breslow_steps(
    log_hazard: Float[Tensor, " visits"], outcome: Survival
) -> tuple[Float[Tensor, " events"], Float[Tensor, " events"]]:
    """Event times, ascending, one for each event, and the cumulative baseline hazard just after each (Breslow 1974)."""
    known = outcome.observed
    time, event, risk = outcome.time_days[known], outcome.event[known], log_hazard[known].double()
    at_risk = log_at_risk(risk, time, event, outcome.entry_days[known])
    time, order = time[event].sort()
    hazard = torch.exp(-at_risk[event][order]).cumsum(0)
    return time, hazard[torch.searchsorted(time, time, right=True) - 1]


def hazard_until(
    time_days: Float[Tensor, " times"],
    step_days: Float[Tensor, " steps"],
    cumulative_hazard: Float[Tensor, " steps"],
) -> Float[Tensor, " times"]:
    """The value at each time of a step function that is 0 before its first step."""
    if not len(step_days):
        return torch.zeros_like(time_days)
    place = torch.searchsorted(step_days, time_days, right=True) - 1
    return torch.where(place >= 0, cumulative_hazard[place.clamp(min=0)], 0.0)
