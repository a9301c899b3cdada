"""Whether several trainings name the same features.

Nogueira, Sechidis and Brown 2018 (JMLR 18:174, equation 4), which for sets of equal size is Kuncheva's index (2007):
1 where all chose the same, 0 on average where each chose at random, whatever the size of the sets.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata


def top(sizes: Float[np.ndarray, "models features"], number: int) -> Bool[np.ndarray, "models features"]:
    """Which features are among the ``number`` largest of each model; of equal ones the first."""
    order = np.argsort(-sizes, axis=1, kind="stable")[:, :number]
    chosen = np.zeros(sizes.shape, dtype=bool)
    np.put_along_axis(chosen, order, True, axis=1)
    return chosen


def set_stability(chosen: Bool[np.ndarray, "models features"]) -> float | None:
    """Nogueira's stability of the chosen sets; None of one model, or where nothing or everything was chosen."""
    models = len(chosen)
    share = chosen.mean()
    if models < 2 or share in (0.0, 1.0):
        return None
    frequency = chosen.mean(axis=0)
    variance = models / (models - 1) * frequency * (1 - frequency)
    return float(1 - variance.mean() / (share * (1 - share)))


def rank_agreement(sizes: Float[np.ndarray, "models features"]) -> float | None:
    """Mean Spearman correlation of two models' numbers over all features; None of one model or a constant."""
    if len(sizes) < 2:
        return None
    ranks = rankdata(sizes, axis=1)
    if (ranks.std(axis=1) == 0).any():
        return None
    return float(np.corrcoef(ranks)[np.triu_indices(len(ranks), k=1)].mean())
