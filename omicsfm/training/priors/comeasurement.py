"""Features that go together are alike: vectors from what the training visits measured."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from omicsfm.seeding import derive
from omicsfm.training.factors import Values, all_values, leading_factors, sampled, standardised
from omicsfm.training.priors.base import Known, Vectors


class CoMeasurement:
    """The loadings of the leading factors of all modalities together, as word vectors come from co-occurrence.

    Features of different modalities get like vectors where they vary together between people.
    """

    def __init__(self, *, dim: int) -> None:
        self.dim = dim

    def vectors(self, known: Known) -> Mapping[str, Vectors]:
        """Fitted to the training visits alone."""
        sizes = {name: len(space) for name, space in known.features.items()}
        rows = sampled(known.rows, seed=derive(known.seed, "prior rows"))
        values, seed = all_values(known.reader, rows), derive(known.seed, "prior")
        loadings = loadings_of(values, sizes=list(sizes.values()), rank=self.dim, seed=seed)
        return dict(zip(sizes, np.split(loadings, np.cumsum(list(sizes.values()))[:-1]), strict=True))


def loadings_of(values: Values, *, sizes: Sequence[int], rank: int, seed: int) -> Float[np.ndarray, "features rank"]:
    """Loadings of standardised features, the strongest factor first; zeros beyond the rank of the data. Each of the
    ``sizes`` blocks of features, the modalities, has the same total variance whatever its number of features.
    """
    weight = np.repeat([size**-0.5 for size in sizes], sizes)
    right, singular = leading_factors(standardised(values).values * weight, rank=rank, seed=seed)
    loadings = np.zeros((values.shape[1], rank))
    loadings[:, : len(singular)] = right * singular / max(len(values), 1) ** 0.5 / weight[:, None]
    return loadings
