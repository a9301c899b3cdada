"""Classification, regression and calibration metrics equal scikit-learn's and scipy's, ties and weights included."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from omicsfm.metrics import ClassTarget, QuantityTarget, calibration, classification, regression

ROWS = 240


def two_classes(seed=0, decimals=2):
    generator = np.random.default_rng(seed)
    truth = (generator.uniform(size=ROWS) < 0.3).astype(np.int64)
    risk = np.round(np.clip(generator.beta(2, 4, ROWS) + 0.15 * truth, 0.01, 0.99), decimals)  # rounding makes ties
    return ClassTarget(truth, ("no", "yes")), np.stack([1 - risk, risk], axis=1), generator


def four_classes(seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 4, ROWS)
    raw = generator.gamma(1.0, size=(ROWS, 4)) + 0.8 * np.eye(4)[truth]
    return ClassTarget(truth, tuple("abcd")), raw / raw.sum(axis=1, keepdims=True)


def test_two_class_metrics_equal_sklearn():
    target, p, _ = two_classes()
    y = target.class_id
    assert classification.auroc(target, p) == pytest.approx(sk.roc_auc_score(y, p[:, 1]), abs=1e-12)
    assert classification.auprc(target, p) == pytest.approx(sk.average_precision_score(y, p[:, 1]), abs=1e-12)
    assert classification.log_loss(target, p) == pytest.approx(sk.log_loss(y, p), abs=1e-12)
    assert classification.brier(target, p) == pytest.approx(sk.brier_score_loss(y, p[:, 1]), abs=1e-12)
    expected = sk.balanced_accuracy_score(y, p.argmax(axis=1))
    assert classification.balanced_accuracy(target, p) == pytest.approx(expected, abs=1e-12)


def test_multiclass_metrics_equal_sklearn():
    target, p = four_classes()
    y = target.class_id
    assert classification.auroc(target, p) == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), abs=1e-12)
    assert classification.log_loss(target, p) == pytest.approx(sk.log_loss(y, p), abs=1e-12)
    assert classification.brier(target, p) == pytest.approx(((p - np.eye(4)[y]) ** 2).sum(axis=1).mean(), abs=1e-12)
    expected = sk.balanced_accuracy_score(y, p.argmax(axis=1))
    assert classification.balanced_accuracy(target, p) == pytest.approx(expected, abs=1e-12)


def test_a_class_that_does_not_occur_is_left_out_of_the_macro_mean():
    target, p = four_classes()
    kept = target.class_id != 3
    expected = np.mean([sk.roc_auc_score(target.class_id[kept] == k, p[kept, k]) for k in range(3)])
    assert classification.auroc(target[kept], p[kept]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["auroc", "auprc", "log_loss", "brier", "balanced_accuracy"])
def test_class_weights_mean_repeated_rows(name):
    target, p, generator = two_classes()
    weights = generator.integers(0, 4, size=(ROWS, 5))
    found = getattr(classification, name)(target, p, weights)
    for column in range(5):
        rows = np.repeat(np.arange(ROWS), weights[:, column])
        assert found[column] == pytest.approx(getattr(classification, name)(target[rows], p[rows]), abs=1e-12)


def test_calibration_slope_and_intercepts_equal_an_unpenalised_logistic_regression():
    target, p, generator = two_classes()
    x = np.log(p[:, 1] / p[:, 0])
    weights = generator.integers(0, 3, size=(ROWS, 2)).astype(float)
    slopes = calibration.calibration_slope(target, p, weights)
    for column in range(2):
        fit = LogisticRegression(C=np.inf, tol=1e-12).fit(x[:, None], target.class_id, sample_weight=weights[:, column])
        assert slopes[column] == pytest.approx(fit.coef_[0, 0], abs=1e-4)


def test_calibration_in_the_large_makes_the_mean_risk_right():
    target, p, _ = two_classes()
    shift = calibration.calibration_intercept(target, p)
    logits = np.log(p[:, 1] / p[:, 0]) + shift
    assert (1 / (1 + np.exp(-logits))).mean() == pytest.approx(target.class_id.mean(), abs=1e-9)


def test_true_risks_have_slope_one_and_intercept_zero():
    generator = np.random.default_rng(1)
    risk = generator.beta(1, 2, 200_000)
    target = ClassTarget((generator.uniform(size=len(risk)) < risk).astype(np.int64), ("no", "yes"))
    p = np.stack([1 - risk, risk], axis=1)
    assert calibration.calibration_slope(target, p) == pytest.approx(1.0, abs=0.02)
    assert calibration.calibration_intercept(target, p) == pytest.approx(0.0, abs=0.02)
    curve = calibration.reliability_curve(target, p)
    np.testing.assert_allclose(curve.observed, curve.predicted, atol=0.02)
    assert curve.rows.sum() == len(risk)


def test_separated_classes_have_no_calibration_slope():
    risk = np.array([0.1, 0.2, 0.8, 0.9])
    target = ClassTarget(np.array([0, 0, 1, 1]), ("no", "yes"))
    assert np.isnan(calibration.calibration_slope(target, np.stack([1 - risk, risk], axis=1)))


def test_one_class_only_has_no_auroc():
    target = ClassTarget(np.zeros(4, dtype=np.int64), ("no", "yes"))
    assert np.isnan(classification.auroc(target, np.full((4, 2), 0.5)))


def test_quantity_metrics_equal_sklearn_and_scipy():
    generator = np.random.default_rng(2)
    truth = np.round(generator.normal(50, 5, ROWS))
    prediction = np.round(truth + generator.normal(0, 6, ROWS))
    target = QuantityTarget(truth)
    assert regression.pearson(target, prediction) == pytest.approx(stats.pearsonr(truth, prediction)[0], abs=1e-12)
    assert regression.spearman(target, prediction) == pytest.approx(stats.spearmanr(truth, prediction)[0], abs=1e-12)
    assert regression.r2(target, prediction) == pytest.approx(sk.r2_score(truth, prediction), abs=1e-12)
    assert regression.rmse(target, prediction) == pytest.approx(
        sk.root_mean_squared_error(truth, prediction), abs=1e-12
    )


@pytest.mark.parametrize("name", ["pearson", "spearman", "r2", "rmse"])
def test_quantity_weights_mean_repeated_rows(name):
    generator = np.random.default_rng(3)
    truth = np.round(generator.normal(0, 3, ROWS))
    prediction = np.round(truth + generator.normal(0, 3, ROWS))
    weights = generator.integers(0, 4, size=(ROWS, 5))
    found = getattr(regression, name)(QuantityTarget(truth), prediction, weights)
    for column in range(5):
        rows = np.repeat(np.arange(ROWS), weights[:, column])
        expected = getattr(regression, name)(QuantityTarget(truth[rows]), prediction[rows])
        assert found[column] == pytest.approx(expected, abs=1e-12)


def test_a_constant_prediction_has_no_correlation():
    assert np.isnan(regression.pearson(QuantityTarget(np.arange(5.0)), np.full(5, 0.3)))
