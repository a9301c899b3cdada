"""One base seed -> independent seeds by purpose, so that changing one part leaves the others' draws alone."""

import hashlib
import random

import numpy as np
import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 32-bit seed for a purpose, such as ``derive(seed, "objective", step, rank)``.

    Hash-based rather than ``seed + rank``: neighbouring base seeds share no derived seed.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def seed_everything(seed: int, *purpose: str | int) -> int:
    """Seed Python's, numpy's and torch's global generators for a purpose; returns the derived seed."""
    derived = derive(seed, *purpose)
    random.seed(derived)
    np.random.seed(derived)  # noqa: NPY002  third-party code reads the global generator
    torch.default_generator.manual_seed(derived)  # torch.manual_seed looks for every kind of device, each time
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(derived)
    return derived
