"""Attention and feed-forward, the two layers every encoder here is made of."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omicsfm.model.packing import Places


class Attention(nn.Module):
    """Multi-head self-attention through torch's fused kernel. Its output starts at zero."""

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(
        self, tokens: Float[Tensor, "*visits tokens dim"], places: Places | None = None
    ) -> Float[Tensor, "*visits tokens dim"]:
        """Among the tokens of a visit; with ``places`` those of all visits are packed. Each visit needs one."""
        heads = self.query_key_value(tokens)
        rows = heads if places is None else places.apart(heads)
        rows = rows.unflatten(-1, (3, self.num_heads, -1))
        query, key, value = rows.permute(2, 0, 3, 1, 4)  # each visits heads tokens dim/heads
        mask = None if places is None else places.filled[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).flatten(2)  # visits heads tokens d -> visits tokens dim
        return self.out(attended if places is None else places.joined(attended))


class FeedForward(nn.Sequential):
    """Two linear layers around a GELU. Its output starts at zero."""

    def __init__(self, *, dim: int, expansion: int = 4) -> None:
        super().__init__(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))
        nn.init.zeros_(self[2].weight)
        nn.init.zeros_(self[2].bias)


class Block(nn.Module):
    """Self-attention and feed-forward, each on normalised input and added to it (pre-norm transformer).

    Both start at zero (Bachlechner et al. 2021, arXiv:2003.04887), so a deep encoder starts as what its first layer
    reads.
    """

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim=dim, num_heads=num_heads)
        self.norm_feed_forward = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim=dim)

    def forward(
        self, tokens: Float[Tensor, "*visits tokens dim"], places: Places | None = None
    ) -> Float[Tensor, "*visits tokens dim"]:
        """With ``places`` the tokens of all visits are packed."""
        tokens = tokens + self.attention(self.norm_attention(tokens), places)
        return tokens + self.feed_forward(self.norm_feed_forward(tokens))
