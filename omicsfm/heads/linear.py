"""What every head here is: one linear map from what is known of a visit, on standardised coordinates.

Known are the embedding and the measured values themselves (wide and deep, Cheng et al. 2016, arXiv:1606.07792): a
linear model of the values is one setting of a head, so a head never has less to go on than a linear baseline.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


class LinearHead(nn.Module):
    """Coordinates centred and scaled as in training, then one linear map.

    It starts at zero, so that an untrained head predicts what the mean participant has.
    """

    def __init__(self, *, evidence_dim: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(evidence_dim))
        self.register_buffer("spread", torch.ones(evidence_dim))
        self.linear = nn.Linear(evidence_dim, outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, evidence: Float[Tensor, "visits evidence"]) -> Float[Tensor, "visits outputs"]:
        """Raw outputs: logits, standardised quantity or log hazard."""
        return self.linear((evidence - self.center) / self.spread)

    @torch.no_grad()
    def standardise(self, evidence: Float[Tensor, "visits evidence"]) -> None:
        """Take centre and spread from training visits; a constant coordinate keeps spread 1."""
        spread = evidence.std(dim=0, correction=0)
        self.center.copy_(evidence.mean(dim=0))
        self.spread.copy_(torch.where(spread > 1e-6, spread, 1.0))

    @torch.no_grad()
    def fill(
        self, coefficients: Float[np.ndarray, "evidence outputs"], intercept: Float[np.ndarray, " outputs"]
    ) -> None:
        """Take over a linear model fitted elsewhere, such as a penalised probe."""
        weight = torch.as_tensor(np.asarray(coefficients, dtype=np.float64).T) * self.spread.double()
        bias = torch.as_tensor(np.asarray(intercept, dtype=np.float64)) + (weight / self.spread) @ self.center.double()
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)
