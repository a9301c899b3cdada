"""A protein is like its gene: features that a table of identifiers links get one vector between them."""

from collections.abc import Mapping

import numpy as np

from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.seeding import derive
from omicsfm.training.priors.base import Known, Vectors


class Links:
    """Random vectors, one for each gene: a transcript, the protein it makes, and an aptamer that binds it share one.

    What links them is the table of ``data.mapping`` (docs/identifiers.md), or equal ids of one namespace. A feature
    that stands for several genes gets the mean of theirs.
    """

    def __init__(self, *, dim: int, namespace: str = "hgnc_symbol") -> None:
        """``namespace`` is where the ids of different modalities meet."""
        self.dim = dim
        self.namespace = namespace

    def vectors(self, known: Known) -> Mapping[str, Vectors]:
        """Zeros for a feature that stands for no gene.

        Raises:
            InputError: Nothing of one modality is linked to anything of another.
        """
        genes = {name: self._genes(space) for name, space in known.features.items()}
        where: dict[str, set[str]] = {}
        for name, own in genes.items():
            for gene in {gene for each in own for gene in each}:
                where.setdefault(gene, set()).add(name)
        if not any(len(names) > 1 for names in where.values()):
            raise InputError(
                "prior=links: no feature of one modality is linked to one of another. Name a table of identifiers that "
                f"links their namespaces ({', '.join(sorted({s.namespace for s in known.features.values()}))}) with "
                "data.mapping=[FILE], or leave the prior out."
            )
        vector = {
            gene: np.random.default_rng(derive(known.seed, "gene", gene)).normal(size=self.dim)
            for gene in sorted(where)
        }
        return {
            name: np.array(
                [np.mean([vector[gene] for gene in each], axis=0) if each else np.zeros(self.dim) for each in own]
            )
            for name, own in genes.items()
        }

    def _genes(self, space: FeatureSpace) -> list[tuple[str, ...]]:
        if space.namespace == self.namespace:
            return [(feature,) for feature in space.ids]
        if space.translator is None:
            return [() for _ in space.ids]
        meanings = space.translator.translate(space.ids, space.namespace, self.namespace)
        return [() if meaning.ambiguous else meaning.ids for meaning in meanings]
