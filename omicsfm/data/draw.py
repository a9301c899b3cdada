"""Compiled draws of features. Importing this module imports numba."""

from typing import no_type_check

import numpy as np
from numba import njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio (splitmix64; Steele et al. 2014)


@njit(nogil=True, cache=True)
@no_type_check
def _mix(z):  # type: ignore[no-untyped-def]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True)
@no_type_check
def _below(observed, chance, visit, limit, features, keys):  # type: ignore[no-untyped-def]
    """List observed features whose key is at most ``limit``; returns how many, and how many are observed."""
    listed = count = 0
    for feature in range(len(observed)):
        if observed[feature]:
            count += 1
            number = _mix(visit + np.uint64(feature + 1) * GOLDEN) >> np.uint64(11)
            key = (np.float64(np.int64(number)) + 0.5) * chance[feature]
            if key <= limit:
                features[listed], keys[listed] = feature, key
                listed += 1
    return listed, count


@njit(nogil=True, cache=True)
@no_type_check
def draw_features(observed, weights, seed, visits, chosen, kept):  # type: ignore[no-untyped-def]
    """Fill each row of ``chosen`` with observed features, ascending, and ``kept`` with which places were filled.

    ``observed`` has a row for each visit, or one for all. Where more are observed than fit, those with the smallest
    random number over weight are taken (sequential Poisson sampling; Ohlsson 1998, J. Off. Stat. 14:149): a feature's
    chance is proportional to its weight, up to 1. The number is a hash of (seed, visit, feature), so that a draw
    belongs to the visit, not to its place in a batch.
    """
    width = chosen.shape[1]
    chance = 1.0 / weights
    features, keys = np.empty(observed.shape[1], np.int64), np.empty(observed.shape[1])
    likely = np.inf
    for i in range(len(visits)):
        own = observed[min(i, len(observed) - 1)]
        visit = _mix(np.uint64(seed) * GOLDEN + np.uint64(visits[i]))
        listed, count = _below(own, chance, visit, likely, features, keys)
        if listed < min(width, count):  # rare: the last visit's limit was too tight for this one
            listed, count = _below(own, chance, visit, np.inf, features, keys)
        limit = np.inf
        if count > width:
            limit = np.partition(keys[:listed], width - 1)[width - 1]
            likely = 1.3 * limit
        taken = 0
        for place in range(listed):
            if keys[place] <= limit and taken < width:
                chosen[i, taken], kept[i, taken] = features[place], True
                taken += 1
