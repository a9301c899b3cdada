"""A model is let pass where it is not worse, and called better where it is."""

import numpy as np
import pandas as pd
import pytest

from omicsfm.contracts import OutcomeSpec
from omicsfm.evaluation.gate import decide, holm, record_of
from omicsfm.evaluation.scoring import score_predictions

PEOPLE = 400
ILL = OutcomeSpec("ill", "class", "participant", ("no", "yes"))


def scored(rng: np.random.Generator, *, model: float, baseline: float, temper: float = 1.0) -> dict:
    """Two methods that see the true logit under noise of these standard deviations."""
    logit = 1.5 * rng.normal(size=PEOPLE)
    ill = rng.random(PEOPLE) < 1 / (1 + np.exp(-logit))
    rows = []
    for method, noise in (("model", model), ("linear", baseline)):
        seen = temper * (logit + noise * rng.normal(size=PEOPLE)) / (1 + noise**2)
        p = 1 / (1 + np.exp(-seen))
        people = [f"P{n:03d}" for n in range(PEOPLE)]
        rows.append(
            pd.DataFrame(
                {
                    "method": method,
                    "repeat": 0,
                    "fold": 0,
                    "participant_id": people,
                    "visit": "1",
                    "y_true": np.where(ill, "yes", "no"),
                    "p_no": 1 - p,
                    "p_yes": p,
                }
            )
        )
    return score_predictions(pd.concat(rows), ILL, linear=["linear"], seed=1, resamples=400, model="model")


def test_a_model_that_sees_more_is_better_and_promoted(rng: np.random.Generator) -> None:
    decision = decide(scored(rng, model=0.3, baseline=1.5), kind="class", model="model")
    assert decision is not None
    assert (decision.verdict, decision.promoted, decision.baseline) == ("won", True, "linear")
    assert decision.kept is None
    assert (decision.low or 0) > 0
    assert (decision.p or 1) < 0.05
    assert "may take the place of linear" in record_of(decision)["said"]


def test_a_model_that_sees_less_is_lost_and_the_baseline_kept(rng: np.random.Generator) -> None:
    decision = decide(scored(rng, model=1.5, baseline=0.3), kind="class", model="model")
    assert decision is not None
    assert (decision.verdict, decision.promoted, decision.kept) == ("lost", False, "linear")
    assert "keep linear" in record_of(decision)["said"]
    assert "that it can hold" not in record_of(decision)["said"]


def test_where_the_best_baseline_fits_in_no_checkpoint_the_best_that_does_is_kept(rng: np.random.Generator) -> None:
    found = scored(rng, model=1.5, baseline=0.3)
    found["methods"]["forest"] = found["methods"].pop("linear")
    found["gains"][0]["other"] = "forest"
    for other, noise in (("linear", 1.8), ("model[without_encoder]", 1.1), ("late_fusion", 2.5)):
        own = scored(rng, model=1.5, baseline=noise)
        found["methods"][other] = own["methods"]["linear"]
        found["gains"].append({**own["gains"][0], "other": other})
    decision = decide(found, kind="class", model="model")
    assert decision is not None
    assert (decision.baseline, decision.kept) == ("forest", "without_encoder")
    assert "A checkpoint keeps 'without_encoder'" in record_of(decision)["said"]


def test_a_tie_that_may_hide_a_loss_is_not_promoted(rng: np.random.Generator) -> None:
    decision = decide(scored(rng, model=1.0, baseline=1.0), kind="class", model="model")
    assert decision is not None
    assert (decision.verdict, decision.promoted) == ("tied", False)
    assert "more than 0.005" in decision.reason


def test_a_better_ranking_with_risks_that_are_too_extreme_is_not_promoted(rng: np.random.Generator) -> None:
    decision = decide(scored(rng, model=0.3, baseline=1.5, temper=3.0), kind="class", model="model")
    assert decision is not None
    assert (decision.verdict, decision.promoted) == ("won", False)
    assert "calibration slope" in decision.reason


def test_gains_are_positive_where_the_model_is_better_whichever_way_the_metric_runs(rng: np.random.Generator) -> None:
    people = [f"P{n:03d}" for n in range(100)]
    truth = rng.normal(size=100)
    weight = OutcomeSpec("weight", "quantity", "participant")
    rows = [
        pd.DataFrame(
            {
                "method": method,
                "repeat": 0,
                "fold": 0,
                "participant_id": people,
                "visit": "1",
                "y_true": truth,
                "y_pred": truth + noise * rng.normal(size=100),
            }
        )
        for method, noise in (("model", 0.3), ("linear", 1.0))
    ]
    for headline in ("pearson", "rmse"):
        found = score_predictions(
            pd.concat(rows), weight, linear=["linear"], seed=1, resamples=200, headline=headline, model="model"
        )
        assert found["gains"][0]["low"] > 0
        decision = decide(found, kind="quantity", model="model")
        assert (decision is None) == (headline == "rmse")  # a margin of 0.005 means nothing in kilograms


def test_holm_multiplies_the_least_by_their_number_and_never_falls() -> None:
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]).max() == pytest.approx(1.0)
