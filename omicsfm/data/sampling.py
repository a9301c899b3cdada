"""Which features of a visit become tokens this time."""

import numpy as np
from jaxtyping import Bool, Int


def choose_features(
    observed: Bool[np.ndarray, "visits all_features"],
    *,
    max_features: int | None,
    seed: int,
    visits: Int[np.ndarray, " visits"],
) -> tuple[Int[np.ndarray, "visits features"], Bool[np.ndarray, "visits features"]]:
    """The observed features of each visit, at most ``max_features`` of them drawn at random, and which are not padding.

    The second axis is as long as the longest visit needs and never empty. Sampling is an augmentation of
    pretraining; with ``max_features=None`` a visit keeps everything that was measured. What is drawn of a visit is
    decided by ``seed`` and its number in ``visits``, not by its place: one process and several draw the same.
    """
    counts = observed.sum(axis=1)
    width = max(int(counts.max(initial=0)), 1)
    if max_features is None or width <= max_features:
        keys = np.where(observed, 0.0, 1.0)
    else:
        width = max_features
        draws = [np.random.default_rng((seed, v)).random(observed.shape[1], np.float32) for v in visits.tolist()]
        keys = np.where(observed, np.stack(draws), 2.0)
    if observed.all() and width == observed.shape[1]:
        chosen = np.broadcast_to(np.arange(width), observed.shape).copy()
    elif observed.shape[1] == 0:
        chosen = np.zeros((len(observed), 1), dtype=np.int64)
        return chosen, np.zeros((len(observed), 1), dtype=bool)
    else:
        chosen = np.argsort(keys, axis=1, kind="stable")[:, :width]
    return chosen, np.take_along_axis(observed, chosen, axis=1)
