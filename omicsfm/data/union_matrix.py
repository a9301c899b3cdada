"""One modality of several stores: their features joined, each row read from its own store."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.data.stored_matrix import Picked, StoredMatrix
from omicsfm.errors import InputError
from omicsfm.features import SCALES_JOINED_BY, FeatureSpace, of_cohort

Places = Int[np.ndarray, " _"]  # as many as a cohort has features


class UnionMatrix(StoredMatrix):
    """One modality of several stores in their joined feature space; what a store has no feature for is not measured."""

    def __init__(self, parts: Sequence[StoredMatrix | None], starts: Int[np.ndarray, " stores"]) -> None:
        """``parts`` are the stores' matrices, None where a store lacks the modality; ``starts`` their first rows."""
        self._starts = starts
        self._parts = {number: part for number, part in enumerate(parts) if part is not None}
        own = list(self._parts.values())
        self.features, places = join_features([part.features for part in own])
        self._places_of = dict(zip(self._parts, places, strict=True))
        self.layout = "csr" if all(part.layout == "csr" for part in own) else "dense"  # how it is best read
        measured = [starts[number] + part.rows for number, part in self._parts.items()]
        self.rows: Int[np.ndarray, " measured"] = np.concatenate(measured)

    def read(
        self, rows: Int[np.ndarray, " visits"]
    ) -> tuple[Float[np.ndarray, "visits features"], Bool[np.ndarray, "visits features"]]:
        """Values (NaN where not measured) and below-limit flags of these rows, in the order asked for."""
        values = np.full((len(rows), len(self.features)), np.nan, dtype=np.float32)
        below = np.zeros(values.shape, dtype=bool)
        for part, places, at, own in self._by_store(rows):
            values[at[:, None], places], below[at[:, None], places] = part.read(own)
        return values, below

    def pick(
        self,
        rows: Int[np.ndarray, " visits"],
        columns: Int[np.ndarray, "visits tokens"],
        counted: Bool[np.ndarray, " features"],
    ) -> Picked:
        """These features of these rows, each row its own, as ``StoredMatrix.pick``."""
        values = np.full(columns.shape, np.nan, dtype=np.float32)
        below, total = np.zeros(columns.shape, dtype=bool), np.zeros((len(rows), 1))
        for part, places, at, own in self._by_store(rows):
            here = np.full(len(self.features) + 1, -1)  # the last, which -1 finds, is nowhere
            here[places] = np.arange(len(places))
            picked = part.pick(own, here[columns[at]], counted[places])
            values[at], below[at], total[at] = picked.values, picked.below_limit, picked.total
        return Picked(values, below, total)

    def _by_store(self, rows: np.ndarray) -> Iterator[tuple[StoredMatrix, Places, np.ndarray, np.ndarray]]:
        """Of each store that has some of ``rows``: its matrix, where its features stand, which rows, their own rows."""
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for number, part in self._parts.items():
            at = np.flatnonzero(owner == number)
            if len(at):
                yield part, self._places_of[number], at, rows[at] - self._starts[number]


def join_features(spaces: Sequence[FeatureSpace]) -> tuple[FeatureSpace, list[Places]]:
    """The features of several cohorts' modality in one space, and where those of each stand in it.

    A feature takes the place of one that a cohort before it has under the same id, or another form of it, and else a
    new one. Ids of namespace local stay apart by cohort.

    Raises:
        InputError: The cohorts name features in different namespaces.
    """
    first = spaces[0]
    for space in spaces:
        if space.namespace != first.namespace:
            raise InputError(
                f"{first.modality}: {first.cohort} names features in namespace {first.namespace}, {space.cohort} in "
                f"{space.namespace}; equal ids would not mean the same thing. Bring both to one namespace when they "
                f"are prepared (map_to in COHORT.yaml), or call the modality of one of them otherwise there (such as "
                f"{first.modality}_{space.cohort}): it is then a modality of its own, absent from the other cohort."
            )
    cohorts = {space.cohort for space in spaces}
    apart = first.namespace == "local" and len(cohorts) > 1
    ids: list[str] = []
    places: list[Places] = []
    panels: dict[str, Places] = {}
    for space in spaces:
        own = tuple(of_cohort(feature, space.cohort) if apart else feature for feature in space.ids)
        position = replace(first, ids=tuple(ids)).places(replace(space, ids=own))
        new = position < 0
        position[new] = len(ids) + np.arange(new.sum())
        ids += [own[number] for number in np.flatnonzero(new)]
        places.append(position)
        panels[space.cohort] = np.union1d(panels.get(space.cohort, position), position)
    joined = FeatureSpace(
        modality=first.modality,
        ids=tuple(ids),
        namespace=first.namespace,
        scale=SCALES_JOINED_BY.join(sorted({space.scale for space in spaces})),
        platform=first.platform if len({space.platform for space in spaces}) == 1 else "",
        cohort=first.cohort if len(cohorts) == 1 else "",
        panels=panels,
    )
    return joined, places
