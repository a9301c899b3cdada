"""Everything that is looked for, and the refusal of what is certain."""

from collections.abc import Mapping

import pandas as pd

from omicsfm.data.leakage.features import telling_features
from omicsfm.data.leakage.identifiers import telling_identifiers
from omicsfm.data.leakage.leak import Leak
from omicsfm.data.leakage.targets import targets_of
from omicsfm.data.leakage.twins import find_twins
from omicsfm.data.store import OmicsStore


def look_for_leaks(
    store: OmicsStore,
    *,
    sources: Mapping[str, pd.Series] | None = None,
    keys: Mapping[str, pd.Series] | None = None,
    seed: int = 0,
) -> list[Leak]:
    """Every leak that is found, the certain ones first.

    ``sources`` are clinical columns that outcomes come from and ``keys`` ids by which matrices were joined, described
    and by visit, where the tables are at hand. Memory does not grow with the visits beyond their table.
    """
    targets = targets_of(store, sources)
    found = [
        *telling_features(store, targets, seed=seed),
        *telling_identifiers(store, targets, keys, seed=seed),
        *find_twins(store, seed=seed),
    ]
    return sorted(found, key=lambda leak: not leak.certain)
