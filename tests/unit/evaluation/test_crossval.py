"""Folds are the same for every method, nothing of the test rows is learnt from, and a killed run goes on."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from omicsfm.baselines.base import Predicted
from omicsfm.data.splits import Split
from omicsfm.errors import InputError
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.crossval import cross_validate
from omicsfm.evaluation.methods import Method, baseline_methods, default_names, split_names
from omicsfm.evaluation.task import make_task
from omicsfm.metrics.targets import ClassTarget, SurvivalTarget


@dataclass
class Recorder:
    """Predicts the training mean and remembers what it was given."""

    name: str = "recorder"
    is_linear: bool = False
    fail_at: int | None = None
    calls: list = field(default_factory=list)
    begun: list = field(default_factory=list)

    def config(self):
        return {}

    def begin_fold(self, task, train, *, seed):
        self.begun.append(train)

    def fit_predict(self, task, train, test, *, seed):
        if self.fail_at == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append((train, test, seed))
        return Predicted(np.full(len(test), task.target[train].value.mean()))


def test_every_method_gets_the_same_folds_and_no_participant_on_both_sides(small_store, tmp_path):
    task = make_task(small_store, "score")
    one, other = Recorder("one"), Recorder("other")
    split = folds_for(task, repeats=2, folds=3, seed=0)
    predictions, seconds = cross_validate(task, [one, other], split, seed=0, keep=tmp_path)
    assert len(one.calls) == 6
    assert set(seconds) == {"one", "other"}
    for (train, test, seed), (train_2, test_2, seed_2) in zip(one.calls, other.calls, strict=True):
        np.testing.assert_array_equal(train, train_2)
        np.testing.assert_array_equal(test, test_2)
        assert seed == seed_2
        assert not set(task.participant_ids[train]) & set(task.participant_ids[test])
    assert (predictions.groupby(["method", "repeat"]).size() == len(task)).all()


def test_a_run_that_was_killed_goes_on_where_it_stopped(small_store, tmp_path):
    task = make_task(small_store, "score")
    split = folds_for(task, repeats=1, folds=4, seed=0)
    killed = Recorder(fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(task, [killed], split, seed=0, keep=tmp_path)
    second = Recorder()
    predictions, _ = cross_validate(task, [second], split, seed=0, keep=tmp_path)
    assert len(second.calls) == 2
    fresh, _ = cross_validate(task, [Recorder()], split, seed=0, keep=tmp_path / "fresh")
    pd.testing.assert_frame_equal(predictions, fresh)


def test_a_damaged_kept_fold_is_computed_again(small_store, tmp_path):
    task = make_task(small_store, "score")
    split = folds_for(task, repeats=1, folds=4, seed=0)
    cross_validate(task, [Recorder()], split, seed=0, keep=tmp_path)
    next(tmp_path.rglob("*.parquet")).write_bytes(b"cut short")
    again = Recorder()
    cross_validate(task, [again], split, seed=0, keep=tmp_path)
    assert len(again.calls) == 1


def test_another_seed_or_split_is_not_read_from_kept_folds(small_store, tmp_path):
    task = make_task(small_store, "score")
    for seed in (0, 1):
        recorder = Recorder()
        split = folds_for(task, repeats=1, folds=4, seed=0)
        cross_validate(task, [recorder], split, seed=seed, keep=tmp_path)
        assert len(recorder.calls) == 4


@pytest.mark.parametrize("outcome", ["ill", "score", "death"])
@pytest.mark.parametrize("name", ["linear", "late_fusion[proteome+metabolome]", "boosting", "forest"])
def test_test_rows_teach_nothing(small_store, outcome, name):
    """Other values and labels in all test rows but one leave that one's prediction as it was."""
    if (name, outcome) == ("forest", "death"):
        pytest.importorskip("sksurv", reason="a survival forest needs scikit-survival")
    task = make_task(small_store, outcome)
    (method,) = baseline_methods([name], task)
    split = folds_for(task, repeats=1, folds=4, seed=0)
    train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, 0, 0))
    before = method.fit_predict(task, train, test, seed=0)

    changed = replace(task, target=with_other_truth(task.target, test))
    table = task.table
    for block in table.blocks.values():
        block.values[test[1:]] = np.nan_to_num(block.values[test[1:]], nan=3.0) * 1.7 + 1.0
    vars(changed)["table"] = table
    after = method.fit_predict(changed, train, test, seed=0)
    np.testing.assert_array_equal(before.test[0], after.test[0])
    if before.held_out is not None:
        np.testing.assert_array_equal(before.held_out, after.held_out)
    if len(test) > 5:
        assert not np.array_equal(before.test[1:], after.test[1:])


def with_other_truth(target, test):
    if isinstance(target, ClassTarget):
        class_id = target.class_id.copy()
        class_id[test] = 1 - class_id[test]
        return replace(target, class_id=class_id)
    if isinstance(target, SurvivalTarget):
        time, event = target.time_days.copy(), target.event.copy()
        time[test], event[test] = time[test][::-1] + 1.0, ~event[test]
        return SurvivalTarget(time, event)
    value = target.value.copy()
    value[test] += 100.0
    return replace(target, value=value)


def test_within_strata_each_is_fitted_alone_and_begin_fold_sees_all(small_store, tmp_path):
    task = make_task(small_store, "score", within="site")
    recorder = Recorder()
    split = folds_for(task, repeats=1, folds=3, seed=0)
    predictions, _ = cross_validate(task, [recorder], split, seed=0, keep=tmp_path)
    assert len(recorder.calls) == 6
    for train, test, _ in recorder.calls:
        assert len(set(task.strata[np.concatenate([train, test])])) == 1
    assert all(set(task.strata[train]) == {"north", "south"} for train in recorder.begun)
    assert set(predictions["stratum"]) == {"north", "south"}


def test_default_methods_fit_every_outcome_and_keep_the_protocol(small_store, tmp_path):
    for outcome in ("ill", "score", "death"):
        task = make_task(small_store, outcome)
        methods = baseline_methods(default_names(task), task)
        assert all(isinstance(method, Method) for method in methods)
        split = folds_for(task, repeats=1, folds=2, seed=0)
        predictions, _ = cross_validate(task, methods, split, seed=0, keep=tmp_path / outcome)
        assert len(predictions) == len(methods) * len(task)
        if outcome == "death":
            curves = predictions.filter(like="survival_").to_numpy()
            assert ((curves >= 0) & (curves <= 1)).all()
            assert (np.diff(curves, axis=1) <= 1e-12).all()


def test_an_unknown_method_is_refused_with_the_nearest_name(small_store):
    task = make_task(small_store, "ill")
    with pytest.raises(InputError, match="did you mean 'linear'"):
        baseline_methods(["linaer"], task)
    with pytest.raises(InputError, match="did you mean 'proteome'"):
        baseline_methods(["linear[protein]"], task)
    with pytest.raises(InputError, match="twice"):
        baseline_methods(["linear", "linear"], task)


def test_names_are_separated_by_commas():
    assert split_names("linear, linear[a+b],forest") == ["linear", "linear[a+b]", "forest"]


def test_a_split_of_another_cohort_is_refused(small_store, tmp_path):
    task = make_task(small_store, "score")
    other = Split(pd.DataFrame({"participant_id": ["x", "y"], "repeat": 0, "fold": [0, 1]}))
    with pytest.raises(InputError, match="belong to this cohort"):
        cross_validate(task, [Recorder()], other, seed=0, keep=tmp_path)
