"""Where the features of one cohort stand among those that a model knows, and how sure that is.

A feature has its place where the id is the same (after writing both in the form of their namespace), or, failing that,
where one feature of the model bears what the id names: an accession of a UniProt group, or what a table of identifiers
translates it to. An id that could be two things, or that would fit two features of the model, is placed nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from omicsfm.namespaces import canonical, members

Status = Literal["matched", "mapped", "ambiguous", "repeated", "unknown"]
STATUSES: tuple[Status, ...] = ("matched", "mapped", "ambiguous", "repeated", "unknown")
"""What became of a feature: its id is known; another id of the same thing is; it could be several things; another
feature of the cohort already stands at its place; nobody knows it."""


@dataclass(frozen=True)
class Meaning:
    """What an id of one namespace is in another."""

    ids: tuple[str, ...] = ()
    """Ids of the other namespace, in canonical form; empty where there is none."""
    ambiguous: bool = False
    """They are alternatives between which nothing decides."""
    withdrawn: bool = False
    """The authority took the id back, with or without naming a successor."""
    reused: bool = False
    """The id is approved for what it is taken for, and once was, or also is, a name of something else."""


@runtime_checkable
class Translator(Protocol):
    """Anything that knows ids of several namespaces, such as a table of identifiers."""

    def translate(self, ids: Sequence[str], source: str, target: str) -> list[Meaning]:
        """What each id of namespace ``source`` is in namespace ``target``."""
        ...


@dataclass(frozen=True)
class Placement:
    """For each feature of a cohort its position among the model's, -1 where it has none, and why."""

    position: Int[np.ndarray, " source"]
    status: tuple[Status, ...]
    withdrawn: int = 0
    """How many ids the authority took back."""


def place(
    ids: Sequence[str], namespace: str, known: Sequence[str], known_namespace: str, translator: Translator | None = None
) -> Placement:
    """Place the features ``ids`` among those ``known`` to a model.

    Where several find the same place, the one whose id matched takes it, else the first in the cohort's order; the
    others are ``repeated``. Ids of different namespaces have places only through a translator.
    """
    same = namespace == known_namespace
    if same and tuple(ids) == tuple(known):  # a store and the model it trains, at every fold
        return Placement(np.arange(len(known)), tuple(STATUSES[0] for _ in known))
    exact = _positions([known_id if same else None for known_id in known])
    written = _positions([canonical(known_namespace, known_id) if same else None for known_id in known])
    named = _named(known, known_namespace, translator)
    meanings = _meanings(ids, namespace, known_namespace, translator)
    found: list[tuple[set[int], Status]] = []
    for feature, meaning in zip(ids, meanings, strict=True):
        own = exact.get(feature) or written.get(canonical(namespace, feature), set())
        if len(own) == 1:
            found.append((own, "matched"))
        elif meaning.ambiguous or len(own) > 1:
            found.append((set(), "ambiguous"))
        else:
            places = set().union(*(named.get(other, set()) for other in meaning.ids))
            found.append((places, "mapped") if len(places) == 1 else (set(), "ambiguous" if places else "unknown"))
    withdrawn = sum(meaning.withdrawn for meaning in meanings)
    return Placement(*_one_each(found), withdrawn)


def _one_each(found: Sequence[tuple[set[int], Status]]) -> tuple[Int[np.ndarray, " source"], tuple[Status, ...]]:
    """At most one feature at a place."""
    position = np.full(len(found), -1, dtype=np.int64)
    status = [how for _, how in found]
    taken: set[int] = set()
    for turn in ("matched", "mapped"):
        for number, (places, how) in enumerate(found):
            if how != turn:
                continue
            (chosen,) = places
            if chosen in taken:
                status[number] = "repeated"
            else:
                position[number] = chosen
                taken.add(chosen)
    return position, tuple(status)


def _positions(ids: Sequence[str | None]) -> dict[str, set[int]]:
    positions: dict[str, set[int]] = {}
    for place, feature in enumerate(ids):
        if feature is not None:
            positions.setdefault(feature, set()).add(place)
    return positions


def _named(known: Sequence[str], namespace: str, translator: Translator | None) -> dict[str, set[int]]:
    """Positions of the model's features by everything that their ids surely name."""
    named: dict[str, set[int]] = {}
    for position, (feature, meaning) in enumerate(
        zip(known, _meanings(known, namespace, namespace, translator), strict=True)
    ):
        for other in {*members(namespace, feature), *(() if meaning.ambiguous else meaning.ids)}:
            named.setdefault(other, set()).add(position)
    return named


def _meanings(ids: Sequence[str], source: str, target: str, translator: Translator | None) -> list[Meaning]:
    if "local" in (source, target):
        return [Meaning()] * len(ids)
    if translator is not None:
        return translator.translate(ids, source, target)
    return [Meaning(members(source, feature)) if source == target else Meaning() for feature in ids]
