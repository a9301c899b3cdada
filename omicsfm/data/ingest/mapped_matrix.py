"""A matrix whose features are called as another namespace calls them.

Where several features become one, their values are added on the scales of which sums mean something (counts and TPM:
copies of a gene). On any other the feature that bears the approved id itself stays, else the first in the file's order,
and the others are left out. What is ambiguous or unknown keeps its own id: nothing measured is lost.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy import sparse

from omicsfm.data.identifiers.build import read_mapping
from omicsfm.data.ingest.annotated import AnnotatedMatrix
from omicsfm.data.ingest.blocks import Block, Key, MatrixSource
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.peaks import read_peaks
from omicsfm.errors import InputError
from omicsfm.namespaces import canonical
from omicsfm.placement import Meaning

SUMMED = ("counts", "tpm")
NAMED = 5  # features of each fate that the manifest names


@dataclass(frozen=True)
class MappingPlan:
    """What the features of a matrix become."""

    features: list[str]
    """The new ids, in order of their first feature."""
    columns: list[Int[np.ndarray, " _"]]
    """The matrix's features behind each, the one to keep first."""
    status: list[str]
    """Of each new feature: matched, mapped, ambiguous or unknown."""
    counts: dict[str, Any]


@dataclass(frozen=True)
class Named:
    """A matrix under the names that the store gives its features."""

    spec: ModalitySpec
    source: MatrixSource
    counts: dict[str, Any]
    """For the manifest."""
    about: pd.DataFrame
    """What the store keeps of each feature beside its id: ``source_ids`` where ids were mapped, ``mz`` and
    ``retention_time`` where some features are peaks."""


def in_namespace(spec: ModalitySpec, source: MatrixSource) -> Named:
    """The modality with its features called as ``map_to`` says; as it is where nothing is said.

    Raises:
        InputError: The mapping is no table of identifiers, knows neither namespace, or gives an id twice; or what is
            said of peaks does not fit.
    """
    peaks = read_peaks(spec, source.features)
    counts: dict[str, Any] = {} if spec.peaks is None else {"peaks": len(peaks)}
    about = pd.DataFrame(index=range(len(source.features)))
    if spec.map_to is not None:
        table = read_mapping(spec.mapping)
        for namespace in (spec.namespace, spec.map_to):
            if namespace not in table.namespaces:
                raise InputError(
                    f"{spec.name}: mapping {', '.join(path.name for path in spec.mapping)} has no ids of namespace "
                    f"{namespace}; it has {', '.join(table.namespaces)}."
                )
        meanings = table.translate(source.features, spec.namespace, spec.map_to)
        plan = plan_mapping(spec, source.features, meanings, peaks=set(peaks.index))
        counts["mapping"] = {**plan.counts, "table": table.record()}
        about = pd.DataFrame({"source_ids": [[source.features[old] for old in places] for places in plan.columns]})
        source = MappedMatrix(source, plan, summed=spec.scale in SUMMED)
        spec = replace(spec, namespace=spec.map_to)
    if spec.about:
        if not isinstance(source, AnnotatedMatrix):
            raise InputError(
                f"{spec.name}: about names columns of .var: it goes with a .h5ad or .h5mu, without map_to."
            )
        about = source.about(spec.about)
    if spec.peaks is not None:
        about[list(peaks.columns)] = peaks.reindex(source.features).to_numpy()
    return Named(spec, source, counts, about)


def plan_mapping(
    spec: ModalitySpec, features: Sequence[str], meanings: Sequence[Meaning], *, peaks: Set[str]
) -> MappingPlan:
    """Decide what each feature becomes; ``meanings`` are what the table says of them. A peak is not looked up.

    Raises:
        InputError: A feature that keeps its id has the id that another one gets.
    """
    namespace, target = spec.namespace, str(spec.map_to)
    fate = [
        "peak" if f in peaks else "ambiguous" if m.ambiguous else "mapped" if m.ids else "unknown"
        for f, m in zip(features, meanings, strict=True)
    ]
    groups: dict[str, list[int]] = {}
    own: set[str] = set()
    for place, (feature, meaning) in enumerate(zip(features, meanings, strict=True)):
        new = meaning.ids[0] if fate[place] == "mapped" else feature
        if fate[place] != "mapped":
            own.add(new)
        elif namespace == target and canonical(namespace, feature) == new:
            fate[place] = "matched"
        groups.setdefault(new, []).append(place)
    for new in own:
        if len(groups[new]) > 1:
            others = [features[place] for place in groups[new] if features[place] != new]
            raise InputError(
                f"{spec.name}: '{others[0]}' becomes '{new}' in {target}, which is the id of a feature that the "
                f"mapping does not know. Add one of them to drop, or '{new}' to the mapping."
            )
    for places in groups.values():
        places.sort(key=lambda place: fate[place] != "matched")
    merged = [features[place] for places in groups.values() for place in places[1:]]
    counts: dict[str, Any] = {"from": namespace, "to": target}
    counts |= {one: fate.count(one) for one in ("matched", "mapped", "ambiguous", "unknown")}
    counts |= {"merged": len(merged), "withdrawn": sum(m.withdrawn for m in meanings)}
    counts["reused"] = sum(m.reused for m in meanings)
    for one in ("ambiguous", "unknown"):
        counts[f"first_{one}"] = [f for f, how in zip(features, fate, strict=True) if how == one][:NAMED]
    counts["first_merged"] = merged[:NAMED]
    return MappingPlan(
        list(groups), [np.array(places) for places in groups.values()], [fate[p[0]] for p in groups.values()], counts
    )


class MappedMatrix:
    """A matrix after ``plan_mapping``, read in blocks like any other."""

    def __init__(self, source: MatrixSource, plan: MappingPlan, *, summed: bool) -> None:
        """``summed``: features that become one are added; otherwise the first of them stays."""
        self._source, self._plan = source, plan
        self._first = np.array([places[0] for places in plan.columns], dtype=np.int64)
        self._several = {new: places for new, places in enumerate(plan.columns) if summed and len(places) > 1}
        self.keys: list[Key | None] = source.keys
        self.features, self.parts, self.states_limits = plan.features, source.parts, source.states_limits
        self.has: Bool[np.ndarray, "parts features"] = source.has[:, self._first].copy()
        for new, places in self._several.items():
            self.has[:, new] = source.has[:, places].any(axis=1)
        width = len(source.features)
        chosen = [(old, new) for new, p in enumerate(plan.columns) for old in (p if summed else p[:1])]
        old, new_place = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
        self._adding = sparse.csr_matrix(
            (np.ones(len(old), np.float32), (old, new_place)), shape=(width, len(plan.features))
        )

    def entries(self) -> Int[np.ndarray, " rows"] | None:
        """Stored entries of each row, at most: adding features up only makes them fewer."""
        return self._source.entries()

    def blocks(self, start: int, wanted: Bool[np.ndarray, " rows"]) -> Iterator[Block]:
        """The source's blocks with the new features."""
        for block in self._source.blocks(start, wanted):
            yield Block(
                block.start,
                self._values(block.values),
                self._flags(block.below_limit),
                self._flags(block.unlimited),
                block.part,
            )

    def finish(self) -> None:
        """Called after all blocks were read."""
        self._source.finish()

    def _values(self, values: Any) -> Any:
        if sparse.issparse(values):
            return sparse.csr_matrix(values @ self._adding)
        new = values[:, self._first]
        for place, columns in self._several.items():
            part = values[:, columns]
            new[:, place] = np.where(np.isnan(part).all(axis=1), np.nan, np.nansum(part, axis=1))
        return new

    def _flags(self, flags: np.ndarray | None) -> np.ndarray | None:
        """A sum lies below a limit where every part of it does."""
        if flags is None:
            return None
        new = flags[:, self._first]
        for place, columns in self._several.items():
            new[:, place] = flags[:, columns].all(axis=1)
        return new
