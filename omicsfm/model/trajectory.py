"""Visit embeddings of a participant -> what is known of the participant at each visit, from it and those before it.

The visits of a batch stand side by side, whoever's they are: a mask lets each visit attend to itself and to the
strictly earlier visits of the same participant, so nothing is padded and no visit can see a later one. Time is
continuous: attention fades with the days between two visits at a rate that each head learns (a relative bias in the
manner of ALiBi, Press et al. 2022, arXiv:2108.12409, with days for positions), and every visit carries its age and the
time since the visit before it.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omicsfm.model.layers import FeedForward

SCALES_DAYS = (7.0, 30.0, 180.0, 365.25, 1826.0, 3652.5)
"""A duration is told by how it compares with a week, a month, half a year, and one, five and ten years."""


def duration_features(days: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape scales"]:
    """days / (days + scale) for each scale: between 0 and 1 however long it is, 0 for none."""
    scales = torch.tensor(SCALES_DAYS, dtype=days.dtype, device=days.device)
    return days[..., None] / (days[..., None] + scales)


class TrajectoryEncoder(nn.Module):
    """Causal attention over the visits of each participant.

    It starts as a linear map of the visit itself: attention and feed-forward begin at zero.
    """

    def __init__(self, *, embedding_dim: int, dim: int, num_heads: int, depth: int, window: int = 32) -> None:
        """``window`` is how many visits back a layer looks; ``depth`` layers reach ``depth * window`` visits back."""
        super().__init__()
        self.dim = dim
        self.window = window
        self.reach = depth * window
        self.summary = nn.Linear(embedding_dim, dim)
        self.moment = nn.Linear(len(SCALES_DAYS) + 3, dim, bias=False)
        self.blocks = nn.ModuleList(_Block(dim=dim, num_heads=num_heads) for _ in range(depth))
        self.ahead = _Ahead(dim=dim)

    def forward(
        self,
        visit: Float[Tensor, "visits embedding"],
        participant: Int[Tensor, " visits"],
        time_days: Float[Tensor, " visits"],
        age_years: Float[Tensor, " visits"],
    ) -> Float[Tensor, "visits dim"]:
        """The state at each visit, whatever their order in the batch. ``age_years`` is NaN where not known."""
        earlier = is_earlier(participant, time_days)
        rank = earlier.sum(dim=1)
        self_too = torch.eye(len(visit), dtype=torch.bool, device=visit.device)
        mask = (earlier & (rank[:, None] - rank[None] <= self.window)) | self_too
        apart = (time_days[:, None] - time_days[None]).clamp(min=0.0)
        state = self.summary(visit) + self.moment(self._moment(earlier, time_days, age_years).to(visit.dtype))
        for block in self.blocks:
            state = block(state, mask, apart)
        return state

    @staticmethod
    def _moment(
        earlier: Bool[Tensor, "visits visits"], time_days: Float[Tensor, " visits"], age_years: Float[Tensor, " visits"]
    ) -> Float[Tensor, "visits features"]:
        """Time since the visit before (0 at the first), whether there is one, age, and whether that is known."""
        there = earlier.any(dim=1)
        before = torch.where(earlier, time_days[None], -torch.inf).amax(dim=1)
        since = torch.where(there, time_days - before, 0.0)
        known = ~age_years.isnan()
        age = torch.where(known, age_years / 50.0 - 1.0, 0.0)
        return torch.cat([duration_features(since), torch.stack([there.float(), age, known.float()], dim=1)], dim=1)


def is_earlier(
    participant: Int[Tensor, " visits"], time_days: Float[Tensor, " visits"]
) -> Bool[Tensor, "visits visits"]:
    """At [i, j], whether visit j is of the same participant as visit i, and strictly before it."""
    return (participant[:, None] == participant[None]) & (time_days[None] < time_days[:, None])


class _Block(nn.Module):
    """Attention over what the mask allows and feed-forward, both pre-norm and zero at the start."""

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_attention = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim, bias=False)
        self.fading = nn.Parameter(torch.linspace(-2.0, 1.0, num_heads))
        self.out = nn.Linear(dim, dim, bias=False)
        nn.init.zeros_(self.out.weight)
        self.norm_feed_forward = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim=dim)

    def forward(
        self,
        state: Float[Tensor, "visits dim"],
        mask: Bool[Tensor, "visits visits"],
        apart: Float[Tensor, "visits visits"],
    ) -> Float[Tensor, "visits dim"]:
        """``apart`` are the days from one visit to a later one."""
        heads = self.query_key_value(self.norm_attention(state)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = heads.permute(1, 2, 0, 3)  # each heads visits dim/heads
        fade = F.softplus(self.fading)[:, None, None] * torch.log1p(apart / 365.25)
        bias = torch.where(mask, -fade, -torch.inf).to(query.dtype)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        state = state + self.out(attended.transpose(0, 1).flatten(1))  # heads visits d -> visits dim
        return state + self.feed_forward(self.norm_feed_forward(state))


class _Ahead(nn.Module):
    """The state and the time ahead -> a hidden state that the change of every feature is read from; zero at first."""

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim, bias=False))
        self.skip = nn.Linear(dim, dim, bias=False)
        self.rate = nn.Linear(len(SCALES_DAYS), dim)
        nn.init.zeros_(self.mix[-1].weight)
        nn.init.zeros_(self.skip.weight)

    def forward(
        self, state: Float[Tensor, "visits dim"], days_ahead: Float[Tensor, " visits"]
    ) -> Float[Tensor, "visits dim"]:
        """What changes until then."""
        return (self.mix(state) + self.skip(state)) * (1.0 + self.rate(duration_features(days_ahead)))
