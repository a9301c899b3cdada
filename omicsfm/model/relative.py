"""Measured values relative to the visit's own level: what is left when a sample is diluted, or loaded twice."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class RelativeProfile(nn.Module):
    """Each value less the level of its visit and modality, large ones limited softly.

    The idea of the centred log-ratio (Aitchison 1982) and of probabilistic quotient normalisation (Dieterle and others
    2006): urine is more or less dilute, a plasma sample more or less loaded, and that moves all values of an assay
    together. The level is the mean of the limited values that are visible, so that a few large ones do not make it.
    Covariates are no assay and stay as they are.
    """

    def __init__(self, *, sizes: Mapping[str, int], covariates: Sequence[str] = (), limit: float = 2.0) -> None:
        """``sizes`` are the numbers of features of each modality, in the model's order; ``covariates`` names those that
        are no assay; ``limit``, in spreads of a feature, is what no limited value reaches.
        """
        super().__init__()
        self.sizes, self.covariates, self.limit = dict(sizes), frozenset(covariates), limit

    def forward(
        self, profile: Float[Tensor, "visits all_features"], visible: Bool[Tensor, "visits all_features"]
    ) -> Float[Tensor, "visits all_features"]:
        """Relative values, 0 where there is no value."""
        sizes = list(self.sizes.values())
        panels = zip(self.sizes, profile.split(sizes, dim=1), visible.split(sizes, dim=1), strict=True)
        return torch.cat(
            [panel if name in self.covariates else self._relative(panel, shown) for name, panel, shown in panels], dim=1
        )

    def _relative(
        self, panel: Float[Tensor, "visits features"], shown: Bool[Tensor, "visits features"]
    ) -> Float[Tensor, "visits features"]:
        limited = self.limit * torch.tanh(panel / self.limit)  # 0 where there is no value
        level = limited.sum(dim=1, keepdim=True) / shown.sum(dim=1, keepdim=True).clamp(min=1)
        return (limited - level) * shown
