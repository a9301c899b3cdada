"""ComBat: location and scale of each batch, shrunk towards what all features of the batch have in common.

Johnson, Li and Rabinovic, Biostatistics 2007;8:118: the parametric empirical Bayes, without covariates, which would
have to be known of everybody the model is later asked about. Estimated here, per feature from what was measured: no
library at hand fits on some people and serves others with gaps. neuroCombat 0.2.12, whose adjustment of complete data
this equals (see the tests), gives NaN for a feature with a gap; combatlearn 2.3 refuses gaps, and takes its priors over
the batches of a feature, not over the features of a batch as the paper does.
"""

import numpy as np
from jaxtyping import Float

from omicsfm.data.transforms.base import NO_LABELS, Labels, Values
from omicsfm.data.transforms.batches import BatchMap

PerFeature = Float[np.ndarray, " features"]
CONVERGED = 1e-4  # largest relative change of an estimate, as in the authors' own code
MOST_STEPS = 1000


class ComBat(BatchMap):
    """Takes each batch to the mean and variance of all training rows.

    A batch of one row is shifted and not scaled.
    """

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "ComBat":
        number = self.begin(values, labels)
        members = [values[number == 1 + batch].astype(np.float64) for batch in range(len(self.batches))]
        if len(members) < 2:
            return self
        counts = np.stack([(~np.isnan(own)).sum(axis=0) for own in members])
        means = np.stack([_mean(own) for own in members])
        total = np.maximum(counts.sum(axis=0), 1)
        grand = (counts * np.where(counts > 0, means, 0.0)).sum(axis=0) / total
        residual = sum(np.nansum((own - mean) ** 2, axis=0) for own, mean in zip(members, means, strict=True))
        sd = np.sqrt(residual / total)
        sd = np.where(sd > 1e-6, sd, 1.0)
        for batch, own in enumerate(members):
            shift, variance = shrink((own - grand) / sd)
            factor = 1 / np.sqrt(variance)
            self.factor[1 + batch] = factor
            self.offset[1 + batch] = grand - factor * (grand + sd * shift)
        return self


def shrink(standardised: Float[np.ndarray, "rows features"]) -> tuple[PerFeature, PerFeature]:
    """Shift and variance of one batch by feature, each between its own estimate and the batch's prior.

    Priors are a normal for shifts and an inverse gamma for variances, their parameters by the method of moments. A
    feature without values in the batch takes the prior's means.
    """
    count = (~np.isnan(standardised)).sum(axis=0)
    own_shift, own_variance = _mean(standardised), _variance(standardised)
    known = own_shift[count > 0]
    spread = known.var(ddof=1) if len(known) > 1 else 0.0
    variances = own_variance[count > 1]
    if spread <= 0 or len(variances) < 2 or variances.var(ddof=1) <= 0:  # nothing to learn a prior from
        usable = (count > 1) & (own_variance > 1e-12)
        return np.where(count > 0, own_shift, 0.0), np.where(usable, own_variance, 1.0)
    center, (shape, rate) = known.mean(), _inverse_gamma(variances)
    first_shift = np.where(count > 0, own_shift, center)
    shift, variance = first_shift, np.where(count > 1, own_variance, rate / (shape - 1))
    for _ in range(MOST_STEPS):
        new_shift = (spread * count * first_shift + variance * center) / (spread * count + variance)
        squares = np.nansum((standardised - new_shift) ** 2, axis=0)
        new_variance = (0.5 * squares + rate) / (count / 2 + shape - 1)
        change = max(_change(shift, new_shift), _change(variance, new_variance))
        shift, variance = new_shift, new_variance
        if change < CONVERGED:
            break
    return shift, variance


def _inverse_gamma(variances: PerFeature) -> tuple[float, float]:
    mean, spread = variances.mean(), variances.var(ddof=1)
    return (2 * spread + mean**2) / spread, (mean * spread + mean**3) / spread


def _change(old: PerFeature, new: PerFeature) -> float:
    return float((np.abs(new - old) / np.maximum(np.abs(old), 1e-12)).max(initial=0.0))


def _mean(values: Float[np.ndarray, "rows features"]) -> PerFeature:
    """NaN where nothing was measured, without a warning."""
    count = (~np.isnan(values)).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)


def _variance(values: Float[np.ndarray, "rows features"]) -> PerFeature:
    """With n - 1; NaN under two values."""
    count = (~np.isnan(values)).sum(axis=0)
    squares = np.nansum((values - _mean(values)) ** 2, axis=0)
    return np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan)
