"""Late fusion speaks with the modalities a visit has, and with none it says what is usual."""

import numpy as np
import pytest
from scipy.special import logit

from omicsfm.baselines.base import Block, OmicsTable
from omicsfm.baselines.late_fusion import LateFusion
from omicsfm.baselines.linear import Linear
from omicsfm.metrics.targets import ClassTarget, QuantityTarget

ROWS, TEST = 80, 6


def cohort(generator):
    health = generator.normal(size=ROWS + TEST)
    blocks = {}
    for name, features in (("proteome", 8), ("metabolome", 5)):
        values = np.outer(health, generator.normal(size=features)) + generator.normal(size=(ROWS + TEST, features))
        blocks[name] = Block(values, "log2")
    blocks["metabolome"].values[ROWS] = np.nan
    blocks["proteome"].values[ROWS + 1] = np.nan
    for block in blocks.values():
        block.values[ROWS + 2] = np.nan
    table = OmicsTable(blocks, np.array([f"P{n}" for n in range(ROWS + TEST)]))
    return table[np.arange(ROWS)], table[np.arange(ROWS, ROWS + TEST)], health[:ROWS] + generator.normal(size=ROWS)


def test_a_visit_is_predicted_by_the_modalities_it_has(rng):
    train, test, score = cohort(rng)
    target = ClassTarget((score > 0).astype(np.int64), ("no", "yes"))
    fused = logit(LateFusion().fit_predict(train, target, test, seed=0).test[:, 1])
    alone = {
        name: logit(Linear().fit_predict(train.only([name]), target, test.only([name]), seed=0).test[:, 1])
        for name in ("proteome", "metabolome")
    }
    assert fused[0] == pytest.approx(alone["proteome"][0])
    assert fused[1] == pytest.approx(alone["metabolome"][1])
    np.testing.assert_allclose(fused[3:], (alone["proteome"][3:] + alone["metabolome"][3:]) / 2)


def test_a_visit_with_nothing_measured_gets_the_training_mean(rng):
    train, test, score = cohort(rng)
    predicted = LateFusion().fit_predict(train, QuantityTarget(score), test, seed=0).test
    assert predicted[2] == pytest.approx(score.mean())


def test_a_modality_nobody_was_trained_on_changes_nothing(rng):
    train, test, score = cohort(rng)
    train.blocks["metabolome"].values[:] = np.nan
    both = LateFusion().fit_predict(train, QuantityTarget(score), test, seed=0).test
    one = (
        LateFusion().fit_predict(train.only(["proteome"]), QuantityTarget(score), test.only(["proteome"]), seed=0).test
    )
    np.testing.assert_allclose(both, one)
