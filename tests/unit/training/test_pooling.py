"""Linear models that strata share: fitted once, held to each stratum's own visits, and useful where they should be."""

import numpy as np
import pytest

from omicsfm.data.collate import read_outcome
from omicsfm.inference import reader_for
from omicsfm.training import pooling
from omicsfm.training.finetune import adapt
from omicsfm.training.members import target_of
from omicsfm.training.pooling import Pool


@pytest.fixture
def strata(simulated_store, training_rows):
    """Training visits with a severity, and two strata of their participants."""
    rows = training_rows[simulated_store.outcome_observed("severity")[training_rows]]
    return rows, simulated_store.participant_number[rows] % 2


@pytest.fixture
def pool(simulated_store, pretrained, strata):
    rows, codes = strata
    outcome = simulated_store.outcome("severity")
    reader = reader_for(pretrained, simulated_store, outcome=outcome)
    groups = simulated_store.participant_number[rows]
    return Pool(reader, outcome, rows=rows, strata=codes, groups=groups, seed=3)


def test_a_shared_model_is_fitted_once_and_has_its_strata_s_own_intercepts(
    pool, strata, pretrained, monkeypatch
) -> None:
    calls = []
    fit_members = pooling.fit_members
    monkeypatch.setattr(pooling, "fit_members", lambda *a, **k: calls.append(k["members"]) or fit_members(*a, **k))
    rows, codes = strata
    first, second = (pool.members(pretrained.model, [("embedding",)], of=rows[codes == code])[0] for code in (0, 1))
    assert calls == [[("embedding",)]]
    np.testing.assert_array_equal(first.fit.coefficients, second.fit.coefficients)
    assert np.abs(first.fit.intercept - second.fit.intercept).max() > 1e-6
    assert len(first.fit.held_out) == (codes == 0).sum()
    assert len(second.fit.held_out) == (codes == 1).sum()


def test_held_out_predictors_come_in_the_order_of_the_visits_asked_for(pool, strata, pretrained) -> None:
    rows, codes = strata
    own = rows[codes == 0]
    plain, turned = (pool.members(pretrained.model, [("proteome",)], of=order)[0] for order in (own, own[::-1]))
    np.testing.assert_array_equal(plain.fit.held_out, turned.fit.held_out[::-1])


def test_a_stack_within_a_stratum_weighs_the_shared_models_too(
    composed, simulated_store, pretrained, pool, strata
) -> None:
    rows, codes = strata
    outcome, config = simulated_store.outcome("severity"), composed("task=finetune", "adaptation=stack")
    reader = reader_for(pretrained, simulated_store, outcome=outcome)
    own = rows[codes == 0]
    alone = adapt(reader, pretrained, outcome, own, config)[2]
    shared = adapt(reader, pretrained, outcome, own, config, pool=pool)[2]
    names = [name for name in shared.chosen if "shared" in name]
    assert len(names) == len(alone.chosen)
    assert sum(shared.chosen[name] for name in names) > 0.05
    target = target_of(read_outcome(simulated_store, outcome, own), outcome)
    right = [(found.held_out.argmax(axis=1) == target.class_id).mean() for found in (alone, shared)]
    assert right[1] >= right[0] - 0.1  # the other half of the people does not mislead
