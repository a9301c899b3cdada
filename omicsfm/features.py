"""FeatureSpace: the ordered features of one modality, and how those of two cohorts line up."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int

from omicsfm.errors import InputError

NAMESPACES: dict[str, re.Pattern[str] | None] = {
    "ensembl_gene": re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?"),
    "hgnc_symbol": re.compile(r"[A-Z][A-Z0-9orf-]{0,19}"),
    "entrez": re.compile(r"\d{1,9}"),
    "uniprot": re.compile(r"([OPQ]\d[A-Z0-9]{3}\d|[A-NR-Z]\d([A-Z][A-Z0-9]{2}\d){1,2})(-\d+)?(;.*)?"),
    "protein_symbol": re.compile(r"[A-Z][A-Z0-9orf_-]{0,24}"),
    "olink_id": re.compile(r"OID\d{5}"),
    "somascan_seqid": re.compile(r"(seq\.)?\d+[-.]\d+([-._]\d+)?"),
    "hmdb": re.compile(r"HMDB\d{5,7}"),
    "chebi": re.compile(r"CHEBI:\d+"),
    "inchikey": re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]"),
    "kegg": re.compile(r"C\d{5}"),
    "refmet": None,
    "metabolite_name": None,
    "local": None,
}
"""Known kinds of feature identifier with the form their ids have; None where names are free text.
``local`` ids mean nothing outside their cohort."""

SCALES_JOINED_BY = "|"
MIN_SHARED = 0.5  # under this share of what a training cohort measured a prediction would rest on guesses


@dataclass(frozen=True)
class Alignment:
    """Where each feature of a source stands in a target; -1 where the target does not know it."""

    position: Int[np.ndarray, " source"]
    target_size: int
    unknown: tuple[str, ...]
    """Source features the target does not have."""
    shares: Mapping[str, float]
    """Matched features as a share of each panel of the target."""

    @property
    def matched(self) -> int:
        """Number of features both have."""
        return int((self.position >= 0).sum())

    @property
    def nearest(self) -> str:
        """Name of the panel that is covered best."""
        return max(self.shares, key=lambda name: self.shares[name])

    @property
    def share(self) -> float:
        """Matched features as a share of the target's, or where the target joins the panels of several cohorts of the
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
        """Where the features of ``source`` stand in this space.

        Raises:
            InputError: The namespaces or scales differ, or ``source`` has under half of this space's features, and of
                every panel's where it joins several.
        """
        likely = [n for n in likely_namespaces(source.ids) if n != source.namespace]
        way_out = f"Prepare the store with ids in namespace {self.namespace}" + (
            f"; its ids look like {' or '.join(likely)}." if likely else "."
        )
        if self.namespace == "local":
            way_out = "Ids in namespace local mean nothing outside their cohort: train on ids in a public namespace."
        if source.namespace != self.namespace:
            raise InputError(
                f"{self.modality}: the checkpoint's features are in namespace {self.namespace}, the store's in "
                f"{source.namespace}; equal ids would not mean the same thing. {way_out}"
            )
        position = self.places(source)
        unknown = tuple(f for f, p in zip(source.ids, position, strict=True) if p < 0)
        alignment = Alignment(position, len(self), unknown, self._shares(position))
        if alignment.share < MIN_SHARED:
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

    def places(self, source: "FeatureSpace") -> Int[np.ndarray, " source"]:
        """Position of each feature of ``source`` in this space, -1 where it is not there."""
        ids = source.ids
        if self.namespace == "local":
            ids = tuple(own if (own := of_cohort(i, source.cohort)) in self.index else i for i in ids)
        return np.array([self.index.get(feature, -1) for feature in ids], dtype=np.int64)

    def _shares(self, position: Int[np.ndarray, " source"]) -> dict[str, float]:
        panels = self.panels or {"": np.arange(len(self))}
        return {name: float(np.isin(panel, position).mean()) if len(panel) else 0.0 for name, panel in panels.items()}


def of_cohort(feature: str, cohort: str) -> str:
    """A local id where those of several cohorts stand side by side."""
    return f"{cohort}/{feature}"


def likely_namespaces(ids: Sequence[str]) -> list[str]:
    """Namespaces whose form at least nine of ten ids have, the most specific first: for messages only."""
    order = sorted((n for n, form in NAMESPACES.items() if form), key=lambda n: n in ("hgnc_symbol", "protein_symbol"))
    sample = list(ids[:200])
    return [n for n in order if sample and np.mean([bool(NAMESPACES[n].fullmatch(i)) for i in sample]) >= 0.9]  # type: ignore[union-attr]
