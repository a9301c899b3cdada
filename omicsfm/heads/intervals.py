"""Time to an event cut into intervals, with a hazard of its own in each: what those heads share."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from omicsfm.contracts import Survival
from omicsfm.errors import InputError
from omicsfm.heads.timed import TimedHead, breslow_steps, hazard_until

HIGHEST = 80.0  # a higher exponential overflows, and infinity times the 0 before an interval is no number
LEAST_HAZARD = 1e-6
"""Accumulated in an interval in which no training participant had the event."""


class IntervalHead(TimedHead):
    """A log hazard for each interval (0, c1], (c1, c2], ..., linear in the evidence. Who is followed beyond the last
    cut counts as censored there, and survival stays what it was at that cut.

    Proportional hazards are the case of equal coefficients in all intervals: ``fill`` starts there.
    """

    cut_days: Tensor

    def __init__(self, *, evidence_dim: int, cut_days: Sequence[float]) -> None:
        """``cut_days`` are the upper ends of the intervals, ascending.

        Raises:
            InputError: They are none, or not ascending and above 0.
        """
        cuts = [float(day) for day in cut_days]
        if not cuts or any(low >= high for low, high in zip([0.0, *cuts], cuts, strict=False)):
            raise InputError(f"cut_days: expected ascending days above 0, the ends of the intervals; found {cuts}.")
        super().__init__(evidence_dim=evidence_dim, outputs=len(cuts))
        self.register_buffer("cut_days", torch.tensor(cuts))

    @property
    def has_baseline(self) -> bool:
        """Its levels are part of the fit."""
        return True

    @property
    def begin_days(self) -> Float[Tensor, " intervals"]:
        """Where each interval begins."""
        return torch.cat([self.cut_days.new_zeros(1), self.cut_days[:-1]])

    def log_accumulated(self, prediction: Float[Tensor, "visits intervals"]) -> Float[Tensor, "visits intervals"]:
        """Log of the hazard that each interval adds up to."""
        return prediction.float()

    def readout(self, prediction: Float[Tensor, "visits intervals"]) -> Float[Tensor, " visits"]:
        """Log of the hazard accumulated until the last cut: higher is a sooner event."""
        return self.log_accumulated(prediction).logsumexp(dim=1)

    def survival_probability(
        self, prediction: Float[Tensor, "visits intervals"], time_days: Float[Tensor, " times"]
    ) -> Float[Tensor, "visits times"]:
        """Probability of no event by each time; within an interval the hazard is constant."""
        width = self.cut_days - self.begin_days
        passed = ((time_days[:, None] - self.begin_days) / width).clamp(0, 1)  # [times, intervals]
        hazard = torch.exp(self.log_accumulated(prediction).clamp(max=HIGHEST))
        return torch.exp(-hazard @ passed.T)

    @torch.no_grad()
    def set_baseline(self, log_hazard: Float[Tensor, " visits"], outcome: Survival) -> None:
        """Levels of the intervals from Breslow's baseline of these log hazards."""
        hazard = hazard_until(self.cut_days.double(), *(part.double() for part in breslow_steps(log_hazard, outcome)))
        added = torch.diff(hazard, prepend=hazard.new_zeros(1)).clamp(min=LEAST_HAZARD)
        level = torch.log(added).float()
        self.linear.bias.add_(level - self.log_accumulated(torch.zeros_like(level)[None])[0])

    def after_training(self, prediction: Float[Tensor, "visits intervals"], outcome: Survival) -> None:
        """Nothing is left open by a likelihood of whole times."""

    def fill(
        self, coefficients: Float[np.ndarray, "evidence outputs"], intercept: Float[np.ndarray, " outputs"]
    ) -> None:
        """Take over log hazards: the same coefficients in every interval."""
        intervals = len(self.cut_days)
        super().fill(np.repeat(coefficients, intervals, axis=1), np.repeat(intercept, intervals))

    def interval_of(self, time_days: Float[Tensor, " visits"]) -> Int[Tensor, " visits"]:
        """The interval in which a time lies; the number of intervals where it lies behind the last cut."""
        return torch.searchsorted(self.cut_days, time_days.contiguous(), right=False)
