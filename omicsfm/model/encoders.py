"""Tokens -> latents. Encoders share one interface and are chosen in YAML.

Both attend over whatever subset of features a visit has, so an embedding depends neither on batch mates nor on
padding nor on the order of features.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omicsfm.contracts import Tokens
from omicsfm.model.layers import Attention, Block


class PerceiverEncoder(nn.Module):
    """Learned latents read the tokens by cross-attention, then attend to each other.

    Cost is linear in the number of features: 30,000 features of a visit fit in one pass (Jaegle et al. 2021,
    arXiv:2103.03206).
    """

    def __init__(self, *, dim: int, num_latents: int, num_heads: int, depth: int) -> None:
        super().__init__()
        self.dim = dim
        self.num_latents = num_latents
        self.latents = nn.Parameter(torch.randn(num_latents, dim))
        self.nothing = nn.Parameter(torch.zeros(1, 1, dim))  # a token always visible: an empty visit has one too
        self.norm_tokens = nn.LayerNorm(dim)
        self.read = Attention(dim=dim, num_heads=num_heads)
        self.norm_read = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(Block(dim=dim, num_heads=num_heads) for _ in range(depth))
        with torch.no_grad():  # sharp initial attention: each latent and head reads its own weighting of features
            self.read.query.weight.mul_(3.0)

    def forward(self, tokens: Tokens) -> Float[Tensor, "visits latents dim"]:
        """The latents of each visit after reading its visible tokens."""
        embedding, mask = _with_nothing(self.nothing, tokens)
        queries = self.latents.expand(len(embedding), -1, -1)
        # Normalised, because a mean over n standardised features shrinks as 1/sqrt(n) and the question would drown it.
        latents = self.norm_read(self.read(queries, self.norm_tokens(embedding), mask))
        for block in self.blocks:
            latents = block(latents)
        return latents


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
        embedding, mask = _with_nothing(self.latents[None], tokens)
        for block in self.blocks:
            embedding = block(embedding, mask)
        return self.norm(embedding[:, : self.num_latents])


def _with_nothing(
    always: Float[Tensor, "1 extra dim"], tokens: Tokens
) -> tuple[Float[Tensor, "visits all dim"], Bool[Tensor, "visits all"]]:
    """Tokens with rows put in front that every visit may attend to."""
    front = always.expand(len(tokens.embedding), -1, -1)
    visible = tokens.mask.new_ones(len(front), front.shape[1])
    return torch.cat([front, tokens.embedding], dim=1), torch.cat([visible, tokens.mask], dim=1)
