"""The visible values of a visit -> every feature's value: a linear factor model and a network, averaged.

What is linear between the layers of omics is estimated in closed form, what is not by training. What this gains over
ridge regression is for eval/impute.py to say of each cohort; docs/evaluation.md has what was measured.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omicsfm.model.decoders import Gaussian

FURTHEST = 5.0  # spreads from the centre at which a value is cut off


class ProfileImputer(nn.Module):
    """Adds what the values say by themselves to what a decoder reads from the embedding.

    The linear part is a factor model (probabilistic principal components; Tipping and Bishop 1999): with loadings L and
    noise s, factors z = (L'L + s I)^-1 L'x over the visible features alone, and values L z. It is fitted before
    training (``set_factors``) and stays as it is; with as many factors as features it would be ridge regression of any
    hidden set of features on any visible one. While training it is left out, so that the network learns to answer by
    itself: a network that learnt the residuals would learn those of the rows that the linear part was fitted to.
    """

    center: Tensor
    spread: Tensor
    loadings: Tensor
    noise: Tensor

    def __init__(
        self,
        *,
        sizes: Mapping[str, int],
        rank: int = 128,
        width: int = 512,
        input_dropout: float = 0.2,
        dropout: float = 0.5,
        linear_share: float = 0.5,
    ) -> None:
        """``sizes`` are the numbers of features of each modality, in the model's order; ``rank`` factors; ``width`` of
        the network's two layers; ``linear_share`` is what the linear part counts in the mean of the two.
        """
        super().__init__()
        self.sizes = dict(sizes)
        self.rank = rank
        self.linear_share = linear_share
        features = sum(self.sizes.values())
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("loadings", torch.zeros(features, rank))
        self.register_buffer("noise", torch.ones(()))
        self.network = nn.Sequential(
            nn.Dropout(input_dropout),
            nn.Linear(features + len(self.sizes), width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.readout = nn.Linear(width, features, bias=False)
        nn.init.zeros_(self.readout.weight)

    def start_of(self, modality: str) -> int:
        """Where the features of a modality begin among all."""
        names = list(self.sizes)
        return sum(self.sizes[name] for name in names[: names.index(modality)])

    @torch.no_grad()
    def set_factors(
        self,
        *,
        center: Float[Tensor, " features"],
        spread: Float[Tensor, " features"],
        loadings: Float[Tensor, "features rank"],
        noise: float,
    ) -> None:
        """Put in a fitted factor model of values (x - center) / spread."""
        self.center.copy_(center)
        self.spread.copy_(spread)
        self.loadings.copy_(loadings)
        self.noise.fill_(noise)

    def forward(
        self,
        said: Gaussian,
        profile: Float[Tensor, "visits all_features"],
        visible: Bool[Tensor, "visits all_features"],
        columns: Int[Tensor, "visits features"],
    ) -> Gaussian:
        """The decoder's distribution with a better mean. ``columns`` are the asked features' places among all."""
        known = self.standardised(profile, visible)
        shares = [own.float().mean(dim=1) for own in visible.split(list(self.sizes.values()), dim=1)]
        hidden = self.network(torch.cat([known, torch.stack(shares, dim=1)], dim=1))
        mean = said.mean + (self.spread * self.readout(hidden)).gather(1, columns)
        if not self.training:
            linear = (self.center + self.spread * self.linear(known, visible)).gather(1, columns)
            mean = torch.lerp(mean, linear, self.linear_share)
        return replace(said, mean=mean)

    def standardised(
        self, profile: Float[Tensor, "visits all_features"], visible: Bool[Tensor, "visits all_features"]
    ) -> Float[Tensor, "visits all_features"]:
        """Visible values around 0 in units of their spread; 0 where there is none."""
        scaled = ((profile - self.center) / self.spread).clamp(-FURTHEST, FURTHEST)
        return torch.where(visible, scaled, 0.0)

    def linear(
        self, known: Float[Tensor, "visits all_features"], visible: Bool[Tensor, "visits all_features"]
    ) -> Float[Tensor, "visits all_features"]:
        """Every feature from the factors that the visible ones speak for; standardised, as ``known`` is."""
        weight = torch.cat([self.loadings.new_full((size,), size**-0.5) for size in self.sizes.values()])
        scaled = self.loadings * weight[:, None]  # a modality counts as one, however many features it has
        seen = visible.to(scaled.dtype)
        gram = torch.einsum("vf,fk,fl->vkl", seen, scaled, scaled)
        gram = gram + self.noise * torch.eye(self.rank, device=gram.device)
        factors = torch.linalg.solve(gram, (known * weight) @ scaled)
        return factors @ self.loadings.T
