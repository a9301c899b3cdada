"""Measurement -> one token per feature: who the feature is, and what its value is.

What is unusual: identity and value stay apart, and the value is a product with a vector of the feature's own, its
loading. A weighted mean of such values over features is a projection of the whole profile, so an encoder starts
from something a linear model could use, and training adds to it.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omicsfm.contracts import Measurement
from omicsfm.model.identity_prior import IdentityPrior

RESIDUAL = 0.3
"""What a feature's own identity counts at first where a prior says who it is."""


class ContinuousTokenizer(nn.Module):
    """Continuous values as periodic features (Gorishniy et al. 2022, arXiv:2203.05556), no bins.

    A value x becomes (x, cos(2 pi c x) - 1, sin(2 pi c x), below limit) with learned frequencies c, then one linear
    map, then a product with the feature's loading. A value of zero, the training median, becomes the zero vector.

    A feature's identity is a learned vector of its own plus, where there is a prior, what that says of it.
    """

    def __init__(
        self,
        *,
        num_features: int,
        dim: int,
        num_frequencies: int = 8,
        frequency_scale: float = 0.1,
        prior_dim: int | None = None,
    ) -> None:
        """``frequency_scale`` is the standard deviation of the initial frequencies, in cycles per unit of x;
        ``prior_dim`` the length of the prior's vectors, None where there is no prior.
        """
        super().__init__()
        self.num_features = num_features
        self.identity = nn.Embedding(num_features, dim)
        self.loading = nn.Embedding(num_features, dim)
        self.modality = nn.Parameter(torch.randn(dim))
        self.frequencies = nn.Parameter(torch.randn(num_frequencies) * frequency_scale)
        self.value = nn.Linear(2 * num_frequencies + 2, dim, bias=False)
        self.prior = None
        if prior_dim is not None:
            self.prior = IdentityPrior(num_features=num_features, prior_dim=prior_dim, dim=dim)

    @torch.no_grad()
    def set_prior(self, vectors: Float[Tensor, "all_features prior"]) -> None:
        """Put in what is known of the features; the identity of those it says nothing of stays all their own."""
        assert self.prior is not None, "the tokenizer was built without a prior"
        self.prior.set_vectors(vectors)
        self.identity.weight.mul_(torch.where(self.prior.vectors.any(dim=1, keepdim=True), RESIDUAL, 1.0))

    def identities(self) -> Float[Tensor, "all_features dim"]:
        """Who every feature is, within its modality."""
        return self.identity.weight if self.prior is None else self.identity.weight + self.prior()

    def joined_identities(self) -> Float[Tensor, "all_features dim"]:
        """Who every feature is, among those of all modalities."""
        return self.identities() + self.modality

    def forward(self, measurement: Measurement) -> Float[Tensor, "visits features dim"]:
        """What each feature's value says; meaningless, and to be masked, where the feature is not visible."""
        x = measurement.values.to(self.value.weight.dtype)[..., None]  # visits features 1
        phase = 2 * math.pi * x * self.frequencies
        limit = measurement.below_limit[..., None].to(x.dtype)
        curve = self.value(torch.cat([x, phase.cos() - 1, phase.sin(), limit], dim=-1))
        return self.loading(measurement.feature_ids) * curve
