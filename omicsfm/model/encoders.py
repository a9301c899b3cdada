"""Tokens -> latents. Encoders share one interface and are chosen in YAML.

Both attend over whatever subset of features a visit has, so an embedding depends neither on batch mates nor on
padding nor on the order of features.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omicsfm.contracts import Tokens
from omicsfm.model.layers import Block
from omicsfm.model.packing import places, weighted_sums

LEAST = -60.0
"""Logarithm of the least weight beside the greatest: what a visit shows has a sum above zero, whatever it lacks."""


class PerceiverEncoder(nn.Module):
    """Learned latents read the tokens by cross-attention, then attend to each other.

    Cost is linear in the number of features: 30,000 features of a visit fit in one pass (Jaegle et al. 2021,
    arXiv:2103.03206). What is unusual: keys are the features' identities and values what their measurements say,
    both without a projection. Where a latent looks does not depend on what is measured there, so a read is a
    weighted mean of the profile, exact for a linear signal; the blocks after it start as the identity.
    """

    def __init__(self, *, dim: int, num_latents: int, num_heads: int, depth: int, read_gain: float = 8.0) -> None:
        """``read_gain`` is the initial factor on what is read: a mean over many independent features is small."""
        super().__init__()
        self.dim = dim
        self.num_latents = num_latents
        self.latents = nn.Parameter(1.5 * torch.randn(num_latents, dim))
        self.nothing = nn.Parameter(torch.zeros(1, 1, dim))  # a token always visible: an empty visit has one too
        self.gain = nn.Parameter(torch.full((num_latents, 1), read_gain))
        self.blocks = nn.ModuleList(Block(dim=dim, num_heads=num_heads) for _ in range(depth))

    def forward(self, tokens: Tokens) -> Float[Tensor, "visits latents dim"]:
        """The latents of each visit after reading its visible tokens."""
        latents = self.gain * self._read(tokens)
        for block in self.blocks:
            latents = block(latents)
        return latents

    def _read(self, tokens: Tokens) -> Float[Tensor, "visits latents dim"]:
        """The mean of each visit's values, weighted by the softmax of how its features score with each latent.

        A latent scores every feature once for the whole batch; a visit looks its own up, and no key is copied.
        """
        keys = torch.cat([tokens.identities, self.nothing[0]])
        scores = (keys @ self.latents.mT).float() * self.dim**-0.5  # all features and nothing, latents
        odds = (scores - scores.detach().amax(dim=0)).clamp(min=LEAST).exp()
        weight = F.embedding(tokens.feature, odds)
        total = odds[-1].expand(tokens.counts.shape[1], -1).index_add(0, tokens.visit, weight)
        read = weighted_sums(weight, tokens.value, tokens.counts.flatten())
        read = read.unflatten(0, tokens.counts.shape).sum(dim=0)  # of all modalities
        return (read / total[..., None]).to(tokens.value.dtype)


class TransformerEncoder(nn.Module):
    """A plain transformer over all tokens and ``num_latents`` register tokens, which it returns.

    Cost is quadratic in the number of features: for panels of up to a few thousand.
    """

    def __init__(self, *, dim: int, num_latents: int, num_heads: int, depth: int) -> None:
        super().__init__()
        self.dim = dim
        self.num_latents = num_latents
        self.latents = nn.Parameter(torch.randn(num_latents, dim))
        self.blocks = nn.ModuleList(Block(dim=dim, num_heads=num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tokens) -> Float[Tensor, "visits latents dim"]:
        """The register tokens of each visit after ``depth`` blocks over everything visible."""
        visits = tokens.counts.shape[1]
        own = F.embedding(tokens.feature, tokens.identities) + tokens.value
        packed = torch.cat([self.latents.repeat(visits, 1), own])
        where = places(torch.cat([tokens.counts.new_full((1, visits), self.num_latents), tokens.counts]))
        for block in self.blocks:
            packed = block(packed, where)
        return self.norm(packed[: visits * self.num_latents]).unflatten(0, (visits, self.num_latents))
