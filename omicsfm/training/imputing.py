"""Fit an imputer: each modality's profile from what is known of a visit without it.

A stack, as an outcome's is: ridge regressions of the profile's principal components on the values and on their kernel,
weighed by their held-out predictions. A component's weights are believed to be as far from those of all components
together as these are large: what a hundred people say of one component is mostly noise, and a component that nothing
foretells still gets weights near zero, which is what chooses the rank. The embedding is no member: an encoder that was
pretrained on these very profiles looks better on them than it is on strangers' (with it the stack was worse than ridge
regression on one of two layers).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from scipy.optimize import nnls

from omicsfm.baselines.multi_ridge import MultiRidge, fit_multi_ridge
from omicsfm.data.collate import BatchReader
from omicsfm.model.omics_model import KERNEL
from omicsfm.seeding import derive
from omicsfm.training.factors import leading_factors, standardised
from omicsfm.training.members import columns_of

MOST_VISITS = 2048
"""That a modality's regression is fitted to; more are sampled."""
FEWEST_VISITS = 20
LEAST_SHARE = 0.05
"""Where held-out predictions are worth nothing to all components together: what is nearly constant still ranks."""
BATCH = 64

Rows = Int[np.ndarray, " _"]


def fill_imputer(
    model: Any, reader: BatchReader, *, rows: Rows, groups: Shaped[np.ndarray, " visits"], seed: int
) -> None:
    """Fit the model's imputer on the training visits ``rows``; ``groups``, of all visits, are on one side of each inner
    fold.

    A modality that fewer than ``FEWEST_VISITS`` of them have beside another one is left to the decoder.
    """
    model.eval()
    for modality in model.modalities:
        own = _visits_with_others(reader, modality, rows, seed=derive(seed, "imputing", modality))
        if len(own) < FEWEST_VISITS:
            continue
        profile = standardised(reader.values(modality, own)[0])
        factors, _ = leading_factors(profile.values, rank=model.imputer.rank, seed=derive(seed, "factors", modality))
        known, scores = evidence_without(model, reader, modality, own), profile.values @ factors
        weight, intercept = _fit_stack(
            known, scores, _members(model, modality), groups=groups[own], seed=derive(seed, "folds", modality)
        )
        basis = factors.T * profile.spread
        model.imputer.fill(modality, center=profile.center + intercept @ basis, weight=weight, basis=basis)


@torch.inference_mode()
def evidence_without(model: Any, reader: BatchReader, modality: str, rows: Rows) -> Float[np.ndarray, "rows evidence"]:
    """What a head reads of each visit when this modality is withheld."""
    parts = []
    for start in range(0, len(rows), BATCH):
        batch = reader.read(rows[start : start + BATCH])
        batch = batch.query(modality, batch.measurements[modality].observed)
        parts.append(model.read(model.encode(batch)).double().numpy())
    return np.concatenate(parts)


def _members(model: Any, modality: str) -> list[Int[np.ndarray, " columns"]]:
    """Which columns of the evidence each member of the stack reads."""
    values = tuple(name for name in model.modalities if name != modality)
    return [columns_of(model, parts) for parts in (values, (KERNEL,)) if all(part in model.evidence for part in parts)]


def _fit_stack(
    known: Float[np.ndarray, "rows evidence"],
    scores: Float[np.ndarray, "rows components"],
    members: Sequence[Int[np.ndarray, " _"]],
    *,
    groups: Shaped[np.ndarray, " rows"],
    seed: int,
) -> tuple[Float[np.ndarray, "evidence components"], Float[np.ndarray, " components"]]:
    """Weights and intercepts that give the scores from the evidence: each member's ridge regression, times what its
    held-out predictions are worth to each component (``_shares``).
    """
    spread = known.std(axis=0)
    spread = np.where(spread > 1e-6, spread, np.inf)  # a constant says nothing
    standard = (known - known.mean(axis=0)) / spread
    fits: list[MultiRidge] = [
        fit_multi_ridge(standard[:, columns], scores, groups=groups, seed=seed) for columns in members
    ]
    mean = scores.mean(axis=0)
    shares = _shares(np.stack([fit.held_out - mean for fit in fits]), scores - mean)
    weight = np.zeros((known.shape[1], scores.shape[1]))
    for share, columns, fit in zip(shares, members, fits, strict=True):
        weight[columns] += share * fit.coefficients / spread[columns, None]
    return weight, mean - known.mean(axis=0) @ weight


def _shares(
    held_out: Float[np.ndarray, "members rows components"], scores: Float[np.ndarray, "rows components"]
) -> Float[np.ndarray, "members components"]:
    """Stacked regression with weights that are not negative (Breiman 1996), each component's shrunk to those of all."""
    common, _ = nnls(held_out.reshape(len(held_out), -1).T, scores.ravel())
    common = np.maximum(common, LEAST_SHARE)
    shares = np.empty((len(held_out), scores.shape[1]))
    for component in range(scores.shape[1]):
        said, truth = held_out[:, :, component].T, scores[:, component]
        noise = max(float((truth - said @ common).std()), 1e-12)
        prior = np.diag(noise / common)  # a normal one around ``common``, as rows of the regression
        shares[:, component], _ = nnls(np.vstack([said, prior]), np.concatenate([truth, prior @ common]))
    return shares


def _visits_with_others(reader: BatchReader, modality: str, rows: Rows, *, seed: int) -> Rows:
    """Visits with this modality and another one, at most ``MOST_VISITS``."""
    inputs = {name: matrix for name, matrix in reader.store.inputs.items() if name in reader.features}
    if modality not in inputs:
        return rows[:0]
    others = [matrix.rows for name, matrix in inputs.items() if name != modality]
    own = rows[np.isin(rows, inputs[modality].rows) & np.isin(rows, np.concatenate([rows[:0], *others]))]
    if len(own) <= MOST_VISITS:
        return own
    return np.sort(np.random.default_rng(seed).choice(own, MOST_VISITS, replace=False))
