"""Tokens -> latents. Encoders share one interface and are chosen in YAML.

Both attend over whatever subset of features a visit has, so an embedding depends neither on batch mates nor on
padding nor on the order of features.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omicsfm.contracts import Tokens
from omicsfm.model.layers import Block


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
        weights = self._weights(tokens)
        latents = self.gain * (weights.mT.to(tokens.value.dtype) @ tokens.value)
        for block in self.blocks:
            latents = block(latents)
        return latents

    def _weights(self, tokens: Tokens) -> Float[Tensor, "visits tokens latents"]:
        """How much of each token each latent reads: 0 where it is not visible, up to 1 in sum.

        A latent scores every feature once for the whole batch; a visit looks its own up, and no key is copied.
        """
        keys = torch.cat([tokens.identities, self.nothing[0]])
        scores = (keys @ self.latents.mT).float() * self.dim**-0.5  # all features and nothing, latents
        nothing, hidden = len(keys) - 1, len(keys)
        row = F.pad(torch.where(tokens.mask, tokens.feature, hidden), (1, 0), value=nothing)
        table = torch.cat([scores, scores.new_full((1, self.num_latents), -torch.inf)])
        return F.embedding(row, table).softmax(dim=1)[:, 1:]


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
        registers = self.latents.expand(len(tokens.mask), -1, -1)
        embedding = torch.cat([registers, tokens.identity + tokens.value], dim=1)
        mask = _with_front(tokens.mask, self.num_latents)
        for block in self.blocks:
            embedding = block(embedding, mask)
        return self.norm(embedding[:, : self.num_latents])


def _with_front(mask: Bool[Tensor, "visits tokens"], places: int) -> Bool[Tensor, "visits all"]:
    """The mask with places put in front that every visit may attend to."""
    return torch.cat([mask.new_ones(len(mask), places), mask], dim=1)
