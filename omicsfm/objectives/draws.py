"""Random numbers that belong to a visit and a feature, not to a place in a batch.

A draw is a hash of (seed, visit, feature). What is withheld from a visit is therefore the same on one process and
on many, in any batch order, and after a resumed run: nothing random has to be saved.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GOLDEN = -7046029254386353131  # 2**64 / golden ratio, as a signed 64-bit integer (splitmix64; Steele et al. 2014)
_MIX_1 = -4658895280553007687
_MIX_2 = -7723592293110705685


def uniform(seed: int, *keys: Int[Tensor, "*#shape"]) -> Float[Tensor, "*#shape"]:
    """Numbers in [0, 1), one per place of the broadcast ``keys``, decided by ``seed`` and the keys there."""
    state = torch.full((), seed, dtype=torch.int64, device=keys[0].device)
    for key in keys:
        state = _mix(state * _GOLDEN + key.long())
    return (state >> 11 & ((1 << 53) - 1)).double().mul(2.0**-53).float().clamp(max=1 - 2**-24)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _MIX_1
    z = (z ^ _shift(z, 27)) * _MIX_2
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    return (z >> bits) & ((1 << (64 - bits)) - 1)  # logical, not arithmetic, shift
