"""What a prior is asked, and where its answer goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int

from omicsfm.data.collate import BatchReader
from omicsfm.features import FeatureSpace

Vectors = Float[np.ndarray, "features prior"]


@dataclass(frozen=True)
class Known:
    """What a prior may look at."""

    features: Mapping[str, FeatureSpace]
    reader: BatchReader
    rows: Int[np.ndarray, " training"]
    """Visits that weights are fitted to."""
    seed: int


@runtime_checkable
class Prior(Protocol):
    """A source of vectors."""

    dim: int

    def vectors(self, known: Known) -> Mapping[str, Vectors]:
        """A vector of each feature of each modality; zeros where nothing is known of it."""
        ...


def set_priors(model: Any, prior: Prior, known: Known) -> None:
    """Give every tokenizer the vectors of its features."""
    for name, vectors in prior.vectors(known).items():
        model.modalities[name].tokenizer.set_prior(torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)))
