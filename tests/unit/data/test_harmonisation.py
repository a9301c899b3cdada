"""Harmonisation: every method equals its outside reference, learns from training rows alone, and leaves what it does
not know as it is.
"""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from omicsfm.build import build
from omicsfm.data.row_labels import at_rows
from omicsfm.data.rows_to_fit import rows_to_fit
from omicsfm.data.transforms import Chain, Labels, Transform
from omicsfm.data.transforms.base import Pointwise
from omicsfm.data.transforms.bridging import Bridging
from omicsfm.data.transforms.combat import ComBat
from omicsfm.data.transforms.quantiles import QuantileBridging
from omicsfm.data.transforms.robust_z import RobustZ
from omicsfm.errors import InputError

ROWS, FEATURES = 120, 30
METHODS: dict[str, Callable[[], Transform]] = {
    "combat": lambda: ComBat(column="platform"),
    "bridging": lambda: Bridging(column="platform", sample=["bridge"]),
    "quantiles": lambda: QuantileBridging(column="platform"),
    "robust_z": RobustZ,
}


def measured(rng: np.random.Generator, *, gaps: float = 0.0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Two platforms, the second read higher by an offset per feature; 20 samples on both."""
    level = rng.normal(5, 2, FEATURES)
    people = level + rng.normal(0, 1, (ROWS - 20, FEATURES))
    on_b = np.arange(ROWS) >= 70
    truth = np.concatenate([people, people[:20]])  # the last 20 rows are the first 20 people again, on platform b
    values = truth + on_b[:, None] * rng.normal(2, 1, FEATURES) + rng.normal(0, 0.1, (ROWS, FEATURES))
    values[rng.random(values.shape) < gaps] = np.nan
    bridge = np.array([f"S{n}" if n < 20 else "" for n in (*range(ROWS - 20), *range(20))])
    return values.astype(np.float32), {"platform": np.where(on_b, "b", "a"), "bridge": bridge}


@pytest.fixture(params=METHODS)
def method(request) -> Callable[[], Transform]:
    return METHODS[request.param]


def test_spec_and_arrays_alone_make_the_same_step_again(rng, method) -> None:
    values, labels = measured(rng, gaps=0.1)
    step = method().fit(values, labels)
    again = build(json.loads(json.dumps(step.spec())))
    again.load({name: array.copy() for name, array in step.arrays().items()})
    np.testing.assert_array_equal(again(values, labels), step(values, labels))
    assert set(again.columns) >= {"platform"}


def test_gaps_stay_gaps_and_everything_else_is_finite(rng, method) -> None:
    values, labels = measured(rng, gaps=0.1)
    values[:, 3], values[:, 4] = np.nan, 7.0
    values[labels["platform"] == "b", 5] = np.nan  # one platform's feature only
    before = values.copy()
    out = method().fit(values, labels)(values, labels)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(values))
    assert np.isfinite(out[~np.isnan(out)]).all()
    assert out.dtype == np.float32
    np.testing.assert_array_equal(values, before)


def test_a_row_is_harmonised_the_same_whatever_rows_stand_beside_it(rng, method) -> None:
    values, labels = measured(rng)
    step = method().fit(values, labels)
    some = np.array([3, 90, 71])
    np.testing.assert_array_equal(step(values[some], at_rows(labels, some)), step(values, labels)[some])


def test_some_features_of_each_row_are_harmonised_as_all_of_them_are(rng, method) -> None:
    values, labels = measured(rng, gaps=0.1)
    step = method().fit(values, labels)
    features = rng.integers(0, FEATURES, (ROWS, 7))
    picked = np.take_along_axis(values, features, axis=1)
    some = step.at(picked, features, labels, np.zeros((ROWS, 1)))
    np.testing.assert_array_equal(some, np.take_along_axis(step(values, labels), features, axis=1))
    assert isinstance(step, Pointwise)


def test_changing_a_held_out_row_does_not_change_what_was_fitted(rng, method) -> None:
    values, labels = measured(rng)
    train = np.flatnonzero(np.arange(ROWS) % 4 > 0)
    kept = method().fit(values[train], at_rows(labels, train)).arrays()
    values[np.arange(ROWS) % 4 == 0] += 1000
    again = method().fit(values[train], at_rows(labels, train)).arrays()
    assert all(np.array_equal(kept[name], again[name]) for name in kept)


@pytest.mark.parametrize("name", ["combat", "bridging", "quantiles"])
@pytest.mark.parametrize("label", ["unseen", ""])
def test_a_platform_that_training_did_not_see_is_left_as_it_is(rng, name: str, label: str) -> None:
    values, labels = measured(rng)
    step = METHODS[name]().fit(values, labels)
    np.testing.assert_array_equal(step(values, {"platform": np.full(ROWS, label)}), values)
    np.testing.assert_array_equal(step(values, {}), values)


@pytest.mark.parametrize("name", ["combat", "bridging", "quantiles"])
def test_one_platform_alone_is_left_as_it_is(rng, name: str) -> None:
    values, _ = measured(rng)
    labels: Labels = {"platform": np.full(ROWS, "a"), "bridge": np.full(ROWS, "")}
    np.testing.assert_array_equal(METHODS[name]().fit(values, labels)(values, labels), values)
    np.testing.assert_array_equal(METHODS[name]().fit(values, {})(values, {}), values)


@pytest.mark.parametrize("name", ["combat", "bridging", "quantiles"])
def test_the_difference_between_platforms_is_gone_in_people_it_was_not_fitted_to(rng, name: str) -> None:
    values, labels = measured(rng, gaps=0.05)
    train = np.arange(ROWS) % 4 > 0
    step = METHODS[name]().fit(values[train], at_rows(labels, np.flatnonzero(train)))
    out = step(values, labels)
    a, b = ((labels["platform"] == one) & ~train for one in "ab")

    def apart(x: np.ndarray) -> float:
        return float(np.abs(np.nanmean(x[a], axis=0) - np.nanmean(x[b], axis=0)).mean())

    assert apart(values) > 1.5
    assert apart(out) < 0.6  # two small groups of people differ by 0.3 of their own


def test_a_chain_asks_for_every_label_that_a_step_reads() -> None:
    chain = Chain(steps=[Bridging(sample=["bridge"]), RobustZ(column=None), ComBat(column="plate")])
    assert chain.columns == ("platform", "bridge", "plate")


@pytest.mark.filterwarnings("ignore")
def test_combat_equals_neurocombat_on_complete_data(rng) -> None:
    from neuroCombat import neuroCombat

    values = rng.normal(5, 2, (1, FEATURES)) + rng.normal(0, 1, (ROWS, FEATURES)) * rng.uniform(0.5, 2, FEATURES)
    plate = np.array(["p1"] * 60 + ["p2"] * 40 + ["p3"] * 20)
    for name, (factor, offset) in {"p1": (1, 0), "p2": (1.5, 1), "p3": (0.7, -1)}.items():
        own = plate == name
        values[own] = values[own] * factor + offset + rng.normal(0, 0.5, FEATURES)
    values = values.astype(np.float32)
    ours = ComBat(column="plate").fit(values, {"plate": plate})(values, {"plate": plate})
    theirs = neuroCombat(
        dat=values.T.astype(np.float64), covars=pd.DataFrame({"plate": plate}), batch_col="plate"
    )["data"].T  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert np.abs(ours - values).mean() > 0.5


def test_combat_shrinks_what_few_values_say(rng) -> None:
    values, labels = measured(rng)
    few = values.copy()
    few[labels["platform"] == "b", 0] = np.nan
    few[70, 0] = 100.0  # the only value of this feature on b
    step = ComBat(column="platform").fit(few, labels)
    typical = step(values, labels)[labels["platform"] == "b"] - values[labels["platform"] == "b"]
    pulled = step(few, labels)[70, 0] - 100.0
    assert pulled < -20  # its batch mean says 90 too high
    assert np.abs(typical[:, 1:]).mean() < 4


def test_a_batch_of_one_row_is_shifted_and_not_scaled(rng) -> None:
    values, labels = measured(rng)
    labels["platform"] = np.where(np.arange(ROWS) == 5, "single", labels["platform"])
    step = ComBat(column="platform").fit(values, labels)
    np.testing.assert_allclose(step.factor[step.batches.index("single") + 1], 1.0)
    assert np.isfinite(step.offset).all()


def test_bridging_adds_the_median_of_the_paired_differences(rng) -> None:
    values, labels = measured(rng)
    step = Bridging(sample=["bridge"]).fit(values, labels)
    assert step.reference == "a"  # most rows
    paired = np.median(values[:20] - values[-20:], axis=0)
    np.testing.assert_allclose(step.offset[1 + step.batches.index("b")], paired, rtol=1e-5)
    np.testing.assert_array_equal(step.offset[1 + step.batches.index("a")], 0)


def test_bridging_follows_the_bridges_and_not_who_was_measured(rng) -> None:
    values, labels = measured(rng)
    sick = (labels["platform"] == "b") & (labels["bridge"] == "")
    values[sick] += 3.0  # platform b measured other people
    bridged = Bridging(sample=["bridge"]).fit(values, labels)(values, labels)
    healthy = bridged[labels["platform"] == "a"].mean()
    assert bridged[sick].mean() - healthy == pytest.approx(3.0, abs=0.3)
    adjusted = ComBat(column="platform").fit(values, labels)(values, labels)
    assert adjusted[sick].mean() - adjusted[labels["platform"] == "a"].mean() < 1.5  # takes it for the platform's


def test_a_feature_without_bridges_takes_the_difference_of_medians(rng) -> None:
    values, labels = measured(rng)
    values[-20:, 2] = np.nan  # not measured in the bridge samples on b
    step = Bridging(sample=["bridge"]).fit(values, labels)
    a, b = (np.nanmedian(values[labels["platform"] == one, 2]) for one in "ab")
    assert step.offset[1 + step.batches.index("b"), 2] == pytest.approx(a - b, rel=1e-5)


def test_too_few_bridge_samples_are_refused_with_the_way_out(rng) -> None:
    values, labels = measured(rng)
    labels["bridge"] = np.where(np.isin(labels["bridge"], ["S0", "S1", "S2"]), labels["bridge"], "")
    with pytest.raises(InputError, match=r"3 training samples were measured on both a and b .* harmonise=combat"):
        Bridging(sample=["bridge"]).fit(values, labels)
    with pytest.raises(InputError, match="no column 'control'"):
        Bridging(sample=["control"]).fit(values, labels)


def test_a_modality_without_the_reference_takes_its_largest_platform(rng) -> None:
    values, labels = measured(rng)
    for step in (Bridging(sample=["bridge"], reference="c"), QuantileBridging(reference="c")):
        assert step.fit(values, labels).reference == "a"


def test_of_many_rows_every_batch_and_every_bridge_is_among_those_fitted_to() -> None:
    rows = np.arange(0, 20_000, 2)
    plate = np.array([f"p{n % 300}" for n in range(20_000)])
    bridge = np.array([f"S{n % 40}" if n < 80 else "" for n in range(20_000)])
    labels = {"plate": np.where(np.arange(20_000) == 8_000, "rare", plate), "bridge": bridge}
    chain = Chain(steps=[Bridging(column="plate", sample=["bridge"], min_samples=1)])
    chosen = rows_to_fit(chain, labels, rows, most=500, seed=1)
    assert set(chosen) <= set(rows)
    assert np.array_equal(chosen, rows_to_fit(chain, labels, rows, most=500, seed=1))
    assert 8_000 in chosen
    assert len(chosen) < 500 + 301 * 20
    assert set(np.flatnonzero(bridge != "")) & set(rows) <= set(chosen)
    counts = pd.Series(labels["plate"][chosen]).value_counts()
    assert counts.drop("rare").min() >= 20
    plain = rows_to_fit(Chain(steps=[RobustZ(column=None)]), labels, rows, most=500, seed=1)
    assert len(plain) == 500
    assert np.array_equal(rows_to_fit(chain, labels, rows[:400], most=500, seed=1), rows[:400])


def test_quantiles_turn_one_platforms_curve_into_the_others(rng) -> None:
    truth = rng.normal(0, 1, (4000, 2))
    labels = {"platform": np.repeat(["a", "b"], 2000)}
    values = truth.copy()
    values[2000:] = np.exp(truth[2000:] / 2) * 3  # the second platform is not linear in the first
    step = QuantileBridging(reference="a").fit(values.astype(np.float32), labels)
    out = step(values.astype(np.float32), labels)
    np.testing.assert_array_equal(out[:2000], values[:2000].astype(np.float32))
    inner = np.abs(truth[2000:]) < 1.5
    assert np.abs(out[2000:] - truth[2000:])[inner].max() < 0.2
    order = np.argsort(values[2000:, 0])
    assert (np.diff(out[2000:][order, 0]) >= -1e-5).all()


def test_quantiles_of_few_values_are_not_believed(rng) -> None:
    values, labels = measured(rng)
    values[np.flatnonzero(labels["platform"] == "b")[10:], 6] = np.nan
    step = QuantileBridging().fit(values, labels)
    np.testing.assert_allclose(step(values, labels)[:, 6], values[:, 6], rtol=1e-5)
