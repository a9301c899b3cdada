"""Metrics of a risk by a horizon equal scikit-survival's, lifelines' and their definitions."""

import numpy as np
import pytest

from omicsfm.metrics import SurvivalCurves, SurvivalTarget, horizon
from omicsfm.metrics.horizon import Ended
from omicsfm.metrics.risk_calibration import d_calibration, integrated_calibration_index

HORIZONS = (100.0, 300.0, 500.0)


def follow_up(rows: int = 250, seed: int = 0, causes: int = 1) -> tuple[Ended, np.ndarray]:
    """Tied times, tied risks, censoring; with two causes the risk tells the first from neither the second nor none."""
    generator = np.random.default_rng(seed)
    x = np.round(generator.normal(size=rows), 1)
    when = np.stack([generator.exponential(400 * np.exp(-0.7 * x * (k == 0))) for k in range(causes)], axis=1)
    censored = generator.uniform(50, 900, rows)
    how = np.where(when.min(axis=1) <= censored, 1 + when.argmin(axis=1), 0)
    return Ended(np.ceil(np.minimum(when.min(axis=1), censored) / 10) * 10, how), 1 / (1 + np.exp(1 - x))


def structured(ended: Ended) -> np.ndarray:
    return np.array(list(zip(ended.how == 1, ended.time_days, strict=True)), dtype=[("event", bool), ("time", float)])


def one(rows: int) -> np.ndarray:
    return np.ones((rows, 1))


@pytest.mark.parametrize("day", HORIZONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_auc_brier_and_c_equal_scikit_survival(day: float, seed: int) -> None:
    metrics = pytest.importorskip("sksurv.metrics", reason="scikit-survival is a test extra (GPL)")
    ended, risk = follow_up(seed=seed)
    truth, everyone = structured(ended), one(250)
    auc = metrics.cumulative_dynamic_auc(truth, truth, risk, [day])[0][0]
    brier = metrics.brier_score(truth, truth, 1 - risk[:, None], [day])[1][0]
    c = metrics.concordance_index_ipcw(truth, truth, risk, tau=np.nextafter(day, np.inf))[0]
    assert horizon.auc(ended, risk, day, everyone)[0] == pytest.approx(auc, abs=1e-9)
    assert horizon.brier(ended, risk, day, everyone)[0] == pytest.approx(brier, abs=1e-9)
    assert horizon.concordance(ended, risk, day, everyone)[0] == pytest.approx(c, abs=1e-9)


@pytest.mark.filterwarnings("ignore")  # lifelines' own
def test_the_observed_risk_is_kaplan_and_meiers_or_aalen_and_johansens() -> None:
    lifelines = pytest.importorskip("lifelines")
    ended, _ = follow_up()
    kaplan_meier = lifelines.KaplanMeierFitter().fit(ended.time_days, ended.how == 1)
    several, _ = follow_up(causes=2)
    spread = Ended(several.time_days + np.arange(250) * 1e-6, several.how)  # lifelines would jitter ties at random
    johansen = lifelines.AalenJohansenFitter(calculate_variance=False).fit(spread.time_days, spread.how, 1)
    for day in HORIZONS:
        expected = 1 - float(kaplan_meier.survival_function_at_times(day).iloc[0])
        assert horizon.observed_risk(ended, day, one(250))[0] == pytest.approx(expected, abs=1e-9)
        density = johansen.cumulative_density_.iloc[:, 0]
        theirs = float(density[density.index <= day + 0.5].iloc[-1])
        assert horizon.observed_risk(spread, day + 0.5, one(250))[0] == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("day", HORIZONS)
def test_with_competing_risks_auc_and_brier_are_their_definitions(day: float) -> None:
    """Blanche, Dartigues and Jacqmin-Gadda 2013 (definition 2), Schoop and others 2011; weights by hand."""
    ended, risk = follow_up(causes=2)
    times = np.unique(ended.time_days)
    free, before = {}, 1.0
    for t in times:  # censoring after events at the same time
        left = (ended.time_days >= t).sum() - ((ended.time_days == t) & (ended.how > 0)).sum()
        gone = ((ended.time_days == t) & (ended.how == 0)).sum()
        before *= 1 - gone / left if left else 1.0
        free[t] = before
    at_day = [free[t] for t in times if t <= day][-1]
    case = (ended.how == 1) & (ended.time_days <= day)
    other = (ended.how == 2) & (ended.time_days <= day)
    later = ended.time_days > day
    weight = np.where(later, 1 / at_day, [1 / free[t] if free[t] > 0 else 0.0 for t in ended.time_days])
    won = pairs = 0.0
    for i in np.flatnonzero(case):
        for j in np.flatnonzero(other | later):
            pairs += weight[i] * weight[j]
            won += weight[i] * weight[j] * (0.5 if risk[i] == risk[j] else float(risk[i] > risk[j]))
    assert horizon.auc(ended, risk, day, one(250))[0] == pytest.approx(won / pairs, abs=1e-9)
    known = case | other | later
    squared = (weight * (case - risk) ** 2)[known].sum() / 250
    assert horizon.brier(ended, risk, day, one(250))[0] == pytest.approx(squared, abs=1e-9)


def test_who_had_another_event_stays_in_every_pair() -> None:
    """Wolbers and others 2014, without censoring: every later time, and everybody with the other event, is worse."""
    ended = Ended(np.array([5.0, 2.0, 9.0, 4.0]), np.array([1, 2, 1, 0]))
    uncensored = Ended(ended.time_days, np.array([1, 2, 1, 2]))
    risk = np.array([0.8, 0.9, 0.3, 0.1])
    pairs = [(0, 1), (0, 2), (0, 3), (2, 1), (2, 3)]
    expected = np.mean([risk[i] > risk[j] for i, j in pairs])
    assert horizon.concordance(uncensored, risk, 20.0, one(4))[0] == pytest.approx(expected)


@pytest.mark.parametrize("causes", [1, 2])
@pytest.mark.parametrize("name", ["auc", "brier", "concordance", "observed_risk", "observed_to_expected"])
def test_weights_mean_repeated_rows(name: str, causes: int) -> None:
    ended, risk = follow_up(rows=80, causes=causes)
    weights = np.random.default_rng(1).integers(0, 4, size=(80, 3)).astype(float)
    compute = getattr(horizon, name)
    given = (300.0,) if name == "observed_risk" else (risk, 300.0)
    found = compute(ended, *given, weights)
    for column in range(3):
        rows = np.repeat(np.arange(80), weights[:, column].astype(int))
        own = (300.0,) if name == "observed_risk" else (risk[rows], 300.0)
        again = compute(Ended(ended.time_days[rows], ended.how[rows]), *own, one(len(rows)))[0]
        assert found[column] == pytest.approx(again, abs=1e-9)


def true_risks(rows: int, seed: int) -> tuple[SurvivalTarget, np.ndarray, SurvivalCurves]:
    """Exponential times with known hazards, and the true risk by day 300."""
    generator = np.random.default_rng(seed)
    rate = np.exp(0.8 * generator.normal(size=rows)) / 400
    time, censored = generator.exponential(1 / rate), generator.uniform(50, 1500, rows)
    days = np.linspace(20, 1400, 70)
    curves = SurvivalCurves(days, np.exp(-np.outer(rate, days)))
    return SurvivalTarget(np.minimum(time, censored), time <= censored), 1 - np.exp(-rate * 300), curves


def test_true_risks_are_calibrated_and_wrong_ones_miss_by_what_they_are_off() -> None:
    target, risk, _ = true_risks(4000, 3)
    ended = Ended(target.time_days, target.event.astype(np.int64))
    assert integrated_calibration_index(ended, risk, 300.0) < 0.015
    for off in (-0.1, 0.1):
        wrong = np.clip(risk + off, 0.001, 0.999)
        assert integrated_calibration_index(ended, wrong, 300.0) == pytest.approx(0.1, abs=0.02)
    assert horizon.observed_to_expected(ended, risk / 2, 300.0, one(4000))[0] == pytest.approx(2.0, rel=0.05)
    assert np.isnan(integrated_calibration_index(Ended(target.time_days, np.zeros(4000, dtype=int)), risk, 300.0))


def test_d_calibration_passes_true_curves_as_often_as_it_should_and_refuses_steeper_ones() -> None:
    passed = [d_calibration(target, curves) > 0.05 for target, _, curves in (true_risks(400, s) for s in range(40))]
    assert np.mean(passed) > 0.85  # 0.95 expected; conservative with censoring (Haider and others 2020)
    target, _, curves = true_risks(800, 1)
    assert d_calibration(target, SurvivalCurves(curves.times_days, curves.probability**2)) < 1e-6


def test_without_cases_or_without_others_there_is_no_score() -> None:
    nobody = Ended(np.array([5.0, 6.0]), np.array([0, 0]))
    assert np.isnan(horizon.auc(nobody, np.array([0.1, 0.2]), 4.0, one(2))[0])
    everyone = Ended(np.array([5.0, 6.0]), np.array([1, 1]))
    assert np.isnan(horizon.auc(everyone, np.array([0.1, 0.2]), 9.0, one(2))[0])
