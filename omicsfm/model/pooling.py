"""Latents -> the embedding of a visit."""

from jaxtyping import Float
from torch import Tensor, nn


class ConcatenateLatents(nn.Module):
    """All latents side by side: the widest embedding, and the default.

    A penalised probe on it does what ridge does on the features themselves; a mean would throw away all but
    ``dim`` directions of the profile.
    """

    def __init__(self, *, dim: int, num_latents: int) -> None:
        super().__init__()
        self.embedding_dim = dim * num_latents

    def forward(self, latents: Float[Tensor, "visits latents dim"]) -> Float[Tensor, "visits embedding"]:
        return latents.flatten(1)


class MeanLatents(nn.Module):
    """The mean of the latents: a compact embedding."""

    def __init__(self, *, dim: int, num_latents: int) -> None:
        super().__init__()
        self.embedding_dim = dim
        self.num_latents = num_latents

    def forward(self, latents: Float[Tensor, "visits latents dim"]) -> Float[Tensor, "visits embedding"]:
        return latents.mean(dim=1)
