"""Features that equal or determine an outcome, and assays that were run on one class only."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from omicsfm.data.leakage.association import CLOSE_CLASS, CLOSE_QUANTITY, Association, settles
from omicsfm.data.leakage.leak import Leak, some
from omicsfm.data.leakage.targets import Target
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix

FIRST_LOOK, SECOND_LOOK = 400, 5000
"""Visits in which every feature is looked at, and in which those are that look close there."""
CELLS_AT_ONCE = 500_000
SURPRISE = 1e-3
"""Expected number of features of a modality that chance alone would make as close."""


def telling_features(store: OmicsStore, targets: list[Target], *, seed: int = 0) -> Iterator[Leak]:
    """For each modality and target the features that follow it more closely than biology does.

    Looks at a sample of visits, the classes in equal parts, so that time and memory do not grow with the cohort.
    """
    for name, matrix in store.modalities.items():
        for target in targets:
            rows = target.among(matrix.rows, store.participant_number)
            yield from _told_by_values(name, matrix, target, rows, seed)
            yield from _told_by_presence(name, matrix, target, store, seed)


def _told_by_values(
    name: str, matrix: StoredMatrix, target: Target, rows: Int[np.ndarray, " rows"], seed: int
) -> Iterator[Leak]:
    first = _sample(target, rows, FIRST_LOOK, seed)
    values = _columns(matrix, first, np.arange(len(matrix.features)))
    partly = np.flatnonzero(np.isnan(values).any(axis=0))
    missing = {n: target.followed_by(np.isnan(values[:, n]).astype(np.float64), first) for n in partly.tolist()}
    yield from _only_in_some(name, matrix, target, missing)
    candidates = np.flatnonzero(_is_close(values, partly, target, first))
    if not len(candidates):
        return
    second = _sample(target, rows, SECOND_LOOK, seed)
    values = _columns(matrix, second, candidates)
    certain: list[str] = []
    close: list[str] = []
    strongest = None
    for place, feature in enumerate(candidates.tolist()):
        found = target.followed_by(values[:, place], second)
        if not found.close or found.chance * len(matrix.features) > SURPRISE:
            continue
        told = settles(values[:, place], target.value[second], is_class=target.is_class)
        (certain if told else close).append(matrix.features.ids[feature])
        strongest = found if strongest is None or found.strength > strongest.strength else strongest
    if certain:
        yield Leak(
            True,
            f"{name}: feature {some(certain)} gives {target.described} away: its values stand one to one for it, or in "
            "the same order, in all visits that have both. Add it to drop.",
        )
    if close and strongest is not None:
        yield Leak(
            False,
            f"{name}: feature {some(close)} alone tells {target.described} almost without fault ({strongest}). Was it "
            "measured before the outcome was known, and not used to define it? If not, add it to drop.",
        )


def _is_close(
    values: Float[np.ndarray, "rows features"],
    partly: Int[np.ndarray, " partly"],
    target: Target,
    rows: Int[np.ndarray, " rows"],
) -> Bool[np.ndarray, " features"]:
    """Which features follow the target closely; those without a gap all at once, by the same ranks."""
    close = np.zeros(values.shape[1], dtype=bool)
    whole = np.setdiff1d(np.arange(values.shape[1]), partly)
    step = max(1, CELLS_AT_ONCE // max(len(rows), 1))
    for features in np.split(whole, range(step, len(whole), step)) if len(rows) else ():
        rank = rankdata(values[:, features], axis=0) - (len(rows) + 1) / 2
        if target.is_class:
            for of_class in target.classes(rows):
                pairs = of_class.sum() * (~of_class).sum()
                close[features] |= np.abs(rank[of_class].sum(axis=0)) >= (CLOSE_CLASS - 0.5) * pairs
        else:
            own = rankdata(target.value[rows]) - (len(rows) + 1) / 2
            spread = np.sqrt((rank**2).sum(axis=0) * (own**2).sum())
            close[features] = (np.abs(own @ rank) >= CLOSE_QUANTITY * spread) & (spread > 0)
    for feature in partly.tolist():
        close[feature] = target.followed_by(values[:, feature], rows).close
    return close


def _only_in_some(name: str, matrix: StoredMatrix, target: Target, missing: dict[int, Association]) -> Iterator[Leak]:
    found = [n for n, own in missing.items() if own.close and own.chance * len(missing) < SURPRISE]
    if found:
        yield Leak(
            False,
            f"{name}: whether feature {some([matrix.features.ids[n] for n in found])} was measured tells "
            f"{target.described} ({missing[found[0]]}). A measurement made, or set aside, because of the outcome gives "
            "it away: drop it, or fill in why it is missing.",
        )


def _told_by_presence(name: str, matrix: StoredMatrix, target: Target, store: OmicsStore, seed: int) -> Iterator[Leak]:
    """A modality that was run on the visits of one class only."""
    rows = _sample(target, target.among(np.arange(len(store)), store.participant_number), SECOND_LOOK, seed)
    found = target.followed_by(np.isin(rows, matrix.rows).astype(np.float64), rows)
    if found.close and found.chance < SURPRISE:
        yield Leak(
            False,
            f"{name}: whether it was measured tells {target.described} ({found}): a model need not look at a value. "
            "Compare visits that all have it (require in COHORT.yaml).",
        )


def _sample(target: Target, rows: Int[np.ndarray, " rows"], most: int, seed: int) -> Int[np.ndarray, " sample"]:
    """At most ``most`` rows, of a class target the classes in equal parts as far as they go."""
    if len(rows) <= most:
        return rows
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(rows)
    if target.is_class:
        codes = target.value[shuffled]
        turn = np.zeros(len(shuffled))
        for code in np.unique(codes):
            own = codes == code
            turn[own] = np.arange(own.sum())
        shuffled = shuffled[np.argsort(turn, kind="stable")]  # the first of each class, then the second, ...
    return np.sort(shuffled[:most])


def _columns(
    matrix: StoredMatrix, rows: Int[np.ndarray, " rows"], features: Int[np.ndarray, " chosen"]
) -> Float[np.ndarray, "rows chosen"]:
    step = max(1, CELLS_AT_ONCE // max(len(matrix.features), 1))
    blocks = [matrix.read(rows[at : at + step])[0][:, features] for at in range(0, len(rows), step)]
    return np.concatenate(blocks) if blocks else np.zeros((0, len(features)), dtype=np.float32)
