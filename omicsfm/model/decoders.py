"""Hidden state of a question "what is the value of feature f?" -> a distribution over its value."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution per feature, in model scale."""

    mean: Float[Tensor, "visits features"]
    log_scale: Float[Tensor, "visits features"]

    def negative_log_likelihood(
        self, values: Float[Tensor, "visits features"], below_limit: Bool[Tensor, "visits features"]
    ) -> Float[Tensor, "visits features"]:
        """In nats. A value below its detection limit is left-censored: its term is -log P(X < limit)."""
        z = (values - self.mean) * torch.exp(-self.log_scale)
        density = 0.5 * z.square() + self.log_scale + 0.5 * math.log(2 * math.pi)
        return torch.where(below_limit, -torch.special.log_ndtr(z), density)


class GaussianDecoder(nn.Module):
    """A profile of means from a hidden state per visit and a loading per feature, and a scale per feature.

    The whole profile is one matrix product, so asking for every feature of a visit costs what asking for one
    does; the asked features are then picked.
    """

    def __init__(self, *, dim: int, max_log_scale: float = 3.0) -> None:
        """``max_log_scale`` bounds the logarithm of the scale on both sides, so that no loss runs away."""
        super().__init__()
        self.log_scale = nn.Linear(dim, 1)
        self.offset = nn.Linear(dim, 1)
        self.max_log_scale = max_log_scale

    def forward(
        self,
        hidden: Float[Tensor, "visits dim"],
        loadings: Float[Tensor, "all_features dim"],
        identities: Float[Tensor, "all_features dim"],
        feature_ids: Int[Tensor, "visits features"],
    ) -> Gaussian:
        """The distribution of each asked feature's value."""
        scale = loadings.shape[-1] ** -0.5
        profile = (hidden @ loadings.T).float() * scale + self.offset(identities).squeeze(-1).float() * scale
        log_scale = self.log_scale(identities).squeeze(-1).float().expand_as(profile)
        bound = self.max_log_scale
        return Gaussian(
            mean=profile.gather(1, feature_ids),
            log_scale=bound * torch.tanh(log_scale.gather(1, feature_ids) / bound),
        )
