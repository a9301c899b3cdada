"""The state at a visit and a time ahead -> the values of every feature then."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from omicsfm.model.decoders import Gaussian
from omicsfm.model.trajectory import SCALES_DAYS, duration_features


class ForecastDecoder(nn.Module):
    """The last observed value, kept in part, plus a change that the history foretells.

    mean(t) = (1 + kept_f(t)) * last_f + change_f(state, t). Both begin at zero: an untrained forecast is the last
    observation carried forward, and for a feature never observed before the training median. ``kept`` is a feature's
    own and depends on how far ahead is looked, so what fluctuates or is measured with much noise is drawn to the median
    as in an Ornstein-Uhlenbeck process; it may take any value, so that it can begin at exactly nothing.
    """

    def __init__(self, *, num_features: int, dim: int, max_log_scale: float = 3.0) -> None:
        """``max_log_scale`` bounds the logarithm of the scale on both sides, so that no loss runs away."""
        super().__init__()
        self.kept = nn.Embedding(num_features, 1 + len(SCALES_DAYS))
        self.loading = nn.Embedding(num_features, dim)
        self.spread = nn.Embedding(num_features, 2)
        nn.init.zeros_(self.kept.weight)
        nn.init.zeros_(self.spread.weight)
        self.max_log_scale = max_log_scale

    def forward(
        self,
        hidden: Float[Tensor, "visits dim"],
        days_ahead: Float[Tensor, " visits"],
        last: Float[Tensor, "visits features"],
        feature_ids: Int[Tensor, "visits features"],
    ) -> Gaussian:
        """``last`` is the last observed value of each asked feature on the model's scale, NaN where there is none."""
        ahead = duration_features(days_ahead)
        whole = torch.cat([torch.ones_like(ahead[:, :1]), ahead], dim=1)
        kept = 1.0 + (whole @ self.kept.weight.T.to(whole.dtype)).gather(1, feature_ids)  # visits features
        change = (hidden @ self.loading.weight.T).float() * self.loading.embedding_dim**-0.5
        known = ~last.isnan()
        mean = torch.where(known, last, 0.0) * kept + change.gather(1, feature_ids)
        spread = self.spread(feature_ids)
        log_scale = spread[..., 0] + torch.where(known, 0.0, spread[..., 1])
        return Gaussian(mean=mean, log_scale=self.max_log_scale * torch.tanh(log_scale / self.max_log_scale))
