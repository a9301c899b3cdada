"""Which training visits the transforms are fitted to, where all of them would not fit into memory."""

import numpy as np
import pandas as pd
from jaxtyping import Int

from omicsfm.data.row_labels import at_rows
from omicsfm.data.transforms import Chain, Labels

OF_EACH = 20  # visits of a batch without which its statistics would be noise


def rows_to_fit(
    chain: Chain, labels: Labels, measured: Int[np.ndarray, " measured"], *, most: int, seed: int
) -> Int[np.ndarray, " chosen"]:
    """At most ``most`` of the measured visits, drawn at random; and, beyond them, ``OF_EACH`` of every batch that a
    step of the chain harmonises, and every sample that bridges two batches. ``labels`` are those of all visits.
    """
    if len(measured) <= most:
        return measured
    order = np.random.default_rng(seed).permutation(measured)
    chosen = [order[:most]]
    for step in chain.steps:
        column = getattr(step, "column", None)
        if column is None or column not in labels:
            continue
        own = at_rows(labels, order)
        chosen.append(order[pd.Series(own[column]).groupby(own[column]).cumcount().to_numpy() < OF_EACH])
        if sample := [own[name] for name in getattr(step, "sample", ()) if name in own]:
            batches = pd.Series(own[column]).groupby([pd.Series(part) for part in sample]).transform("nunique")
            named = np.logical_and.reduce([part != "" for part in sample])
            chosen.append(order[named & (batches.to_numpy() > 1)])
    return np.unique(np.concatenate(chosen))
