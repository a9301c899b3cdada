"""Which features of a visit become tokens this time."""

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.data.stored_matrix import StoredMatrix

FLOOR = 0.02
"""Added to a feature's share of visits with a value above zero: what is never expressed is asked for now and then."""
COUNTED = 4096  # visits; enough to know a share to 0.008
BLOCK = 256


def choose_features(
    observed: Bool[np.ndarray, "visits_or_one all_features"],
    *,
    max_features: int | None,
    seed: int,
    visits: Int[np.ndarray, " visits"],
    weights: Float[np.ndarray, " all_features"] | None = None,
) -> tuple[Int[np.ndarray, "visits features"], Bool[np.ndarray, "visits features"]]:
    """The observed features of each visit, at most ``max_features`` of them drawn at random, and which are not padding.

    ``observed`` has a row for each visit, or one for all of them. The second axis is as long as the longest visit
    needs and never empty. Sampling is an augmentation of pretraining; with ``max_features=None`` a visit keeps
    everything that was measured. What is drawn of a visit is decided by ``seed`` and its number in ``visits``, not by
    its place: one process and several draw the same.

    Under a cap a feature's chance is proportional to its weight. It never depends on the visit's own value: a draw
    that preferred values above zero would teach that features are expressed more often than they are.
    """
    longest = int(observed.sum(axis=1).max(initial=0))
    width = longest if max_features is None else min(longest, max_features)
    chosen = np.zeros((len(visits), max(width, 1)), dtype=np.int64)
    kept = np.zeros(chosen.shape, dtype=bool)
    if observed.size:
        from omicsfm.data.draw import draw_features

        draw_features(observed, np.ones(observed.shape[1]) if weights is None else weights, seed, visits, chosen, kept)
    return chosen, kept


def expression_weights(
    matrix: StoredMatrix, rows: Int[np.ndarray, " training"], *, seed: int
) -> Float[np.ndarray, " features"]:
    """The share of training visits in which each feature is above zero, plus a floor: how often to draw it.

    Of 20,000 genes some 1,500 are expressed in a cell. Drawn alike, nine tokens of ten would say that some rare gene
    is zero. ``rows`` beyond a few thousand are sampled.
    """
    measured = np.intersect1d(rows, matrix.rows)
    if len(measured) > COUNTED:
        measured = np.sort(np.random.default_rng(seed).choice(measured, COUNTED, replace=False))
    counts = np.zeros(len(matrix.features))
    for start in range(0, len(measured), BLOCK):
        values, _ = matrix.read(measured[start : start + BLOCK])
        counts += (values > 0).sum(axis=0)
    return counts / max(len(measured), 1) + FLOOR
