"""Forecasts: from the history alone, beside what carries the last value forward."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from omicsfm.baselines.multi_ridge import fit_multi_ridge
from omicsfm.data.folds import leave_one_out, make_split
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.evaluation.forecast.compare import forecast_methods, run_forecast
from omicsfm.evaluation.forecast.mixed_model import _fit, _own_intercept
from omicsfm.evaluation.forecast.states import states_of
from omicsfm.evaluation.forecast.task import every_feature_task, forecast_task, quantity_of
from omicsfm.evaluation.forecast.weights import convex_weights, held_out_members
from omicsfm.metrics.targets import QuantityTarget
from omicsfm.report import benchmark_report
from omicsfm.scripts import forecast as script

SMALL = [
    "model=tiny",
    "model.dim=8",
    "model.num_latents=2",
    "task.epochs=1",
    "trajectory.dim=8",
    "kernel.features=64",
    "logger=none",
]
BASELINES = ["last_observation", "linear_last", "last_and_omics", "mixed_model", "linear"]


@pytest.fixture(scope="module")
def task(small_store: OmicsStore):
    return forecast_task(small_store, "score")


def sides(task):
    split = make_split(task.visits, repeats=1, folds=3, seed=0)
    train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, 0, 0))
    return replace(task, split=split), train, test


def predicted(task, methods, train, test):
    found = {}
    for method in methods:
        method.begin_fold(task, train, seed=1)
        found[method.name] = method.fit_predict(task, train, test, seed=1).test
    return found


def test_each_pair_is_a_visit_and_the_one_before_it(task, small_store) -> None:
    visits = small_store.visits
    assert (visits["participant_id"].iloc[task.rows].to_numpy() == visits["participant_id"].iloc[task.later]).all()
    assert set(visits["visit"].iloc[task.rows]) == {"0"}
    np.testing.assert_array_equal(task.days_ahead, 400.0)
    np.testing.assert_array_equal(task.target.value, small_store.outcomes["score"].to_numpy()[task.later])
    assert len(task) == 59  # of 60 people one has no second score


def test_the_last_observation_is_carried_forward(task, small_store) -> None:
    cut, train, test = sides(task)
    last = small_store.outcomes["score"].to_numpy()[task.rows[test]]
    carried = predicted(cut, forecast_methods(["last_observation"], task), train, test)["last_observation"]
    np.testing.assert_array_equal(carried, np.where(np.isnan(last), task.target.value[train].mean(), last))


def test_changing_the_visits_that_are_forecast_changes_no_forecast(task, small_store) -> None:
    cut, train, test = sides(task)
    methods = forecast_methods([*BASELINES, "omicsfm"], task, overrides=SMALL)
    before = predicted(cut, methods, train, test)
    outcomes = small_store.outcomes.copy()
    outcomes.loc[task.later[test], "score"] = 99.0
    changed = replace(small_store, outcomes=outcomes)
    known = task.known.copy()
    known[task.later[test]] = 99.0
    value = task.target.value.copy()
    value[test] = 99.0
    after = predicted(replace(cut, store=changed, known=known, target=QuantityTarget(value)), methods, train, test)
    for name, forecast in before.items():
        np.testing.assert_allclose(after[name], forecast, err_msg=name)
        assert np.isfinite(forecast).all()


def test_a_history_may_end_before_the_last_visit_but_one(small_store) -> None:
    early = forecast_task(small_store, "score", until=0.0, between=(400.0, 400.0))
    assert early.outcome.name == "score on day 400 from day 0"
    assert set(small_store.visits["time_days"].iloc[early.rows]) == {0.0}
    assert set(small_store.visits["time_days"].iloc[early.later]) == {400.0}


def test_a_feature_is_a_quantity_on_its_logarithmic_scale(small_store) -> None:
    matrix = small_store.modalities["metabolome"]
    raw = matrix.read(matrix.rows)[0][:, 3]
    np.testing.assert_allclose(quantity_of(small_store, "metabolome:m3")[matrix.rows], np.log2(raw), rtol=1e-5)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"quantity": "scor"}, "did you mean 'score'"),
        ({"quantity": "ill"}, "is a class outcome; a forecast is of a quantity"),
        ({"quantity": "proteom:p1"}, "no modality 'proteom'; did you mean 'proteome'"),
        ({"quantity": "proteome:p99"}, "proteome has no feature 'p99'"),
        ({"quantity": "score", "between": (900.0, 999.0)}, r"score on day 900 to 999 can be forecast at 0 visits"),
        ({"quantity": "score", "last": "score", "until": 3.0}, "no days can be chosen"),
    ],
)
def test_what_cannot_be_forecast_is_one_clear_message(small_store, asked, message: str) -> None:
    with pytest.raises(InputError, match=message):
        forecast_task(small_store, **asked)


def test_visits_at_one_time_are_refused(small_store) -> None:
    still = replace(small_store, visits=small_store.visits.assign(time_days=0.0))
    with pytest.raises(InputError, match="60 repeat a time of the same participant .*P000.*Give|give each visit"):
        forecast_task(still, "score")


def test_an_unknown_method_names_the_closest(task) -> None:
    with pytest.raises(InputError, match="'last_observaton' is not a method of a forecast; did you mean"):
        forecast_methods(["last_observaton"], task)


def test_own_intercepts_are_those_of_statsmodels() -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    generator = np.random.default_rng(0)
    person = np.repeat(np.arange(40), 3)
    fixed = np.column_stack([np.ones(120), np.tile([0.0, 1.0, 2.0], 40)])
    value = 5 + fixed[:, 1] + np.repeat(generator.normal(size=40), 3) + generator.normal(size=120)
    coefficients, between, within = _fit(fixed, value, person)
    theirs = MixedLM(value, fixed, groups=person).fit(reml=True)
    np.testing.assert_allclose(coefficients, theirs.fe_params, rtol=1e-3)
    rest = value - fixed @ coefficients
    ours = [_own_intercept(rest[person == who], between, within) for who in range(40)]
    np.testing.assert_allclose(ours, [float(theirs.random_effects[who].iloc[0]) for who in range(40)], atol=5e-3)


def test_many_targets_at_once_are_as_each_alone() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 9))
    targets = features @ generator.normal(size=(9, 4)) + generator.normal(size=(60, 4))
    fit = fit_multi_ridge(features, targets, groups=np.repeat(np.arange(30), 2), seed=0)
    theirs = Ridge(alpha=fit.penalty).fit(features, targets)
    np.testing.assert_allclose(fit.predict(features), theirs.predict(features), rtol=1e-6)
    assert ((fit.held_out - targets) ** 2).mean() < targets.var()


def test_weights_go_to_the_member_that_errs_least() -> None:
    generator = np.random.default_rng(0)
    small, large = generator.normal(size=(200, 5)), 5 * generator.normal(size=(200, 5))
    weights = convex_weights([small, large], pull_rows=2.0)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] > 0.9


def test_few_rows_leave_the_weights_where_they_began() -> None:
    generator = np.random.default_rng(0)
    errors = list(generator.normal(size=(3, 8)))
    np.testing.assert_allclose(convex_weights(errors, pull_rows=1e6), 1 / 3, atol=1e-3)
    begun = np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(convex_weights(errors, pull_rows=1e6, prior=begun), begun, atol=1e-3)


def test_members_are_held_out_by_models_that_never_saw_the_group() -> None:
    groups = np.repeat(np.arange(12), 2)

    def made(own, out):
        assert not set(groups[own]) & set(groups[out])
        assert len(own) + len(out) == len(groups)
        return {"line": out.astype(float), "panel": np.stack([out, -out], axis=1).astype(float)}

    held_out = held_out_members(groups, made, seed=0)
    np.testing.assert_array_equal(held_out["line"], np.arange(24))
    np.testing.assert_array_equal(held_out["panel"][:, 1], -np.arange(24))


def test_a_missing_assay_does_not_draw_the_state_of_a_visit_to_the_mean() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=240)
    values = {name: truth[:, None] + generator.normal(scale=0.3, size=(240, 6)) for name in ("a", "b")}
    measured = {"a": np.ones(240, dtype=bool), "b": generator.random(240) < 0.6}
    values["b"][~measured["b"]] = 0.0
    state = states_of(values, measured, np.arange(160), truth[:160], groups=np.arange(160) // 2, seed=0)
    new = np.arange(240) >= 160
    for part in (new & measured["b"], new & ~measured["b"]):
        assert np.polyfit(truth[part], state[part], 1)[0] == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(truth[:160], state[:160])[0, 1] < 0.999  # held out, not fitted


def test_the_last_visit_alone_is_a_method_of_its_own(small_store) -> None:
    cut, train, test = sides(forecast_task(small_store, "score"))
    methods = forecast_methods(["omicsfm", "omicsfm[last_visit]"], cut, overrides=SMALL)
    assert [method.config()["adaptation"] for method in methods] == [{"remembered": 2}, {"remembered": 1}]
    assert np.isfinite(predicted(cut, methods[1:], train, test)["omicsfm[last_visit]"]).all()


def test_on_a_platform_not_trained_on_the_last_value_is_carried_forward(small_store) -> None:
    people = small_store.visits["participant_id"].astype(str)
    visits = small_store.visits.assign(platform=np.where(people < "P030", "npx", "pg_ml"))
    task = forecast_task(replace(small_store, visits=visits), "proteome:p1")
    train, test = (np.flatnonzero(task.units == unit) for unit in ("npx", "pg_ml"))
    methods = forecast_methods(["omicsfm", "last_observation"], task, overrides=SMALL)
    found = predicted(task, methods, train, test)
    np.testing.assert_array_equal(found["omicsfm"], found["last_observation"])


def run(*arguments: str) -> None:
    script.main(list(arguments))


def test_the_command_writes_a_benchmark_of_forecasts(small_store, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    run(
        *("--store", str(small_store.path), "--quantity", "score", "--out", str(out), "--repeats", "1"),
        *("--folds", "3", "--resamples", "50", "--methods", ",".join(BASELINES[:4])),
    )
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["primary"] == "rmse"
    assert metrics["outcome"] == "score at the next visit"
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert set(predictions["visit"]) == {"1"}
    assert (out / "report.html").exists()
    assert "last_observation" in capsys.readouterr().out


def test_errors_are_not_scored_where_a_platform_was_not_trained_on(small_store, tmp_path) -> None:
    people = small_store.visits["participant_id"].astype(str)
    visits = small_store.visits.assign(platform=np.where(people < "P030", "npx", "pg_ml"))
    store = replace(small_store, visits=visits)
    shared = {"out": tmp_path, "seed": 0, "resamples": 20}

    def metrics(quantity: str, split_by: str) -> dict:
        task = forecast_task(store, quantity)
        split = (
            leave_one_out(task.visits, by=("platform",))
            if split_by == "platform"
            else make_split(task.visits, repeats=1, folds=2, seed=0)
        )
        return run_forecast(task, forecast_methods(BASELINES[:2], task), split=split, **shared)

    crossed = metrics("proteome:p1", "platform")
    assert set(crossed["methods"]["last_observation"]["metrics"]) == {"spearman"}
    assert (crossed["primary"], crossed["within"], set(crossed["strata"])) == ("spearman", "platform", {"npx", "pg_ml"})
    assert any("units of its own" in note for note in crossed["notes"])
    assert "How far off" not in benchmark_report(tmp_path).read_text()
    assert metrics("proteome:p1", "people")["primary"] == "rmse"  # both platforms were trained on
    assert metrics("score", "platform")["primary"] == "rmse"  # an outcome has one unit


def test_the_command_forecasts_every_feature(small_store, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    run(
        *("--store", str(small_store.path), "--every-feature", "--out", str(out), "--repeats", "1", "--folds", "2"),
        *("--resamples", "20", "--set", *SMALL),
    )
    metrics = json.loads((out / "metrics.json").read_text())
    table = pd.read_parquet(out / "features.parquet")
    for modality, entry in metrics["modalities"].items():
        assert entry["methods"]["last_observation"]["median_ratio"] == 1.0
        if modality != "all":
            own = table[table["modality"] == modality]
            ratio = own["rmse_omicsfm"] / own["rmse_last_observation"]
            assert entry["methods"]["omicsfm"]["median_ratio"] == pytest.approx(ratio.median())
    assert "omicsfm[decoder]" in capsys.readouterr().out


def test_pairs_of_every_feature_are_all_later_visits(small_store) -> None:
    assert len(every_feature_task(small_store)) == 60
