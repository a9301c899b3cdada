"""Features that go together are alike: vectors from what the training visits measured."""

from collections.abc import Mapping

from omicsfm.seeding import derive
from omicsfm.training.factors import all_values, fit_factors, sampled
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
        factors = fit_factors(
            all_values(known.reader, rows), sizes=list(sizes.values()), rank=self.dim, seed=derive(known.seed, "prior")
        )
        found, start = {}, 0
        for name, size in sizes.items():
            found[name] = factors.loadings[start : start + size]
            start += size
        return found
