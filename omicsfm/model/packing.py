"""Visits with unlike numbers of features side by side, without padding to the longest."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from omicsfm.contracts import Measurement

ALIGNED = 8
"""Grouped products ask for rows of a multiple of 16 bytes: so many numbers, in half precision too."""
MOST_RUNS = 1000
"""Of one grouped product: a GPU prepares up to 1,023 in one block."""


def visible_part(measured: Measurement) -> tuple[Measurement, Int[Tensor, " visits"]]:
    """What the encoder may see, visit after visit as one row without padding, and how much of it is of each visit."""
    place = measured.visible.flatten().nonzero()[:, 0]
    parts = {name: values.flatten()[None, place] for name, values in vars(measured).items()}
    return Measurement(**parts), measured.visible.sum(dim=1)


def weighted_sums(
    weight: Float[Tensor, "tokens latents"], value: Float[Tensor, "tokens dim"], counts: Int[Tensor, " runs"]
) -> Float[Tensor, "runs latents dim"]:
    """Of each run of so many tokens the values' sum, weighted for each latent: one product of many sizes.

    Under autocast, which does not know it, in bfloat16, whose range holds every weight.
    """
    if len(counts) > MOST_RUNS:
        parts = counts.split(MOST_RUNS)
        sizes = torch.stack([part.sum() for part in parts]).tolist()
        several = zip(weight.split(sizes), value.split(sizes), parts, strict=True)
        return torch.cat([weighted_sums(*some) for some in several])
    dtype = torch.bfloat16 if torch.is_autocast_enabled(value.device.type) else value.dtype
    left, right = (F.pad(x.to(dtype), (0, -x.shape[1] % ALIGNED, 0, int(not len(x)))) for x in (weight, value))
    summed = F.grouped_mm(left.mT, right, offs=counts.cumsum(0, dtype=torch.int32))
    return summed[:, : weight.shape[1], : value.shape[1]]


@dataclass(frozen=True)
class Places:
    """Where packed tokens stand when each visit has a row to itself."""

    place: Int[Tensor, " tokens"]
    filled: Bool[Tensor, "visits longest"]

    def apart(self, packed: Float[Tensor, "tokens dim"]) -> Float[Tensor, "visits longest dim"]:
        """A row for each visit, zero where it is not filled."""
        rows = packed.new_zeros(self.filled.numel(), packed.shape[1]).index_copy(0, self.place, packed)
        return rows.unflatten(0, self.filled.shape)

    def joined(self, rows: Float[Tensor, "visits longest dim"]) -> Float[Tensor, "tokens dim"]:
        """Back without padding."""
        return rows.flatten(0, 1).index_select(0, self.place)


def places(counts: Int[Tensor, "modalities visits"]) -> Places:
    """Places of tokens that stand by modality, then by visit, so many of each."""
    of_visit = counts.sum(dim=0)
    longest = max(of_visit.tolist(), default=0)
    before = counts.cumsum(0) - counts + longest * torch.arange(counts.shape[1], device=counts.device)
    runs = counts.flatten()
    first = before.flatten() - (runs.cumsum(0) - runs)  # place of a run's first token, less its number among all
    place = torch.repeat_interleave(first, runs)
    place = place + torch.arange(len(place), device=counts.device)
    return Places(place, torch.arange(longest, device=counts.device) < of_visit[:, None])
