"""Random features of the measured values: what is linear in them is a kernel method of the values.

A fixed map, drawn once and kept in the checkpoint: no participant's values are stored, as a kernel method's support
vectors would be.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

MIXES = 3


class RandomFeatures(nn.Module):
    """Cosines and sines of random projections (Rahimi and Recht 2007) for the Gaussian kernel exp(-|x - y|^2 / 2p) of
    the p features of a visit's modalities, 0 where a modality has no value of one.

    The projections are products of Hadamard matrices and random signs (Yu and others 2016, arXiv:1610.09072): with a
    few signs a feature instead of a column, those of a transcriptome take kilobytes.
    """

    def __init__(self, *, sizes: Mapping[str, int], features: int = 4096) -> None:
        """``sizes`` are the numbers of features of each modality, in the model's order; ``features`` is the number of
        projections: the kernel is known to about 1 / sqrt(features).
        """
        super().__init__()
        self.sizes, self.features = dict(sizes), features
        for place, size in enumerate(self.sizes.values()):
            length = 1 << (max(size, features) - 1).bit_length()  # a power of two, for the Hadamard matrices
            self.register_buffer(f"signs_{place}", 2 * torch.randint(2, (MIXES, length), dtype=torch.int8) - 1)

    @property
    def columns(self) -> int:
        """How many columns it makes."""
        return 2 * self.features

    def forward(self, profile: Float[Tensor, "visits all_features"]) -> Float[Tensor, "visits columns"]:
        """The columns of each visit."""
        panels = profile.float().split(list(self.sizes.values()), dim=1)
        measured = torch.stack([panel.shape[1] * panel.any(dim=1) for panel in panels])
        shares = (measured / measured.sum(dim=0).clamp(min=1)).sqrt()
        angle = sum(
            share[:, None] * self._angles(panel, self.get_buffer(f"signs_{place}"))
            for place, (share, panel) in enumerate(zip(shares, panels, strict=True))
        )
        return torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)

    def _angles(
        self, values: Float[Tensor, "visits features"], signs: Int[Tensor, "mixes length"]
    ) -> Float[Tensor, "visits projections"]:
        size, length = values.shape[1], signs.shape[1]
        mixed = pad(values, (0, length - size))
        for own in signs.to(values.dtype):
            mixed = hadamard(mixed * own) / math.sqrt(length)
        return mixed[:, : self.features] * math.sqrt(length / max(size, 1))


def hadamard(values: Float[Tensor, "visits length"]) -> Float[Tensor, "visits length"]:
    """The Walsh-Hadamard transform of each row in ``length * log2(length)`` additions."""
    visits, length = values.shape
    half = 1
    while half < length:
        left, right = values.view(visits, length // (2 * half), 2, half).unbind(dim=2)
        values = torch.stack([left + right, left - right], dim=2).view(visits, length)
        half *= 2
    return values
