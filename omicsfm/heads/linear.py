"""What every head here is: one linear map from the embedding of a visit, on standardised coordinates."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


class LinearHead(nn.Module):
    """Coordinates of the embedding, centred and scaled as in training, then one linear map.

    It starts at zero, so that an untrained head predicts what the mean participant has.
    """

    def __init__(self, *, embedding_dim: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(embedding_dim))
        self.register_buffer("spread", torch.ones(embedding_dim))
        self.linear = nn.Linear(embedding_dim, outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, visit: Float[Tensor, "visits embedding"]) -> Float[Tensor, "visits outputs"]:
        """Raw outputs: logits, standardised quantity or log hazard."""
        return self.linear((visit - self.center) / self.spread)

    @torch.no_grad()
    def standardise(self, embeddings: Float[Tensor, "visits embedding"]) -> None:
        """Take centre and spread from training embeddings; a constant coordinate keeps spread 1."""
        spread = embeddings.std(dim=0, correction=0)
        self.center.copy_(embeddings.mean(dim=0))
        self.spread.copy_(torch.where(spread > 1e-6, spread, 1.0))

    @torch.no_grad()
    def fill(
        self, coefficients: Float[np.ndarray, "embedding outputs"], intercept: Float[np.ndarray, " outputs"]
    ) -> None:
        """Take over a linear model of the embedding fitted elsewhere, such as a penalised probe."""
        weight = torch.as_tensor(np.asarray(coefficients, dtype=np.float64).T) * self.spread.double()
        bias = torch.as_tensor(np.asarray(intercept, dtype=np.float64)) + (weight / self.spread) @ self.center.double()
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)
