"""Random forests; the survival forest needs scikit-survival, an optional extra."""

from dataclasses import dataclass

import numpy as np

from omicsfm.baselines.base import OmicsTable, Predicted
from omicsfm.baselines.preprocess import to_matrices
from omicsfm.errors import InputError
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget, Target


@dataclass(frozen=True)
class Forest:
    """A random forest on the concatenated modalities (Breiman 2001; Ishwaran and others 2008 for survival)."""

    trees: int = 500
    smallest_leaf: int = 3
    survival_trees: int = 200
    survival_smallest_leaf: int = 15

    def fit_predict(self, train: OmicsTable, target: Target, test: OmicsTable, *, seed: int) -> Predicted:
        """Predictions of the test rows; for survival the log of the expected number of events.

        Raises:
            InputError: The outcome is survival and scikit-survival is not installed.
        """
        matrices = to_matrices(train, test)
        if isinstance(target, SurvivalTarget):
            return self._survival(matrices.train, target, matrices.test, seed)
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        shared = {"n_estimators": self.trees, "min_samples_leaf": self.smallest_leaf, "random_state": seed}
        if isinstance(target, QuantityTarget):
            regressor = RandomForestRegressor(max_features=1 / 3, **shared).fit(matrices.train, target.value)
            return Predicted(regressor.predict(matrices.test))
        assert isinstance(target, ClassTarget)
        classifier = RandomForestClassifier(max_features="sqrt", **shared).fit(matrices.train, target.class_id)
        probability = np.zeros((len(test), len(target.classes)))
        probability[:, classifier.classes_] = classifier.predict_proba(matrices.test)
        return Predicted(probability)

    def _survival(self, x: np.ndarray, target: SurvivalTarget, x_test: np.ndarray, seed: int) -> Predicted:
        try:
            from sksurv.ensemble import RandomSurvivalForest
        except ImportError as error:
            raise InputError(
                "forest: a survival forest needs scikit-survival (GPL-3), which is not installed. Install it with "
                "`pip install 'omicsfm[survival]'`, or leave forest out of --methods."
            ) from error
        outcome = np.array(
            list(zip(target.event, target.time_days, strict=True)), dtype=[("event", bool), ("time", float)]
        )
        forest = RandomSurvivalForest(
            n_estimators=self.survival_trees,
            min_samples_leaf=self.survival_smallest_leaf,
            max_features="sqrt",
            oob_score=True,
            low_memory=True,  # keeps risks, not a curve a leaf
            random_state=seed,
        ).fit(x, outcome)
        return Predicted(_log(forest.predict(x_test)), _log(forest.oob_prediction_))


def _log(expected_events: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(expected_events, 1e-12))
