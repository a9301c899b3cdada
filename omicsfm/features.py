"""FeatureSpace: the ordered features of one modality, and how those of two cohorts line up."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int

from omicsfm.errors import InputError
from omicsfm.namespaces import NAMESPACES, likely_namespaces
from omicsfm.placement import STATUSES, Placement, Status, Translator, place

SCALES_JOINED_BY = "|"
COVARIATE = "covariate"  # namespace of what is known without an assay: any part of it is worth reading
MIN_SHARED = 0.5  # under this share of what a training cohort measured a prediction would rest on guesses


@dataclass(frozen=True)
class Alignment:
    """Where each feature of a source stands in a target; -1 where the target does not know it."""

    position: Int[np.ndarray, " source"]
    target_size: int
    unknown: tuple[str, ...]
    """Source features the target does not have."""
    shares: Mapping[str, float]
    """Features with a place as a share of each panel of the target."""
    status: tuple[Status, ...] = ()
    """What became of each source feature."""
    withdrawn: int = 0
    """How many source ids their authority took back, as far as a translator says so."""

    @property
    def matched(self) -> int:
        """Number of source features that have a place, by their own id or by another of the same thing."""
        return int((self.position >= 0).sum())

    @property
    def counts(self) -> dict[str, int]:
        """How many source features met each fate."""
        return {fate: self.status.count(fate) for fate in STATUSES}

    @property
    def nearest(self) -> str:
        """Name of the panel that is covered best."""
        return max(self.shares, key=lambda name: self.shares[name])

    @property
    def share(self) -> float:
        """Placed features as a share of the target's, or where the target joins the panels of several cohorts of the
        panel that is covered best.
        """
        return self.shares[self.nearest]


@dataclass(frozen=True)
class FeatureSpace:
    """Ordered, unique feature ids of one modality in one namespace."""

    modality: str
    ids: tuple[str, ...]
    namespace: str = "local"
    scale: str = "identity"
    """The scale of the values; scales joined by ``|`` where cohorts differ."""
    platform: str = ""
    cohort: str = field(default="", compare=False)
    """Whose ids these are: ids of namespace local mean nothing beyond it."""
    panels: Mapping[str, Int[np.ndarray, " panel"]] = field(default_factory=dict, compare=False)
    """Positions of the features that each cohort of a training has; empty where one cohort has them all."""
    translator: Translator | None = field(default=None, compare=False, repr=False)
    """What the user named to translate these ids into other namespaces."""

    def __post_init__(self) -> None:
        if self.namespace not in NAMESPACES:
            raise InputError(
                f"{self.modality}: namespace '{self.namespace}' is not known; known: {', '.join(sorted(NAMESPACES))}. "
                "Ids that mean nothing outside this cohort are namespace: local."
            )
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            twice = [i for i in self.ids if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
            raise InputError(f"{self.modality}: {len(twice)} feature ids appear twice (first: '{twice[0]}').")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each id."""
        return {feature: position for position, feature in enumerate(self.ids)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over modality, namespace and the ordered ids."""
        text = "\n".join((self.modality, self.namespace, *self.ids))
        return hashlib.sha256(text.encode()).hexdigest()

    def align(self, source: "FeatureSpace") -> Alignment:
        """Where the features of ``source`` stand in this space; the translator of ``source`` bridges namespaces.

        Raises:
            InputError: The namespaces differ and nothing bridges them, the scales differ, or ``source`` has under half
                of this space's features, and of every panel's where it joins several (covariates apart).
        """
        likely = [n for n in likely_namespaces(source.ids) if n != source.namespace]
        way_out = f"Prepare the store with ids in namespace {self.namespace}" + (
            f"; its ids look like {' or '.join(likely)}." if likely else "."
        )
        bridge = " Or name a table of identifiers that links the two: --mapping FILE."
        if self.namespace == "local":
            bridge = ""
            way_out = "Ids in namespace local mean nothing outside their cohort: train on ids in a public namespace."
        if source.namespace != self.namespace and (source.translator is None or not bridge):
            raise InputError(
                f"{self.modality}: the checkpoint's features are in namespace {self.namespace}, the store's in "
                f"{source.namespace}; equal ids would not mean the same thing. {way_out}{bridge}"
            )
        placed = self.place(source)
        unknown = tuple(f for f, p in zip(source.ids, placed.position, strict=True) if p < 0)
        alignment = Alignment(
            placed.position, len(self), unknown, self._shares(placed.position), placed.status, placed.withdrawn
        )
        if alignment.share < MIN_SHARED and self.namespace != COVARIATE:
            example = unknown[0] if unknown else "none"
            best = f"at best {alignment.share:.0%} of what {alignment.nearest} measured, " if self.panels else ""
            raise InputError(
                f"{self.modality}: the checkpoint knows {len(self):,} features (namespace {self.namespace}, first "
                f"'{self.ids[0]}'); the store shares {alignment.matched:,} of them (first unknown '{example}'), {best}"
                f"under half. {way_out}"
            )
        if not set(source.scale.split(SCALES_JOINED_BY)) <= set(self.scale.split(SCALES_JOINED_BY)):
            known = " or ".join(self.scale.split(SCALES_JOINED_BY))
            raise InputError(
                f"{self.modality}: the checkpoint was trained on values in scale {known}; the store's are in "
                f"{source.scale}. Prepare the store from values in scale {known}."
            )
        return alignment

    def place(self, source: "FeatureSpace") -> Placement:
        """Where each feature of ``source`` stands in this space, and why, without a judgement on how many do."""
        ids = source.ids
        if self.namespace == "local":
            ids = tuple(own if (own := of_cohort(i, source.cohort)) in self.index else i for i in ids)
        return place(ids, source.namespace, self.ids, self.namespace, source.translator)

    def with_panel(self, source: "FeatureSpace") -> "FeatureSpace":
        """The same space, of which ``source`` is the only panel."""
        position = self.places(source)
        return replace(self, panels={source.cohort: np.unique(position[position >= 0])})

    def places(self, source: "FeatureSpace") -> Int[np.ndarray, " source"]:
        """Position of each feature of ``source`` in this space, -1 where it is not there."""
        return self.place(source).position

    def _shares(self, position: Int[np.ndarray, " source"]) -> dict[str, float]:
        panels = self.panels or {"": np.arange(len(self))}
        return {name: float(np.isin(panel, position).mean()) if len(panel) else 0.0 for name, panel in panels.items()}


def of_cohort(feature: str, cohort: str) -> str:
    """A local id where those of several cohorts stand side by side."""
    return f"{cohort}/{feature}"
