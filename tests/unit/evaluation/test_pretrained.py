"""omicsfm as a method of a benchmark: nobody who is tested is pretrained on, and folds share their encoders."""

from pathlib import Path

import numpy as np
import pytest

from omicsfm.errors import InputError
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.crossval import cross_validate
from omicsfm.evaluation.pretrained import pretrained_methods
from omicsfm.evaluation.task import make_task
from omicsfm.training import pretrain as pretrain_module

SMALL = ("model=tiny", "model.dim=8", "model.num_latents=2", "task.epochs=1")


@pytest.fixture
def pretraining_rows(monkeypatch) -> list[np.ndarray]:
    """The store rows of every pretraining."""
    seen: list[np.ndarray] = []
    pretrain = pretrain_module.pretrain

    def spy(store, *, rows, **named):
        seen.append(rows)
        return pretrain(store, rows=rows, **named)

    monkeypatch.setattr(pretrain_module, "pretrain", spy)
    return seen


def test_no_visit_of_a_tested_participant_is_pretrained_on_and_adaptations_share_the_encoder(
    small_store, pretraining_rows
) -> None:
    task = make_task(small_store, "score")
    split = folds_for(task, repeats=1, folds=3, seed=0)
    methods = pretrained_methods(["omicsfm[probe]", "omicsfm[stack]"], overrides=SMALL)
    train, test = split.masks(task.visits, 0, 0)
    first, second = np.flatnonzero(train), np.flatnonzero(test)
    predictions = {}
    for name, method in methods.items():
        method.begin_fold(task, first, seed=4)
        predictions[name] = method.fit_predict(task, first, second, seed=4).test
    (rows,) = pretraining_rows  # once for both
    people = small_store.visits["participant_id"].astype(str).to_numpy()
    tested = set(task.participant_ids[second])
    assert tested
    assert not tested & set(people[rows])
    assert set(rows) == {row for row in range(len(small_store)) if people[row] not in tested}
    unknown = np.flatnonzero(~small_store.outcome_observed("score"))
    assert any(row in rows or people[row] in tested for row in unknown)  # an unknown outcome is no reason to leave out
    assert not np.allclose(predictions["omicsfm[probe]"], predictions["omicsfm[stack]"])


def test_another_fold_pretrains_anew(small_store, pretraining_rows) -> None:
    task = make_task(small_store, "score")
    split = folds_for(task, repeats=1, folds=3, seed=0)
    (method,) = pretrained_methods(["omicsfm[probe]"], overrides=SMALL).values()
    for fold in (0, 1, 0):
        method.begin_fold(task, np.flatnonzero(split.masks(task.visits, 0, fold)[0]), seed=4)
    assert len(pretraining_rows) == 2
    assert set(pretraining_rows[0]) != set(pretraining_rows[1])


def test_predictions_do_not_depend_on_the_outcomes_of_tested_participants(small_store) -> None:
    from dataclasses import replace

    task = make_task(small_store, "score")
    split = folds_for(task, repeats=1, folds=3, seed=0)
    train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, 0, 0))
    outcomes = small_store.outcomes.copy()
    outcomes.loc[task.rows[test], "score"] = -1000.0
    answers = []
    for store in (small_store, replace(small_store, outcomes=outcomes)):
        (method,) = pretrained_methods(["omicsfm[stack]"], overrides=SMALL).values()
        own = make_task(store, "score")
        method.begin_fold(own, train, seed=0)
        answers.append(method.fit_predict(own, train, test, seed=0).test)
    np.testing.assert_array_equal(answers[0], answers[1])


@pytest.mark.parametrize("outcome", ["ill", "death"])
def test_it_is_benchmarked_like_any_other_method(small_store, tmp_path, outcome: str) -> None:
    task = make_task(small_store, outcome)
    split = folds_for(task, repeats=1, folds=2, seed=0)
    methods = list(pretrained_methods(["omicsfm"], overrides=SMALL).values())
    predictions, seconds = cross_validate(task, methods, split, seed=0, keep=tmp_path)
    assert sorted(predictions["participant_id"].unique()) == sorted(set(task.participant_ids))
    assert len(predictions) == len(task)
    columns = ["p_no", "p_yes"] if outcome == "ill" else [c for c in predictions if c.startswith("survival_")]
    assert np.isfinite(predictions[columns].to_numpy()).all()
    assert ((predictions[columns] >= 0) & (predictions[columns] <= 1)).all(axis=None)
    assert set(seconds) == {"omicsfm"}


def test_an_opened_checkpoint_is_used_as_it_is(small_store, pretraining_rows, tmp_path) -> None:
    from omicsfm.training.main import compose

    directory: Path = tmp_path / "checkpoint"
    config = compose([*SMALL, "run_dir=none", "data.store=none", "logger=none"])
    pretrain_module.pretrain(small_store, rows=np.arange(60), config=config, directory=directory)
    (method,) = pretrained_methods(["omicsfm[probe]"], checkpoint=directory, overrides=SMALL).values()
    task = make_task(small_store, "score")
    train = np.arange(80)
    method.begin_fold(task, train, seed=0)
    assert np.isfinite(method.fit_predict(task, train, np.arange(80, 110), seed=0).test).all()
    assert len(pretraining_rows) == 1  # the one above
    assert len(str(method.config()["checkpoint"])) == 64


def test_an_unknown_adaptation_names_the_closest() -> None:
    with pytest.raises(InputError, match="did you mean 'stack'"):
        pretrained_methods(["omicsfm[stak]"])


def test_names_of_other_methods_are_left_to_others() -> None:
    assert pretrained_methods(["linear", "boosting"]) == {}
