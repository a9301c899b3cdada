"""A quantity."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from omicsfm import distributed
from omicsfm.contracts import Quantity
from omicsfm.heads.linear import LinearHead


class RegressionHead(LinearHead):
    """Linear regression on the evidence, in units of the training participants' mean and standard deviation."""

    def __init__(self, *, evidence_dim: int, location: float = 0.0, unit: float = 1.0) -> None:
        """``location`` and ``unit`` are the training mean and standard deviation, in the outcome's own unit."""
        super().__init__(evidence_dim=evidence_dim, outputs=1)
        self.location = location
        self.unit = unit

    def forward(self, evidence: Float[Tensor, "visits evidence"]) -> Float[Tensor, " visits"]:
        """The standardised quantity."""
        return super().forward(evidence).squeeze(1)

    def loss(self, prediction: Float[Tensor, " visits"], outcome: Quantity) -> Float[Tensor, ""]:
        """Mean squared error in units of the training variance, over the visits with a value, over all ranks."""
        count = distributed.all_sum(outcome.observed.sum()).clamp(min=1)
        error = prediction.float() - (outcome.value - self.location) / self.unit
        return torch.where(outcome.observed, error.square(), 0.0).sum() * distributed.world_size() / count

    def readout(self, prediction: Float[Tensor, " visits"]) -> Float[Tensor, " visits"]:
        """The quantity in its own unit."""
        return prediction.float() * self.unit + self.location

    def fill(
        self, coefficients: Float[np.ndarray, "evidence outputs"], intercept: Float[np.ndarray, " outputs"]
    ) -> None:
        """Coefficients and intercept in the outcome's own unit."""
        super().fill(coefficients / self.unit, (intercept - self.location) / self.unit)
