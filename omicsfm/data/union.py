"""Several stores as one training set, without copying: a row of the union is a row of one of them.

A union offers of a store what training reads, so that nothing behind it knows how many cohorts there are.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.data.union_matrix import UnionMatrix
from omicsfm.errors import InputError

THEIRS = ("participant_id", "family_id", "site", "plate")  # what means something only with whose it is


@dataclass(frozen=True)
class StoreUnion(OmicsStore):
    """Several opened stores, their rows one after the other. It has no outcomes: those are asked of its members.

    A participant's id begins with whose ids it is one of: equal ids of two stores are two people, unless both stores
    say that their ``people`` are the same.
    """

    stores: tuple[OmicsStore, ...] = ()
    weights: tuple[float, ...] | None = None
    """Each store's share of the visits that training draws; by their numbers of visits where None."""

    @cached_property
    def inputs(self) -> Mapping[str, StoredMatrix]:
        """What a model may read of a visit: every modality, and the covariates of the stores that have some."""
        return _joined(self.stores, [store.inputs for store in self.stores])

    @classmethod
    def of(cls, stores: Sequence[OmicsStore], weights: Any = None) -> "StoreUnion":
        """Open stores as one.

        Raises:
            InputError: A store stands there twice, the weights do not fit, or a modality is in two namespaces.
        """
        _refuse_twice(stores)
        visits = pd.concat([_visits(store) for store in stores], ignore_index=True)
        joined = hashlib.sha256("\n".join(store.fingerprint for store in stores).encode()).hexdigest()
        return cls(
            path=Path(" + ".join(str(store.path) for store in stores)),  # for messages
            manifest={"name": " + ".join(store.name for store in stores), "fingerprint": joined},
            visits=visits,
            outcomes=pd.DataFrame(index=visits.index),
            modalities=_joined(stores, [store.modalities for store in stores]),
            stores=tuple(stores),
            weights=_shares(stores, weights),
        )


def together_with(store: OmicsStore, others: Sequence[OmicsStore], weights: Any = None) -> OmicsStore:
    """The union of a store and others, or the store where there are none.

    Raises:
        InputError: They do not fit together, or the weights do not fit them.
    """
    if others:
        return StoreUnion.of([store, *others], weights)
    _shares([store], weights)
    return store


def open_stores(paths: Any, weights: Any = None) -> OmicsStore:
    """The store at a path, or the union of those at a list of several, as a config names them.

    Raises:
        InputError: A store cannot be opened or they do not fit together; weights of one store.
    """
    if isinstance(paths, str):
        paths = [paths]
    stores = [OmicsStore.open(str(path)) for path in paths]
    if not stores:
        raise InputError("data.store: no store is named. Name one, or several as data.store=[A,B].")
    return together_with(stores[0], stores[1:], weights)


def rows_by_store(
    store: OmicsStore, rows: Int[np.ndarray, " rows"]
) -> list[tuple[OmicsStore, Int[np.ndarray, " own"]]]:
    """Each store, and which of its own rows are among ``rows``."""
    found, start = [], 0
    for own in store.stores:
        among = (rows >= start) & (rows < start + len(own))
        found.append((own, rows[among] - start))
        start += len(own)
    return found


def training_rows(
    store: OmicsStore,
    own: Int[np.ndarray, " own"],
    tested: Iterable[str],
    readable: Callable[[pd.DataFrame, list[str]], Bool[np.ndarray, " visits"]],
) -> Int[np.ndarray, " rows"]:
    """Rows to train on where ``own`` are those of the first store and ``tested`` people of it are tested: of stores of
    the same people the visits that are ``readable`` while these are tested, of any other store all.
    """
    first, *others = store.stores
    if not others:
        return own
    same = np.repeat([other.people == first.people for other in store.stores], [len(s) for s in store.stores])
    allowed = np.ones(len(store), dtype=bool)
    allowed[same] = readable(store.visits[same], [_of(first.people, person) for person in tested])
    allowed[: len(first)] = False
    return np.concatenate([own, np.flatnonzero(allowed)])


def alike(stores: Sequence[OmicsStore]) -> list[str]:
    """What should be said of stores that share ids without saying whose they are."""
    said = []
    for first, second in combinations(stores, 2):
        ids = [set(own.visits["participant_id"].astype(str)) for own in (first, second)]
        both = len(ids[0] & ids[1])
        if first.people != second.people and both > min(map(len, ids)) / 2:
            said.append(
                f"{first.name} and {second.name} have {both:,} participant ids in common, which are taken for "
                "different people. If they are the same, give both COHORT.yaml files the same name under people: and "
                "prepare again; else people who are tested in one are trained on in the other."
            )
    return said


def _joined(stores: Sequence[OmicsStore], parts: Sequence[Mapping[str, StoredMatrix]]) -> dict[str, StoredMatrix]:
    starts = np.cumsum([0, *(len(store) for store in stores)])[:-1]
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: UnionMatrix([part.get(name) for part in parts], starts) for name in names}


def _visits(store: OmicsStore) -> pd.DataFrame:
    """What splits and batches read of each visit."""
    own = store.visits[[name for name in ("visit", "time_days", "age") if name in store.visits]].copy()
    for name in THEIRS:
        if name in store.visits:
            known = store.visits[name]
            own[name] = _of(store.people, known.astype(str)).where(known.notna())
    return own


def _of(people: str, ids: Any) -> Any:
    return f"{people}/" + ids


def _refuse_twice(stores: Sequence[OmicsStore]) -> None:
    seen: dict[str, OmicsStore] = {}
    for store in stores:
        if store.fingerprint in seen:
            raise InputError(
                f"data.store: {store.path} holds the same data as {seen[store.fingerprint].path}. Name it once; "
                "data.weights says how often its visits are drawn."
            )
        seen[store.fingerprint] = store


def _shares(stores: Sequence[OmicsStore], weights: Any) -> tuple[float, ...] | None:
    """The stores' weights as numbers; ``weights`` may be anything that a config says."""
    if weights is None:
        return None
    if not isinstance(weights, list | tuple) or len(weights) != len(stores):
        raise InputError(
            f"data.weights: expected one weight for each of {len(stores)} stores, found {weights!r}. Give as many, "
            f"such as data.weights=[{','.join('1' for _ in stores)}], or leave it out."
        )
    for store, weight in zip(stores, weights, strict=True):
        if not isinstance(weight, int | float) or not (math.isfinite(weight) and weight > 0):
            raise InputError(
                f"data.weights: {store.name} has weight {weight!r}; a weight is a number above 0. To leave a store "
                "out, take it from data.store."
            )
    return tuple(float(weight) for weight in weights)
