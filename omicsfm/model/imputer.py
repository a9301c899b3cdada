"""A modality that a visit lacks, from its others: a reading of what is known of the visit, as an outcome's head is."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omicsfm.model.decoders import Gaussian


class ProfileImputer(nn.Module):
    """Takes the place of a decoder's mean where a modality is hidden whole.

    A reduced-rank regression (Izenman 1975) of each modality's profile on what a head reads of the others. It is fitted
    in closed form when training is over; until then the decoder answers.
    """

    def __init__(self, *, sizes: Mapping[str, int], evidence_dim: int, rank: int = 128) -> None:
        """``sizes`` are the numbers of features of each modality, in the model's order; ``rank`` components of each
        profile are predicted.
        """
        super().__init__()
        self.sizes, self.rank = dict(sizes), rank
        for place, size in enumerate(self.sizes.values()):
            kept = min(rank, size)
            self.register_buffer(f"fitted_{place}", torch.tensor(False))
            self.register_buffer(f"center_{place}", torch.zeros(size))
            self.register_buffer(f"weight_{place}", torch.zeros(evidence_dim, kept))
            self.register_buffer(f"basis_{place}", torch.zeros(kept, size))

    @torch.no_grad()
    def fill(
        self,
        modality: str,
        *,
        center: Float[np.ndarray, " features"],
        weight: Float[np.ndarray, "evidence components"],
        basis: Float[np.ndarray, "components features"],
    ) -> None:
        """Put in a fitted regression: center + evidence @ weight @ basis."""
        self._buffer("fitted", modality).fill_(True)
        self._buffer("center", modality).copy_(torch.from_numpy(center))
        self._buffer("weight", modality)[:, : weight.shape[1]] = torch.from_numpy(weight)
        self._buffer("basis", modality)[: len(basis)] = torch.from_numpy(basis)

    def answers(self, modality: str) -> bool:
        """Whether it is fitted for this modality and training is over."""
        return not self.training and bool(self._buffer("fitted", modality))

    def forward(
        self,
        said: Gaussian,
        modality: str,
        evidence: Float[Tensor, "visits evidence"],
        lacking: Bool[Tensor, " visits"],
        feature_ids: Int[Tensor, "visits features"],
    ) -> Gaussian:
        """The decoder's distribution, with the regression's mean for the visits that lack the modality."""
        center, weight, basis = (self._buffer(name, modality) for name in ("center", "weight", "basis"))
        profile = center + evidence.float() @ weight @ basis
        return replace(said, mean=torch.where(lacking[:, None], profile.gather(1, feature_ids), said.mean))

    def _buffer(self, name: str, modality: str) -> Tensor:
        return self.get_buffer(f"{name}_{list(self.sizes).index(modality)}")
