"""Arms of an ablation: what each is given, and what it is not."""

import numpy as np
import pytest

from omicsfm.baselines.base import Predicted
from omicsfm.data.covariates import CLINICAL
from omicsfm.errors import InputError
from omicsfm.evaluation.ablation.arms import FewerLabels, OfModalities, PermutedLabels
from omicsfm.evaluation.ablation.compare import ablation_table, arms, complete, run_ablation
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.methods import baseline_methods
from omicsfm.evaluation.task import make_task
from omicsfm.report import benchmark_report

SMALL = ("model=tiny", "model.dim=8", "model.num_latents=2", "task.epochs=1")


@pytest.fixture
def task(small_store):
    return complete(make_task(small_store, "ill"))


def one_fold(task):
    split = folds_for(task, repeats=1, folds=3, seed=0)
    return tuple(np.flatnonzero(mask) for mask in split.masks(task.visits, 0, 0))


def predicted(method, task, train, test):
    method.begin_fold(task, train, seed=1)
    return method.fit_predict(task, train, test, seed=1).test


def linear(task):
    (method,) = baseline_methods(["linear"], task)
    return method


def test_every_arm_is_judged_on_visits_that_have_every_modality(small_store, task) -> None:
    for matrix in small_store.modalities.values():
        assert np.isin(task.rows, matrix.rows).all()
    whole = make_task(small_store, "ill")
    assert 20 < len(task) < len(whole)
    assert len(task.target) == len(task.participant_ids) == len(task)


def test_permuted_labels_are_those_of_other_training_people_and_the_truth_of_the_tested_stays(task) -> None:
    train, test = one_fold(task)
    arm = PermutedLabels("permuted", linear(task))
    before = predicted(linear(task), task, train, test)
    after = predicted(arm, task, train, test)
    assert not np.allclose(after, before)
    given = arm._task
    assert (given.target.class_id[test] == task.target.class_id[test]).all()
    assert (given.target.class_id[train] != task.target.class_id[train]).any()
    counts = [np.bincount(one.target.class_id[train]) for one in (given, task)]
    np.testing.assert_array_equal(*counts)


def test_an_arm_of_one_modality_predicts_as_the_method_held_to_it_and_the_covariates(task) -> None:
    train, test = one_fold(task)
    arm = OfModalities("proteome only", linear(task), modalities=("proteome",))
    (held,) = baseline_methods([f"linear[proteome+{CLINICAL}]"], task)
    arm.method = held
    np.testing.assert_allclose(predicted(arm, task, train, test), predicted(held, task, train, test))


def test_fewer_labels_are_those_of_whole_participants_in_the_same_proportion(task) -> None:
    train, test = one_fold(task)
    seen = []

    class Spy:
        name, is_linear = "spy", False

        def config(self):
            return {}

        def begin_fold(self, task, train, *, seed):
            seen.append(train)

        def fit_predict(self, task, train, test, *, seed):
            seen.append(train)
            return Predicted(np.zeros(len(test)))

    FewerLabels("a quarter", Spy(), one_in=4).begin_fold(task, train, seed=1)
    FewerLabels("a quarter", Spy(), one_in=4).fit_predict(task, train, test, seed=1)
    pretrained_on, labelled = seen
    assert len(pretrained_on) == len(train)
    people, others = (set(task.participant_ids[rows]) for rows in (labelled, np.setdiff1d(train, labelled)))
    assert not people & others
    assert len(people) == pytest.approx(len(people | others) / 4, abs=2)
    assert task.target.class_id[labelled].mean() == pytest.approx(task.target.class_id[train].mean(), abs=0.2)


def test_an_ablation_scores_every_arm_and_the_report_shows_the_table_and_the_curve(task, tmp_path) -> None:
    compared = arms(task, adaptation="probe", overrides=SMALL, groups=["model", "linear", "labels"])
    split = folds_for(task, repeats=1, folds=2, seed=0)
    found = run_ablation(task, compared, out=tmp_path, split=split, seed=0, resamples=50)
    names = [arm["method"] for arm in found["arms"]]
    assert names[:3] == ["omicsfm[probe]", "omicsfm[probe], no pretraining", "omicsfm[probe], labels permuted"]
    assert f"linear[{CLINICAL}]" in names
    assert {arm["share"] for arm in found["arms"] if arm["family"] == "not pretrained"} == {0.1, 0.25, 0.5, 1.0}
    assert found["arms"][0]["lost"] is None
    assert "pretraining" in ablation_table(found)
    page = benchmark_report(tmp_path).read_text()
    assert "What each part is worth" in page
    assert "labels of the training participants" in page


def test_an_unknown_group_of_arms_names_the_closest(task) -> None:
    with pytest.raises(InputError, match="'label' is none; did you mean 'labels'"):
        arms(task, adaptation="probe", overrides=SMALL, groups=["label"])


def test_pretraining_on_events_sees_none_of_the_people_whose_labels_are_counted(small_store, monkeypatch) -> None:
    from omicsfm.training import pretrain as module

    seen = []
    objective = ("objective=[masked_features,time_to_event]", "objective.time_to_event.outcomes=[death]")
    plain = module.pretrain
    monkeypatch.setattr(module, "pretrain", lambda store, **more: seen.append(store) or plain(store, **more))
    task = make_task(small_store, "death", only="site=north")
    train, test = one_fold(task)
    (whole, *_) = arms(task, adaptation="probe", overrides=[*SMALL, *objective], groups=["labels"])
    predicted(whole.method, task, train, test)
    known = seen[0].outcome_observed("death")
    theirs = small_store.visits["participant_id"].isin(task.participant_ids)
    assert not known[theirs].any()
    assert known[~theirs].all()
