"""Features that equal or determine an outcome, and assays that were run on one class only."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.data.leakage.association import CLOSE_CLASS, Association, ranks, settles
from omicsfm.data.leakage.leak import Leak, some
from omicsfm.data.leakage.sample import CELLS_AT_ONCE, columns_of, drawn
from omicsfm.data.leakage.targets import Target
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix

FIRST_LOOK, SECOND_LOOK = 400, 5000
"""Visits in which every feature is looked at, and in which those are that look close there."""
FIRST_CELLS, FEWEST = 40_000_000, 60
"""Cells of the first look, and its visits where a modality has so many features that these are too few."""
MOST_CERTAIN = 20
"""Features that are looked at in every visit before they are called certain."""
LOOSELY = 0.9
"""|Spearman| from which a feature is worth a second look."""
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
    features, ids = len(matrix.features), matrix.features.ids
    first = drawn(target, rows, min(FIRST_LOOK, max(FEWEST, FIRST_CELLS // features)), seed)
    values = columns_of(matrix, first)
    yield from _only_in_some(name, matrix, target, values, first)
    candidates = np.flatnonzero(_may_follow(values, target, first))
    if not len(candidates):
        return
    second = drawn(target, rows, SECOND_LOOK, seed)
    values = columns_of(matrix, second, candidates)
    certain: list[int] = []
    close: dict[int, Association] = {}
    for place, feature in enumerate(candidates.tolist()):
        found = target.followed_by(values[:, place], second)
        if found.close and found.chance * features <= SURPRISE:
            close[feature] = found
            if settles(values[:, place], target.value[second], is_class=target.is_class):
                certain.append(feature)
    certain = _in_every_visit(matrix, target, rows, certain[:MOST_CERTAIN]) if len(second) < len(rows) else certain
    if certain:
        yield Leak(
            True,
            f"{name}: feature {some([ids[feature] for feature in certain])} gives {target.described} away: its values "
            "stand one to one for it, or in the same order, in all visits that have both. Add it to drop.",
        )
    if uncertain := [feature for feature in close if feature not in certain]:
        strongest = max((close[feature] for feature in uncertain), key=lambda found: found.strength)
        yield Leak(
            False,
            f"{name}: feature {some([ids[feature] for feature in uncertain])} alone tells {target.described} almost "
            f"without fault ({strongest}). Was it measured before the outcome was known, and not used to define it? If "
            "not, add it to drop.",
        )


def _in_every_visit(
    matrix: StoredMatrix, target: Target, rows: Int[np.ndarray, " rows"], features: list[int]
) -> list[int]:
    """Those of a few features that fix the target in all visits that have both."""
    if not features:
        return []
    values = columns_of(matrix, rows, np.array(features))
    told = [settles(own, target.value[rows], is_class=target.is_class) for own in values.T]
    return [feature for feature, is_told in zip(features, told, strict=True) if is_told]


def _may_follow(
    values: Float[np.ndarray, "rows features"], target: Target, rows: Int[np.ndarray, " rows"]
) -> Bool[np.ndarray, " features"]:
    """Which features may follow the target closely: all that do, and some more, looked at all at once."""
    close = np.zeros(values.shape[1], dtype=bool)
    step = max(1, CELLS_AT_ONCE // max(len(rows), 1))
    for first in range(0, values.shape[1], step):
        rank = ranks(values[:, first : first + step])
        close[first : first + step] = _separates(rank, target, rows) if target.is_class else _orders(rank, target, rows)
    return close


def _separates(
    rank: Float[np.ndarray, "rows features"], target: Target, rows: Int[np.ndarray, " rows"]
) -> Bool[np.ndarray, " features"]:
    """AUROC for some class, by the sum of its ranks (Mann-Whitney)."""
    observed, found = ~np.isnan(rank), np.zeros(rank.shape[1], dtype=bool)
    for of_class in target.classes(rows):
        inside = observed[of_class].sum(axis=0)
        pairs = inside * (observed.sum(axis=0) - inside)
        wins = np.nansum(rank[of_class], axis=0) - inside * (inside + 1) / 2
        found |= (pairs > 0) & (np.abs(wins - pairs / 2) >= (CLOSE_CLASS - 0.5) * pairs)
    return found


def _orders(
    rank: Float[np.ndarray, "rows features"], target: Target, rows: Int[np.ndarray, " rows"]
) -> Bool[np.ndarray, " features"]:
    """|Spearman|; the target keeps its ranks among all rows, which is near enough for a first look."""
    observed, rank = ~np.isnan(rank), np.nan_to_num(rank)
    number = np.maximum(observed.sum(axis=0), 1)
    own = np.where(observed, ranks(target.value[rows])[:, None], 0.0)
    x, y = (np.where(observed, r - r.sum(axis=0) / number, 0.0) for r in (rank, own))
    spread = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.asarray((spread > 0) & (np.abs((x * y).sum(axis=0)) >= LOOSELY * spread))


def _only_in_some(
    name: str,
    matrix: StoredMatrix,
    target: Target,
    values: Float[np.ndarray, "rows features"],
    rows: Int[np.ndarray, " rows"],
) -> Iterator[Leak]:
    partly = np.flatnonzero(np.isnan(values).any(axis=0))
    missing = np.isnan(values[:, partly]).astype(np.float32)
    looked_at = {
        place: target.followed_by(missing[:, place], rows)
        for place in np.flatnonzero(_may_follow(missing, target, rows)).tolist()
    }
    found = [place for place, own in looked_at.items() if own.close and own.chance * len(partly) < SURPRISE]
    if found:
        yield Leak(
            False,
            f"{name}: whether feature {some([matrix.features.ids[n] for n in partly[found]])} was measured tells "
            f"{target.described} ({looked_at[found[0]]}). A measurement made, or set aside, because of the outcome "
            "gives it away: drop it, or fill in why it is missing.",
        )


def _told_by_presence(name: str, matrix: StoredMatrix, target: Target, store: OmicsStore, seed: int) -> Iterator[Leak]:
    """A modality that was run on the visits of one class only."""
    rows = drawn(target, target.among(np.arange(len(store)), store.participant_number), SECOND_LOOK, seed)
    found = target.followed_by(np.isin(rows, matrix.rows).astype(np.float64), rows)
    if found.close and found.chance < SURPRISE:
        yield Leak(
            False,
            f"{name}: whether it was measured tells {target.described} ({found}): a model need not look at a value. "
            "Compare visits that all have it (require in COHORT.yaml).",
        )
