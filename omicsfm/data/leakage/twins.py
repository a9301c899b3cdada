"""The same person under two ids: rows that are equal, and profiles that are each other's only likeness.

A profile is every feature on the model's scale, projected at random to a few hundred numbers (Johnson and
Lindenstrauss 1984) and whitened, which takes away what patients of a kind have in common and leaves what is a person's
own: in a public cohort of two draws a person, the other draw is then the closest of 250 profiles for 94 in 100. Two
visits are twins where each is the other's nearest of another participant, and by far. Neighbours are looked for among
rows with the same signs of random projections (Charikar 2002), so that the work is linear in the visits.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from omicsfm.data.leakage.leak import Leak, some
from omicsfm.data.leakage.sample import CELLS_AT_ONCE, Rows, blocks_of, columns_of, dense
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.data.transforms import default_transform

MOST_VISITS = 20_000
"""Visits of a modality that are compared; of more, a random part."""
FITTED_ON = 2000
FEWEST_FEATURES, FEWEST_VISITS = 30, 30
MOST_FEATURES, LOOKED_AT = 2048, 500
"""Features of a profile, and those of them whose values must differ for equal rows to mean anything."""
DIMENSIONS = 256
BUCKET, TABLES = 1024, 8
ROWS_AT_ONCE = 256
NEAR, APART = 0.5, 3.0
"""Cosine of twins, and how much nearer than the next participant they are, in standard deviations between people."""
LIMIT = 4.0  # robust z: one wild value must not be the whole likeness

Profiles = Float[np.ndarray, "visits dimensions"]


@dataclass(frozen=True)
class _Sketch:
    """Profiles of the visits that are compared, and groups of equal rows."""

    profiles: Float[np.ndarray, "visits dimensions"]
    rows: Int[np.ndarray, " visits"]
    equal: list[list[int]]
    """Store rows of visits whose values are all the same."""


def find_twins(store: OmicsStore, *, seed: int = 0) -> Iterator[Leak]:
    """For each modality: rows that are equal in several participants, then participants that measure as one."""
    for name, matrix in store.modalities.items():
        if len(matrix.features) < FEWEST_FEATURES or len(matrix.rows) < 2:
            continue
        sketch = _sketch(matrix, seed)
        person = store.participant_number
        shared = [group for group in sketch.equal if len(np.unique(person[group])) > 1]
        if shared:
            yield _equal_rows(store, name, shared)
        copies = np.concatenate([np.array(group[1:], dtype=np.int64) for group in sketch.equal] or [np.empty(0, int)])
        single = ~np.isin(sketch.rows, copies)
        rows, profiles = sketch.rows[single], sketch.profiles[single]
        if len(np.unique(person[rows])) >= FEWEST_VISITS:
            pairs = twin_pairs(whitened(profiles), person[rows], seed=seed)
            if len(pairs):
                yield _near_rows(store, name, rows[pairs], len(rows))


def whitened(profiles: Profiles) -> Profiles:
    """Unit profiles whose strongest common directions are brought down to the mean of all."""
    mean = profiles.mean(axis=0)
    variance, directions = np.linalg.eigh(profiles.T @ profiles / len(profiles) - np.outer(mean, mean))
    variance = np.maximum(variance, 0)
    turn = (directions / np.sqrt(variance + max(float(variance.mean()), 1e-12))).astype(profiles.dtype)
    turned = profiles @ turn
    turned -= mean @ turn
    turned /= np.linalg.norm(turned, axis=1, keepdims=True) + 1e-9
    return turned


def twin_pairs(profiles: Profiles, person: Int[np.ndarray, " visits"], *, seed: int) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of places of different people that are each other's nearest, near, and far from the next person."""
    generator = np.random.default_rng(seed)
    number = len(profiles)
    bits = max(0, int(np.ceil(np.log2(number / BUCKET))))
    best, second, nearest = np.full(number, -1.0), np.full(number, -1.0), np.full(number, -1, dtype=np.int64)
    for _ in range(TABLES if bits else 1):
        signs = profiles @ generator.standard_normal((profiles.shape[1], bits)) > 0
        bucket = signs @ (1 << np.arange(bits)) if bits else np.zeros(number, dtype=np.int64)
        order = np.argsort(bucket, kind="stable")
        for same in np.split(order, np.flatnonzero(np.diff(bucket[order])) + 1):
            for start in range(0, len(same), 2 * BUCKET):
                among = same[start : start + 2 * BUCKET]
                for at in range(0, len(among), ROWS_AT_ONCE):
                    _merge(profiles, person, among[at : at + ROWS_AT_ONCE], among, best, second, nearest)
    first, other = generator.integers(number, size=(2, 20_000))
    apart = person[first] != person[other]
    spread = float((profiles[first] * profiles[other]).sum(axis=1)[apart].std()) or 1.0
    clear = (nearest >= 0) & (best >= NEAR) & (best - second > APART * spread)
    places = np.flatnonzero(clear)
    mutual = person[nearest[nearest[places]]] == person[places]
    pairs = np.stack([places, nearest[places]], axis=1)[mutual & clear[nearest[places]]]
    _, kept = np.unique(np.sort(person[pairs], axis=1), axis=0, return_index=True)
    return pairs[np.sort(kept)]


def _merge(
    profiles: Profiles,
    person: Int[np.ndarray, " visits"],
    rows: Int[np.ndarray, " some"],
    among: Int[np.ndarray, " bucket"],
    best: Float[np.ndarray, " visits"],
    second: Float[np.ndarray, " visits"],
    nearest: Int[np.ndarray, " visits"],
) -> None:
    """Bring the nearest of some rows, and their likeness to the next person, up to date with those in one bucket."""
    who = person[among]
    like = profiles[rows] @ profiles[among].T
    like[person[rows][:, None] == who] = -1.0
    top = like.argmax(axis=1)
    value = like[np.arange(len(rows)), top]
    like[who[top][:, None] == who] = -1.0
    runner_up = like.max(axis=1)
    known = nearest[rows]
    same = (known >= 0) & (person[known] == who[top])
    beaten = np.where(same, -1.0, np.minimum(best[rows], value))
    second[rows] = np.maximum.reduce([second[rows], runner_up, beaten])
    better = value > best[rows]
    nearest[rows] = np.where(better, among[top], known)
    best[rows] = np.maximum(best[rows], value)


def _sketch(matrix: StoredMatrix, seed: int) -> _Sketch:
    generator = np.random.default_rng(seed)
    rows = np.asarray(matrix.rows)
    if len(rows) > MOST_VISITS:
        rows = np.sort(generator.choice(rows, MOST_VISITS, replace=False))
    fit_on = columns_of(matrix, np.sort(generator.choice(rows, min(len(rows), _fitted(matrix)), replace=False)))
    features = _often_found(fit_on, generator)
    chain = default_transform(matrix.features.scale)
    chain.fit(fit_on[:, features], {})
    project = None
    if len(features) > DIMENSIONS:
        project = generator.standard_normal((len(features), DIMENSIONS), dtype=np.float32) / np.float32(
            np.sqrt(DIMENSIONS)
        )
    profiles, digests = [], []
    for values in blocks_of(matrix, rows):
        chosen = dense(values[:, features])
        digests += _digests(values, chosen)
        scaled = np.clip(np.nan_to_num(chain(chosen, {})), -LIMIT, LIMIT).astype(np.float32)
        profiles.append(scaled if project is None else scaled @ project)
    groups: dict[bytes, list[int]] = {}
    for row, digest in zip(rows.tolist(), digests, strict=True):
        if digest:
            groups.setdefault(digest, []).append(row)
    return _Sketch(np.concatenate(profiles), rows, [group for group in groups.values() if len(group) > 1])


def _fitted(matrix: StoredMatrix) -> int:
    """Visits that the transform is fitted on: fewer where they are wide."""
    return min(FITTED_ON, max(FEWEST_VISITS, 5 * CELLS_AT_ONCE // len(matrix.features)))


def _often_found(
    values: Float[np.ndarray, "visits features"], generator: np.random.Generator
) -> Int[np.ndarray, " chosen"]:
    """The features that make a profile: of many, those that are measured and not zero in most visits."""
    found = (np.nan_to_num(values) != 0).sum(axis=0)
    order = generator.permutation(len(found))
    return np.sort(order[np.argsort(-found[order], kind="stable")][:MOST_FEATURES])


def _digests(values: Rows, chosen: Float[np.ndarray, "visits chosen"]) -> list[bytes]:
    """Of each row's values; empty where too few of them differ, or are not zero, for equality to mean anything."""
    if isinstance(values, np.ndarray):
        ordered = np.sort(chosen[:, :LOOKED_AT], axis=1)
        telling = (np.diff(ordered, axis=1) > 0).sum(axis=1) >= FEWEST_FEATURES // 2
        whole = [row.tobytes() for row in values]
    else:
        telling, bounds = np.diff(values.indptr) >= FEWEST_FEATURES, values.indptr.tolist()
        whole = [values.indices[a:b].tobytes() + values.data[a:b].tobytes() for a, b in pairwise(bounds)]
    return [
        hashlib.blake2b(own, digest_size=16).digest() if tells else b""
        for own, tells in zip(whole, telling, strict=True)
    ]


def _equal_rows(store: OmicsStore, name: str, groups: list[list[int]]) -> Leak:
    visits = sum(len(group) for group in groups)
    largest = max(groups, key=len)
    people = store.participant_number
    of_two = sum(len(np.unique(people[group])) == 2 for group in groups)
    return Leak(
        False,
        f"{name}: {visits:,} visits share all their values with a visit of another participant, in {len(groups):,} "
        f"groups of up to {len(largest):,} ({_visits(store, largest)}). "
        + (
            "Two ids of one person, or one sample under two names? Give both one participant_id, or leave one out. "
            if of_two
            else ""
        )
        + "If assays that failed were filled in upstream, leave those rows out: they were not measured, and what they "
        "were filled with can tell the outcome.",
    )


def _near_rows(store: OmicsStore, name: str, pairs: Int[np.ndarray, "pairs 2"], compared: int) -> Leak:
    people = store.visits["participant_id"].astype(str)
    listed = [f"{people.iloc[a]} and {people.iloc[b]}" for a, b in pairs.tolist()]
    known = [c for c in ("sex", "age") if c in store.visits]
    agree = ""
    if known:
        first, other = (store.visits[known].iloc[pairs[:, side]].astype(str).to_numpy() for side in (0, 1))
        agree = f"; {' and '.join(known)} agree in {int((first == other).all(axis=1).sum()):,} of them"
    share = 2 * len(pairs) / compared
    return Leak(
        False,
        f"{name}: {len(pairs):,} pairs of participants ({share:.1%} of {compared:,} visits) measure as if they were "
        f"one person: {some(listed)}{agree}. The same person, or twins, under two ids? Give them one "
        "participant_id, or one family_id, so that no split tests whom it trained on.",
    )


def _visits(store: OmicsStore, rows: list[int]) -> str:
    table = store.visits.iloc[rows[:3]]
    listed = [f"{p} visit {v}" for p, v in zip(table["participant_id"], table["visit"], strict=True)]
    return ", ".join(listed) + (", ..." if len(rows) > 3 else "")
