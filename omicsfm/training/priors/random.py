"""The control: vectors that say nothing."""

from collections.abc import Mapping

import numpy as np

from omicsfm.seeding import derive
from omicsfm.training.priors.base import Known, Vectors


class Random:
    """Normal random vectors. A prior that does not beat them has taught the model nothing."""

    def __init__(self, *, dim: int) -> None:
        self.dim = dim

    def vectors(self, known: Known) -> Mapping[str, Vectors]:
        """Of every feature; the same for a seed."""
        return {
            name: np.random.default_rng(derive(known.seed, "random prior", name)).normal(size=(len(space), self.dim))
            for name, space in known.features.items()
        }
