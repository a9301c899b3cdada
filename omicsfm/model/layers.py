"""Attention and feed-forward, the two layers every encoder here is made of."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention of queries over a context, through torch's fused kernel.

    Queries, keys and values come from separate projections, so that the context may have another width.
    """

    def __init__(self, *, dim: int, num_heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(context_dim or dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(
        self,
        queries: Float[Tensor, "visits queries dim"],
        context: Float[Tensor, "visits context context_dim"],
        mask: Bool[Tensor, "visits context"] | None = None,
    ) -> Float[Tensor, "visits queries dim"]:
        """``mask`` is True where the context may be attended to; each visit needs one such place."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        attended = F.scaled_dot_product_attention(
            self._heads(self.query(queries)),
            self._heads(key),
            self._heads(value),
            attn_mask=None if mask is None else mask[:, None, None, :],
        )
        return self.out(attended.transpose(1, 2).flatten(2))  # visits heads queries d -> visits queries dim

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # visits heads rows dim/heads


class FeedForward(nn.Sequential):
    """Two linear layers around a GELU."""

    def __init__(self, *, dim: int, expansion: int = 4) -> None:
        super().__init__(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))


class Block(nn.Module):
    """Self-attention and feed-forward, each on normalised input and added to it (pre-norm transformer)."""

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim=dim, num_heads=num_heads)
        self.norm_feed_forward = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim=dim)

    def forward(
        self, tokens: Float[Tensor, "visits tokens dim"], mask: Bool[Tensor, "visits tokens"] | None = None
    ) -> Float[Tensor, "visits tokens dim"]:
        """``mask`` is True where a token may be attended to."""
        normed = self.norm_attention(tokens)
        tokens = tokens + self.attention(normed, normed, mask)
        return tokens + self.feed_forward(self.norm_feed_forward(tokens))
