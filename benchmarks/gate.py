"""SUITE=gate: how often the gate calls a model better that is not, lets one pass that is worse, and misses one that is.

Cohorts are drawn from a few hidden factors. The baseline is the penalised linear model of the values; the model is the
stack of it and of a linear probe on an embedding. In place of a trained encoder stand random features of the factors as
least squares read them from the values, so that hundreds of cross-validations take minutes. Folds, members, weights,
scores and the gate are those of a benchmark.
"""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from benchmarks.goal import Goal
from omicsfm.baselines.base import Predicted
from omicsfm.baselines.penalised import fit_penalised, to_prediction
from omicsfm.baselines.stack import stack
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import Matrix, write_store
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.crossval import cross_validate
from omicsfm.evaluation.gate import Decision, decide
from omicsfm.evaluation.methods import Test, Train, baseline_methods
from omicsfm.evaluation.scoring import score_predictions
from omicsfm.evaluation.task import Task, make_task
from omicsfm.features import FeatureSpace
from omicsfm.seeding import derive

PEOPLE, FACTORS, FEATURES, EMBEDDING, FOLDS = 300, 5, 60, 48, 5
LINEAR = 1.2
"""Standard deviation of the linear part of the logit."""
WEAKER, PLANTED = (1.0, 1.5), 1.75
"""Standard deviations of the product of two factors in the logit, which no linear model of the values sees: such as are
only reported, and the effect at which the gate is to find it.
"""
BASELINE = "linear[values]"
SPEC = OutcomeSpec("ill", "class", "participant", ("no", "yes"))


def run(small: bool) -> list[Goal]:
    """Rates over simulated cohorts, each with a seed of its own."""
    logging.disable(logging.INFO)  # a line a fold is too many
    seeds = range(20 if small else 200)
    stacked, blind = Members("stack", ("values", "embedding")), Members("half blind", ("few",))
    none = [judged(stacked, seed, planted=0.0) for seed in seeds]
    weaker = {effect: [judged(stacked, seed, planted=effect) for seed in seeds] for effect in WEAKER}
    planted = [judged(stacked, seed, planted=PLANTED) for seed in seeds]
    worse = [judged(blind, seed, planted=0.0) for seed in seeds]
    size = {"cohorts": len(seeds), "participants": PEOPLE}
    return [
        Goal("called better with nothing planted", _won(none), "of cohorts", at_most=0.05, details=size | _gain(none)),
        *(
            Goal(f"called better with {effect}", _won(found), "of cohorts", details=_gain(found))
            for effect, found in weaker.items()
        ),
        Goal(f"called better with {PLANTED}", _won(planted), "of cohorts", at_least=0.8, details=_gain(planted)),
        Goal("let pass although worse", _passed(worse), "of cohorts", at_most=0.05, details=_gain(worse)),
        Goal("let pass as not worse with nothing planted", _passed(none), "of cohorts"),
    ]


@dataclass(frozen=True)
class Members:
    """Linear models of some blocks of the store, stacked."""

    name: str
    blocks: tuple[str, ...]
    is_linear: bool = False

    def config(self) -> Mapping[str, Any]:
        """The blocks."""
        return {"blocks": list(self.blocks)}

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """There is nothing to prepare."""

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Probabilities of the test rows."""
        target, groups = task.target[train], task.inner_groups(train)
        blocks = [task.table.blocks[name].values for name in self.blocks]
        fits = [fit_penalised(block[train], target, groups=groups, seed=seed) for block in blocks]
        doubted = np.array([name == "embedding" for name in self.blocks])  # as an encoder's, which saw these people
        weighed = stack(np.stack([fit.held_out for fit in fits]), target, doubted)
        each = [fit.linear_predictor(block[test]) for fit, block in zip(fits, blocks, strict=True)]
        return Predicted(to_prediction("class", weighed.combine(np.stack(each))))


def judged(model: Members, seed: int, *, planted: float) -> Decision:
    """The gate's decision on a model, cross-validated beside the linear baseline on a cohort of its own."""
    with tempfile.TemporaryDirectory() as folder:
        task = draw(Path(folder) / "store", seed, planted=planted)
        split = folds_for(task, repeats=1, folds=FOLDS, seed=derive(seed, "folds"))
        methods = [model, *baseline_methods([BASELINE], task)]
        predictions, _ = cross_validate(task, methods, split, seed=seed, keep=Path(folder) / "folds")
    scored = score_predictions(predictions, SPEC, linear=[BASELINE], seed=seed, model=model.name)
    decision = decide(scored, kind="class", model=model.name)
    assert decision is not None
    return decision


def draw(path: Path, seed: int, *, planted: float) -> Task:
    """A cohort whose logit is linear in hidden factors but for ``planted`` times the product of the first two."""
    generator = np.random.default_rng(derive(seed, "cohort"))
    hidden = generator.normal(size=(PEOPLE, FACTORS))
    loadings = generator.normal(size=(FACTORS, FEATURES))
    values = hidden @ loadings + generator.normal(size=(PEOPLE, FEATURES))
    direction = generator.normal(size=FACTORS)
    logit = LINEAR * hidden @ direction / np.linalg.norm(direction) + planted * hidden[:, 0] * hidden[:, 1]
    ill = generator.random(PEOPLE) < expit(logit)
    read = values @ np.linalg.pinv(loadings)
    embedding = np.cos(
        read @ generator.normal(size=(FACTORS, EMBEDDING)) / 2 + generator.uniform(0, 2 * np.pi, EMBEDDING)
    )
    blocks = {"values": values, "embedding": embedding, "few": values[:, : FACTORS - 1]}
    people = [f"P{number:04d}" for number in range(PEOPLE)]
    store = write_store(
        path,
        name="simulated",
        visits=pd.DataFrame({"participant_id": people, "visit": "1", "time_days": 0.0}),
        outcomes=pd.DataFrame({SPEC.name: np.where(ill, "yes", "no")}),
        outcome_specs={SPEC.name: SPEC},
        matrices={name: _matrix(name, block) for name, block in blocks.items()},
    )
    return make_task(store, SPEC.name)


def _matrix(name: str, block: np.ndarray) -> Matrix:
    ids = tuple(f"{name}{number}" for number in range(block.shape[1]))
    return Matrix(FeatureSpace(name, ids), np.arange(PEOPLE), block.astype(np.float32))


def _won(decisions: list[Decision]) -> float:
    return float(np.mean([one.verdict == "won" for one in decisions]))


def _passed(decisions: list[Decision]) -> float:
    return float(np.mean([one.promoted for one in decisions]))


def _gain(decisions: list[Decision]) -> dict[str, float]:
    return {"mean gain in AUROC": float(np.mean([one.value for one in decisions if one.value is not None]))}
