"""What is known of each feature beforehand: a frozen vector, brought to the model's width by a learned map."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class IdentityPrior(nn.Module):
    """Vectors of features, all of one length, so that only their direction counts; zero where nothing is known.

    The vectors are part of the checkpoint and do not train; the map does.
    """

    vectors: Tensor

    def __init__(self, *, num_features: int, prior_dim: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(num_features, prior_dim))
        self.project = nn.Linear(prior_dim, dim, bias=False)
        nn.init.normal_(self.project.weight, std=prior_dim**-0.5)

    @torch.no_grad()
    def set_vectors(self, vectors: Float[Tensor, "features prior"]) -> None:
        """Put them in, each brought to the length of a standard normal vector."""
        length = vectors.norm(dim=1, keepdim=True)
        scaled = vectors / length.clamp(min=1e-12) * vectors.shape[1] ** 0.5
        self.vectors.copy_(torch.where(length > 1e-9, scaled, 0.0))

    def forward(self) -> Float[Tensor, "features dim"]:
        """Of every feature, about as large as a learned identity."""
        return self.project(self.vectors)
