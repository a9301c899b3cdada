"""What the training visits say of which features go together: the factors of all modalities, by a truncated SVD."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from omicsfm.data.collate import BatchReader
from omicsfm.model.imputer import FURTHEST, ProfileImputer
from omicsfm.seeding import derive

MOST_ROWS = 4096
"""Visits that factors are estimated from at most; more are sampled."""
NOISES = tuple(10.0 ** np.linspace(-1, 1.5, 6))
"""Tried, relative to the mean variance of a feature."""

Values = Float[np.ndarray, "rows features"]


@dataclass(frozen=True)
class Factors:
    """Loadings of standardised features, the strongest factor first; zeros beyond the rank of the data."""

    center: Float[np.ndarray, " features"]
    spread: Float[np.ndarray, " features"]
    loadings: Float[np.ndarray, "features rank"]


def fit_factors(values: Values, *, sizes: list[int], rank: int, seed: int) -> Factors:
    """Factors of ``values`` (NaN where not measured, which counts as the mean); each of the ``sizes`` blocks of
    features, the modalities, has the same total variance whatever its number of features.
    """
    measured = ~np.isnan(values)
    counts = np.maximum(measured.sum(axis=0), 1)
    center = np.where(measured, values, 0.0).sum(axis=0) / counts
    spread = np.sqrt((np.where(measured, values - center, 0.0) ** 2).sum(axis=0) / counts)
    spread = np.where(spread > 1e-6, spread, 1.0)
    known = np.where(measured, np.clip((values - center) / spread, -FURTHEST, FURTHEST), 0.0)
    weight = np.repeat([size**-0.5 for size in sizes], sizes)
    matrix = torch.from_numpy((known * weight).astype(np.float32))
    kept = min(rank, *matrix.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the random sketch (Halko, Martinsson and Tropp 2011)
        _, singular, right = torch.svd_lowrank(matrix, q=min(kept + 16, *matrix.shape), niter=4)
    loadings = np.zeros((values.shape[1], rank))
    scaled = right[:, :kept] * singular[:kept] / max(len(values), 1) ** 0.5
    loadings[:, :kept] = scaled.numpy() / weight[:, None]
    return Factors(center, spread, loadings)


def all_values(reader: BatchReader, rows: Int[np.ndarray, " rows"]) -> Values:
    """Every modality's values side by side in the reader's order, in model scale, NaN where not measured."""
    return np.concatenate([reader.values(name, rows)[0] for name in reader.features], axis=1)


def sampled(rows: Int[np.ndarray, " rows"], *, seed: int) -> Int[np.ndarray, " sampled"]:
    """``rows``, or ``MOST_ROWS`` of them where there are more."""
    if len(rows) <= MOST_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


def fill_imputer(
    imputer: ProfileImputer,
    reader: BatchReader,
    *,
    train: Int[np.ndarray, " train"],
    validation: Int[np.ndarray, " validation"],
    seed: int,
) -> None:
    """Fit the linear part on training visits; the noise is that which best foretells each modality of the validation
    visits from their others.
    """
    train = sampled(train, seed=derive(seed, "factors"))
    sizes = list(imputer.sizes.values())
    factors = fit_factors(all_values(reader, train), sizes=sizes, rank=imputer.rank, seed=derive(seed, "sketch"))
    plain = {name: torch.from_numpy(own.astype(np.float32)) for name, own in vars(factors).items()}
    held_out = torch.from_numpy(all_values(reader, validation[:MOST_ROWS]).astype(np.float32))
    weight = np.repeat([size**-1.0 for size in sizes], sizes)
    unit = float((factors.loadings**2 * weight[:, None]).sum()) / max(imputer.rank, 1)
    errors = []
    for noise in NOISES:
        imputer.set_factors(**plain, noise=noise * unit)
        errors.append(_hidden_error(imputer, held_out))
    best = int(np.flatnonzero(np.array(errors) <= min(errors))[-1])
    imputer.set_factors(**plain, noise=NOISES[best] * unit)


@torch.inference_mode()
def _hidden_error(imputer: ProfileImputer, values: Float[torch.Tensor, "rows features"]) -> float:
    """Mean squared error of each modality from the others, over modalities; of half of the features where there is one
    modality only.
    """
    observed, total, start = ~values.isnan(), 0.0, 0
    scaled = imputer.standardised(values.nan_to_num(), observed)
    for size in imputer.sizes.values():
        hidden = torch.zeros(values.shape[1], dtype=torch.bool)
        hidden[start : start + size] = True
        if len(imputer.sizes) == 1:
            hidden[::2] = False
        start += size
        visible = observed & ~hidden
        asked = observed & hidden & visible.any(dim=1, keepdim=True)
        said = imputer.linear(torch.where(visible, scaled, 0.0), visible)
        total += float(((said - scaled)[asked] ** 2).mean()) if asked.any() else 0.0
    return total
