"""One linear model a modality, averaged: nothing is imputed for a visit that lacks an assay."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from omicsfm.baselines.base import OmicsTable, Predicted, held_out_of
from omicsfm.baselines.penalised import LinearFit, fit_penalised, to_prediction
from omicsfm.baselines.preprocess import to_matrices
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, SurvivalTarget, Target

FEWEST_PARTICIPANTS = 10  # a modality with fewer teaches less than it adds in noise


@dataclass(frozen=True)
class LateFusion:
    """Mean of the modalities' linear predictors: logits, quantities or log hazards.

    Each model is fitted on the training visits that have its modality, and speaks for the test visits that have it.
    A visit with none gets the prediction of a model without features.
    """

    def fit_predict(self, train: OmicsTable, target: Target, test: OmicsTable, *, seed: int) -> Predicted:
        """Predictions of the test rows."""
        prior = fit_penalised(np.zeros((len(train), 0)), target, groups=train.groups, seed=seed, penalty=1.0)
        outputs = len(prior.intercept)
        on_test, on_train = [], []
        for modality, block in train.blocks.items():
            rows = np.flatnonzero(block.measured)
            if not _enough(train.groups[rows], target[rows]):
                continue
            own_train, own_test = train.only([modality])[rows], test.only([modality])
            matrices = to_matrices(own_train, own_test)
            fit = fit_penalised(matrices.train, target[rows], groups=own_train.groups, seed=seed)
            on_test.append(_spoken(fit, matrices.test, test.blocks[modality].measured))
            held_out = np.full((len(train), outputs), np.nan)
            held_out[rows] = fit.held_out
            on_train.append(held_out)
        test_mean = _mean(on_test, np.tile(prior.intercept, (len(test), 1)))
        train_mean = _mean(on_train, np.tile(prior.intercept, (len(train), 1)))
        return Predicted(to_prediction(target.kind, test_mean), held_out_of(target, train_mean))


def _enough(groups: np.ndarray, target: Target) -> bool:
    if len(np.unique(groups)) < FEWEST_PARTICIPANTS:
        return False
    if isinstance(target, ClassTarget):
        return len(np.unique(target.class_id)) > 1
    return not isinstance(target, SurvivalTarget | CompetingTarget) or bool(target.event.any())


def _spoken(fit: LinearFit, features: np.ndarray, measured: np.ndarray) -> Float[np.ndarray, "rows outputs"]:
    return np.where(measured[:, None], fit.linear_predictor(features), np.nan)


def _mean(parts: list[np.ndarray], otherwise: np.ndarray) -> Float[np.ndarray, "rows outputs"]:
    """Mean over those that speak, row by row."""
    total, voices = np.zeros_like(otherwise), np.zeros(otherwise.shape)
    for part in parts:
        total += np.nan_to_num(part, nan=0.0)
        voices += ~np.isnan(part)
    return np.where(voices > 0, total / np.maximum(voices, 1), otherwise)
