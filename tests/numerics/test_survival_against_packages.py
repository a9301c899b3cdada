"""Survival metrics equal scikit-survival's and lifelines', tied times included."""

import numpy as np
import pytest

from omicsfm.baselines.descent import minimise
from omicsfm.baselines.partial_likelihood import cox_loss
from omicsfm.metrics import SurvivalCurves, SurvivalTarget, survival
from omicsfm.metrics.kaplan_meier import breslow_baseline, censoring_survival, kaplan_meier

sksurv_metrics = pytest.importorskip("sksurv.metrics", reason="scikit-survival is a test extra (GPL)")


def follow_up(rows=300, seed=0, ties=True):
    generator = np.random.default_rng(seed)
    log_hazard = np.round(generator.normal(size=rows), 1)  # rounding ties predictions
    time = generator.exponential(400 * np.exp(-0.7 * log_hazard))
    censoring = generator.uniform(100, 1500, rows)
    observed = np.minimum(time, censoring)
    observed = np.ceil(observed / 30) * 30 if ties else observed
    return SurvivalTarget(observed, time <= censoring), log_hazard, generator


def outcome(target):
    return np.array(list(zip(target.event, target.time_days, strict=True)), dtype=[("event", bool), ("time", float)])


def grid(target):
    return np.linspace(*np.quantile(target.time_days, [0.1, 0.8]), 12)


@pytest.mark.parametrize("seed", range(5))
def test_harrell_equals_sksurv_and_lifelines(seed):
    lifelines = pytest.importorskip("lifelines.utils")
    target, log_hazard, _ = follow_up(seed=seed)
    ours = survival.harrell_c(target, log_hazard)
    theirs = sksurv_metrics.concordance_index_censored(target.event, target.time_days, log_hazard)[0]
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert ours == pytest.approx(lifelines.concordance_index(target.time_days, -log_hazard, target.event), abs=1e-9)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_uno_equals_sksurv_at_the_stated_tau(seed, ties):
    target, log_hazard, _ = follow_up(seed=seed, ties=ties)
    tau = survival.default_tau(target)
    theirs = sksurv_metrics.concordance_index_ipcw(outcome(target), outcome(target), log_hazard, tau=tau)[0]
    assert survival.uno_c(target, log_hazard) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("ties", [True, False])
def test_brier_equals_sksurv(ties):
    target, log_hazard, _ = follow_up(ties=ties)
    curves = breslow_baseline(target, log_hazard).curves(log_hazard, grid(target))
    _, theirs = sksurv_metrics.brier_score(outcome(target), outcome(target), curves.probability, curves.times_days)
    ours = survival.brier_at(target, curves, np.ones((len(target), 1)))[:, 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    integrated = sksurv_metrics.integrated_brier_score(
        outcome(target), outcome(target), curves.probability, curves.times_days
    )
    assert survival.integrated_brier(target, curves) == pytest.approx(integrated, abs=1e-6)


def test_kaplan_meier_equals_lifelines():
    lifelines = pytest.importorskip("lifelines")
    target, _, _ = follow_up()
    ours = kaplan_meier(target)
    theirs = (
        lifelines.KaplanMeierFitter().fit(target.time_days, target.event).survival_function_at_times(ours.time_days)
    )
    np.testing.assert_allclose(ours.survival, theirs.to_numpy(), atol=1e-9)


def test_breslow_baseline_equals_sksurv():
    linear_model = pytest.importorskip("sksurv.linear_model")
    target, log_hazard, _ = follow_up()
    fit = linear_model.CoxPHSurvivalAnalysis(alpha=1e-9).fit(log_hazard[:, None], outcome(target))
    ours = breslow_baseline(target, fit.predict(log_hazard[:, None])).curves(
        fit.predict(log_hazard[:, None]), grid(target)
    )
    theirs = np.stack([curve(grid(target)) for curve in fit.predict_survival_function(log_hazard[:, None])])
    np.testing.assert_allclose(ours.probability, theirs, atol=1e-6)
    assert survival.hazard_slope(target, log_hazard) == pytest.approx(fit.coef_[0], abs=1e-4)


@pytest.mark.parametrize("name", ["harrell_c", "uno_c", "hazard_slope"])
def test_survival_weights_mean_repeated_rows(name, monkeypatch):
    target, log_hazard, generator = follow_up(rows=120)
    monkeypatch.setattr(survival, "default_tau", lambda _: 600.0)  # tau is fixed by the whole sample, not the resample
    weights = generator.integers(0, 4, size=(120, 4))
    found = getattr(survival, name)(target, log_hazard, weights)
    for column in range(4):
        rows = np.repeat(np.arange(120), weights[:, column])
        assert found[column] == pytest.approx(getattr(survival, name)(target[rows], log_hazard[rows]), abs=1e-8)


def test_brier_weights_mean_repeated_rows():
    target, log_hazard, generator = follow_up(rows=120)
    curves = breslow_baseline(target, log_hazard).curves(log_hazard, np.array([120.0, 240.0, 480.0]))
    weights = generator.integers(0, 4, size=(120, 4))
    found = survival.integrated_brier(target, curves, weights)
    for column in range(4):
        rows = np.repeat(np.arange(120), weights[:, column])
        expected = survival.integrated_brier(target[rows], SurvivalCurves(curves.times_days, curves.probability[rows]))
        assert found[column] == pytest.approx(expected, abs=1e-12)


def test_edge_cases_have_defined_results():
    target = SurvivalTarget(np.array([1.0, 2.0, 3.0]), np.array([False, False, False]))
    assert np.isnan(survival.harrell_c(target, np.array([1.0, 2.0, 3.0])))
    assert np.isnan(survival.hazard_slope(target, np.array([1.0, 2.0, 3.0])))
    some = SurvivalTarget(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    assert survival.harrell_c(some, np.zeros(3)) == 0.5
    assert np.isnan(survival.hazard_slope(some, np.zeros(3)))
    assert (censoring_survival(some.time_days, some.event, np.ones((3, 1)), np.array([0.5])) == 1).all()


def test_breslow_survives_extreme_log_hazards():
    target, log_hazard, _ = follow_up()
    curves = breslow_baseline(target, 200.0 * log_hazard).curves(200.0 * log_hazard, grid(target))
    assert np.isfinite(curves.probability).all()


def unpenalised_log_likelihood(frame, columns):
    frame = frame.dropna(subset=columns)
    x = frame[columns].to_numpy(dtype=float)
    x = np.linalg.qr(x - x.mean(axis=0))[0]  # the likelihood at the optimum does not depend on the coordinates
    loss, order = cox_loss(SurvivalTarget(frame["time"].to_numpy(dtype=float), frame["status"].to_numpy() > 0))
    everyone = np.ones((len(x), 1))
    penalty = np.zeros((x.shape[1], 1))
    b = minimise(loss, x[order], penalty=penalty, weights=everyone, iterations=500, tolerance=1e-14)
    return len(frame), -float(loss.value((x[order] @ b[:, 0])[:, None, :], everyone)[0])


@pytest.mark.parametrize(
    ("columns", "rows", "gold"),
    [
        (["age"], 228, -748.0077),
        (["age", "sex"], 228, -743.0797),
        (["age", "sex", "ph.ecog", "ph.karno", "pat.karno", "meal.cal", "wt.loss"], 167, -494.1793),
    ],
)
def test_cox_likelihood_equals_the_value_computed_in_r(columns, rows, gold):
    """Breslow ties; the gold values are those of R's survival package on its lung data, to four decimals."""
    frame = pytest.importorskip("lifelines.datasets").load_lung()
    if rows == 167:  # the gold rows are complete in every column of the table
        frame = frame.dropna()
    found, likelihood = unpenalised_log_likelihood(frame, columns)
    assert found == rows
    assert likelihood == pytest.approx(gold, abs=2e-4)
