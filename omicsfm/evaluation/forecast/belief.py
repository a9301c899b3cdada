"""How far a stack is believed beyond the member that it begins at."""

import numpy as np
from jaxtyping import Float, Shaped


def belief(
    correction: Float[np.ndarray, " rows"], rest: Float[np.ndarray, " rows"], groups: Shaped[np.ndarray, " rows"]
) -> float:
    """The share of a correction, from 0 to 1, that is applied, where ``rest`` is what there was to correct.

    The slope b of the rest on the correction through the origin, shrunk as James and Stein's positive-part estimator:
    b * max(0, 1 - (se / b)**2), with the standard error from whole groups. A correction that helps by no more than
    chance is left out.
    """
    _, group = np.unique(groups, return_inverse=True)
    products, squares = np.bincount(group, correction * rest), np.bincount(group, correction**2)
    whole = squares.sum()
    if whole <= 0 or products.sum() <= 0:
        return 0.0
    slope = products.sum() / whole
    error = np.sqrt(((products - slope * squares) ** 2).sum()) / whole
    return float(np.clip(slope * (1.0 - (error / slope) ** 2), 0.0, 1.0))
