"""All omics side by side in one ridge-penalised linear model: the bar in this field."""

from dataclasses import dataclass

from omicsfm.baselines.base import OmicsTable, Predicted, held_out_of
from omicsfm.baselines.penalised import fit_penalised
from omicsfm.baselines.preprocess import to_matrices
from omicsfm.metrics.targets import Target


@dataclass(frozen=True)
class Linear:
    """Logistic, multinomial, ridge or ridge-Cox regression on the concatenated modalities."""

    def fit_predict(self, train: OmicsTable, target: Target, test: OmicsTable, *, seed: int) -> Predicted:
        """Predictions of the test rows."""
        matrices = to_matrices(train, test)
        fit = fit_penalised(matrices.train, target, groups=train.groups, seed=seed)
        return Predicted(fit.predict(matrices.test), held_out_of(target, fit.held_out))
