"""A run folder belongs to one config; a split decides who is trained on."""

import numpy as np
import pytest

from omicsfm.data.folds import make_split
from omicsfm.data.splits import Split
from omicsfm.errors import InputError
from omicsfm.training.pretrain import hold_out
from omicsfm.training.run import claim, judge_seen, training_visits


def test_a_run_folder_is_claimed_once_and_taken_up_again_by_the_same_config(composed, tmp_path) -> None:
    claim(tmp_path / "run", composed("seed=1"))
    claim(tmp_path / "run", composed("seed=1"))
    with pytest.raises(InputError, match="seed is 1; this start has 2"):
        claim(tmp_path / "run", composed("seed=2"))


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("optimizer.learning_rate=0.5", r"optimizer\.learning_rate"),
        ("objective.cross_modal.drop=0.25", r"objective\.cross_modal\.drop"),
        ("task=finetune", r"task\."),
        ("data.batch_size=3", r"data\.batch_size"),
    ],
)
def test_another_config_in_the_folder_is_refused_naming_the_key(composed, tmp_path, override: str, key: str) -> None:
    claim(tmp_path / "run", composed())
    with pytest.raises(InputError, match=f"holds a run whose {key}"):
        claim(tmp_path / "run", composed(override))


def test_another_trainer_or_logger_may_take_a_run_up(composed, tmp_path) -> None:
    claim(tmp_path / "run", composed())
    claim(tmp_path / "run", composed("trainer=ddp", "logger=csv", "run_dir=elsewhere"))


def test_without_a_split_pretraining_reads_everybody_and_fine_tuning_keeps_a_fifth(
    composed, simulated_store, tmp_path
) -> None:
    everybody, nobody, record = training_visits(simulated_store, composed(), tmp_path)
    assert len(everybody) == len(simulated_store)
    assert not len(nobody)
    assert "sha256" not in record
    config = composed("task=finetune", "outcome=responder")
    train, test, record = training_visits(simulated_store, config, tmp_path)
    split = Split.read(tmp_path / "split.csv")
    people = simulated_store.visits["participant_id"]
    kept = set(people) - set(people.iloc[train])
    known = people[simulated_store.outcome_observed("responder")]
    tested = people[split.masks(simulated_store.visits, 0, 0)[1]]
    assert set(people.iloc[test]) == set(tested)
    assert set(tested) <= kept
    assert 0.15 < len(set(tested)) / known.nunique() < 0.25
    assert record["sha256"] == split.sha256


def test_a_split_decides_who_is_trained_on(composed, simulated_store, tmp_path) -> None:
    people = simulated_store.visits["participant_id"]
    split = make_split(simulated_store.visits, repeats=2, folds=3, seed=0)
    split.write(tmp_path / "split.csv")
    config = composed(f"data.split={tmp_path / 'split.csv'}", "data.repeat=1", "data.fold=2")
    train, test, record = training_visits(simulated_store, config, tmp_path)
    expected, tested = split.masks(simulated_store.visits, 1, 2)
    np.testing.assert_array_equal(train, np.flatnonzero(expected))
    assert not set(people[tested]) & set(people.iloc[train])
    np.testing.assert_array_equal(test, np.flatnonzero(tested))
    assert record == {"sha256": split.sha256, "repeat": 1, "fold": 2, "kept_together": ["family_id"]}


def test_validation_participants_are_never_trained_on(simulated_store, training_rows) -> None:
    rows = hold_out(simulated_store, training_rows, share=0.25, seed=0)
    number = simulated_store.participant_number
    assert not set(number[rows.train]) & set(number[rows.validation])
    assert sorted([*rows.train, *rows.validation]) == training_rows.tolist()
    assert len(set(number[rows.validation])) == pytest.approx(0.25 * 40, abs=1)


def test_too_few_participants_for_a_validation_share_are_refused(simulated_store) -> None:
    few = np.flatnonzero(simulated_store.participant_number < 3)
    with pytest.raises(InputError, match="3 training participants, families counted as one, are too few"):
        hold_out(simulated_store, few, share=0.1, seed=0)


def test_a_checkpoint_that_saw_test_participants_is_refused_or_named(
    pretrained, simulated_store, training_rows, capsys
) -> None:
    kept = np.setdiff1d(np.arange(len(simulated_store)), training_rows)
    judge_seen(pretrained, simulated_store, kept, {"kept_together": []})
    seen = np.flatnonzero(simulated_store.participant_number < 10)
    with pytest.raises(InputError, match="pretrained on 10 of the 10 participants kept for testing"):
        judge_seen(pretrained, simulated_store, seen, {"kept_together": []})
    judge_seen(pretrained, simulated_store, seen, {"kept_together": []}, allowed=True)
    assert "knows their measurements. A test on them flatters it" in capsys.readouterr().err
