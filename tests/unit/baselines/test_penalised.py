"""The penalised solver against outside packages at the same penalty, and what its search must not do."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from omicsfm.baselines.penalised import fit_penalised
from omicsfm.errors import InputError
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget

ROWS = 90


def people(rows=ROWS):
    return np.array([f"P{number // 2:03d}" for number in range(rows)])


def draw(features, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(1.0, generator.uniform(0.2, 5.0, features), size=(ROWS, features))
    signal = (x - x.mean(0)) @ generator.normal(size=features) / np.sqrt(features)
    return x, signal, generator


@pytest.mark.parametrize("features", [12, 200])
def test_two_classes_equal_sklearn(features):
    x, signal, generator = draw(features)
    truth = (signal + generator.normal(size=ROWS) > 0).astype(np.int64)
    ours = fit_penalised(x, ClassTarget(truth, ("no", "yes")), groups=people(), seed=0, penalty=7.0, standardise=False)
    theirs = LogisticRegression(C=1 / 7.0, tol=1e-10, max_iter=10_000).fit(x, truth)
    np.testing.assert_allclose(ours.coefficients[:, 0], theirs.coef_[0], atol=1e-4)
    np.testing.assert_allclose(ours.predict(x), theirs.predict_proba(x), atol=1e-4)


@pytest.mark.parametrize("features", [12, 200])
def test_four_classes_equal_sklearn(features):
    x, signal, generator = draw(features)
    truth = np.digitize(signal + generator.normal(size=ROWS), np.quantile(signal, [0.25, 0.5, 0.75]))
    target = ClassTarget(truth.astype(np.int64), ("a", "b", "c", "d"))
    ours = fit_penalised(x, target, groups=people(), seed=0, penalty=5.0, standardise=False)
    theirs = LogisticRegression(C=1 / 5.0, tol=1e-10, max_iter=10_000).fit(x, truth)
    np.testing.assert_allclose(ours.coefficients.T, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.predict(x), theirs.predict_proba(x), atol=1e-4)


@pytest.mark.parametrize("features", [12, 200])
def test_quantities_equal_sklearn(features):
    x, signal, generator = draw(features)
    truth = 1000.0 + 30.0 * (signal + generator.normal(size=ROWS))
    ours = fit_penalised(x, QuantityTarget(truth), groups=people(), seed=0, penalty=20.0, standardise=False)
    theirs = Ridge(alpha=20.0).fit(x, truth)
    np.testing.assert_allclose(ours.coefficients[:, 0], theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-4)


@pytest.mark.parametrize("features", [6, 120])
def test_survival_with_tied_times_equals_sksurv(features):
    sksurv = pytest.importorskip("sksurv.linear_model")
    x, signal, generator = draw(features)
    time = np.ceil(20 * generator.exponential(np.exp(-signal / signal.std())))
    event = generator.uniform(size=ROWS) < 0.6
    ours = fit_penalised(x, SurvivalTarget(time, event), groups=people(), seed=0, penalty=8.0, standardise=False)
    outcome = np.array(list(zip(event, time, strict=True)), dtype=[("event", bool), ("time", float)])
    theirs = sksurv.CoxPHSurvivalAnalysis(alpha=8.0, ties="breslow", tol=1e-12, n_iter=200).fit(x, outcome)
    np.testing.assert_allclose(ours.coefficients[:, 0], theirs.coef_, atol=1e-4)


def test_standardising_inside_equals_standardising_before():
    x, signal, generator = draw(30)
    target = QuantityTarget(signal + generator.normal(size=ROWS))
    inside = fit_penalised(x, target, groups=people(), seed=3)
    before = fit_penalised((x - x.mean(0)) / x.std(0), target, groups=people(), seed=3)
    assert inside.penalty == before.penalty
    np.testing.assert_allclose(inside.predict(x), before.predict((x - x.mean(0)) / x.std(0)), atol=1e-8)
    np.testing.assert_allclose(inside.held_out, before.held_out, atol=1e-6)


def test_a_constant_feature_gets_no_coefficient():
    x, signal, _ = draw(5)
    x[:, 2] = 3.0
    assert fit_penalised(x, QuantityTarget(signal), groups=people(), seed=0).coefficients[2, 0] == 0.0


def test_noise_gets_the_strongest_penalties_and_signal_a_weak_one():
    x, signal, generator = draw(20)
    noise = fit_penalised(x, QuantityTarget(generator.normal(size=ROWS)), groups=people(), seed=0)
    strong = fit_penalised(x, QuantityTarget(signal), groups=people(), seed=0)
    assert noise.penalty > 100 * strong.penalty


def test_the_held_out_predictor_of_pure_noise_is_worthless():
    """The fitted predictor of 200 noise features separates its own rows; the held-out one must not."""
    x, _, generator = draw(200)
    truth = generator.permutation(np.arange(ROWS) % 2)
    target = ClassTarget(truth, ("no", "yes"))
    fit = fit_penalised(x, target, groups=np.arange(ROWS), seed=0)
    fitted = fit_penalised(x, target, groups=np.arange(ROWS), seed=0, penalty=1.0).linear_predictor(x)[:, 0]
    assert fitted[truth == 1].min() > fitted[truth == 0].max()
    auroc = (fit.held_out[truth == 1] > fit.held_out[truth == 0].T).mean()
    assert 0.25 < auroc < 0.7


def test_a_class_that_some_inner_folds_lack_is_still_fitted():
    x, signal, _ = draw(10)
    truth = (signal > 0).astype(np.int64)
    truth[:2] = 2  # one participant only
    fit = fit_penalised(x, ClassTarget(truth, ("a", "b", "rare")), groups=people(), seed=0)
    probability = fit.predict(x)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert np.isfinite(fit.penalty)


def test_a_missing_value_is_refused_by_place():
    x, signal, _ = draw(5)
    x[4, 3] = np.nan
    with pytest.raises(InputError, match="row 4, feature 3"):
        fit_penalised(x, QuantityTarget(signal), groups=people(), seed=0)


def test_one_participant_is_refused():
    x, signal, _ = draw(5)
    with pytest.raises(InputError, match="one participant"):
        fit_penalised(x, QuantityTarget(signal), groups=np.array(["P"] * ROWS), seed=0)


@pytest.mark.parametrize("kind", ["class", "quantity", "survival"])
def test_no_features_predict_what_everybody_has(kind):
    """A stratum without the assay, say."""
    _, signal, generator = draw(12)
    target = {
        "class": ClassTarget((signal > 0).astype(np.int64), ("no", "yes")),
        "quantity": QuantityTarget(signal),
        "survival": SurvivalTarget(generator.exponential(100.0, ROWS), signal > 0),
    }[kind]
    fit = fit_penalised(np.zeros((ROWS, 0)), target, groups=people(), seed=0)
    predicted = fit.linear_predictor(np.zeros((3, 0)))
    expected = {"class": np.log((signal > 0).mean() / (signal <= 0).mean()), "quantity": signal.mean(), "survival": 0.0}
    np.testing.assert_allclose(predicted, expected[kind], atol=1e-4)
