"""Pretraining on several cohorts: who is trained on, what the checkpoint says of it, and where it can be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omicsfm.checkpoint import Checkpoint, load_checkpoint
from omicsfm.data.folds import make_split
from omicsfm.data.store import OmicsStore
from omicsfm.data.union import StoreUnion, alike, open_stores
from omicsfm.errors import InputError
from omicsfm.evaluation.pretrained import Encoders, pretrained_methods
from omicsfm.evaluation.task import make_task
from omicsfm.evaluation.tested import held_out_visits
from omicsfm.inference import embed, reader_for
from omicsfm.training.pretrain import pretrain
from omicsfm.training.run import run, training_visits

Cohorts = tuple[OmicsStore, OmicsStore]
OURS = tuple(f"P0000{n}" for n in range(6))
THEIRS = tuple(f"P0000{n}" for n in range(4, 10))
SHORT = ("task.epochs=2", "task.validation_fraction=0.2")


@pytest.fixture
def cohorts(cohort, tmp_path) -> Cohorts:
    """Two cohorts whose participants bear the same ids and whose panels overlap by a third."""
    return cohort(tmp_path, "ours", OURS, visits=40), cohort(tmp_path, "theirs", THEIRS, visits=60, scale="raw")


@pytest.fixture
def pretrained_on(composed, tmp_path) -> Callable[..., Checkpoint]:
    """Pretrains on stores and opens the checkpoint."""

    def make(*stores: OmicsStore, weights: list[float] | None = None, rows: np.ndarray | None = None) -> Checkpoint:
        store = stores[0] if len(stores) == 1 else StoreUnion.of(stores, weights)
        rows = np.arange(len(store)) if rows is None else rows
        pretrain(store, rows=rows, config=composed(*SHORT), directory=tmp_path / "checkpoint")
        return load_checkpoint(tmp_path / "checkpoint")

    return make


def people(store: OmicsStore) -> list[str]:
    return store.visits["participant_id"].unique().tolist()


def test_a_checkpoint_names_every_store_and_keeps_its_people_apart(cohorts: Cohorts, pretrained_on) -> None:
    ours, theirs = cohorts
    opened = pretrained_on(ours, theirs, weights=[3.0, 1.0], rows=np.array([0, 1, 2, 3, *range(50, 100)]))
    said = [(s["name"], s["fingerprint"], s["participants"], s["weight"]) for s in opened.provenance["stores"]]
    assert said == [("ours", ours.fingerprint, 2, 3.0), ("theirs", theirs.fingerprint, 25, 1.0)]
    assert [person for person, was in zip(people(ours), opened.saw(people(ours), "ours"), strict=True) if was] == [
        "P0",
        "P1",
    ]
    seen = opened.saw(people(theirs), "theirs")
    assert not any(seen[:5])
    assert all(seen[5:])


def test_the_model_card_names_the_stores_and_their_weights(cohorts: Cohorts, pretrained_on, tmp_path) -> None:
    pretrained_on(*cohorts, weights=[3.0, 1.0])
    card = (tmp_path / "checkpoint" / "MODEL_CARD.md").read_text()
    assert "- ours: 20 participants, 40 visits" in card
    assert "- theirs: 30 participants, 60 visits" in card
    assert "drawn with weight 3" in card


def test_each_store_is_read_alone_with_the_checkpoint_of_both(cohorts: Cohorts, pretrained_on) -> None:
    opened = pretrained_on(*cohorts)
    for store in cohorts:
        rows = np.arange(len(store))
        reader = reader_for(opened, store)
        assert np.isfinite(embed(opened.model, reader, rows)).all()
        measured = reader.read(rows).measurements["proteome"]
        assert abs(float(measured.values[measured.observed].median())) < 0.2  # by its own statistics, on its own scale


def test_an_unseen_cohort_may_be_read_with_half_of_one_panel_and_no_less(
    cohort, cohorts, pretrained_on, tmp_path
) -> None:
    opened = pretrained_on(*cohorts)
    half = cohort(tmp_path, "half", (*OURS[:3], "Q00001", "Q00002"))
    assert np.isfinite(embed(opened.model, reader_for(opened, half), np.arange(len(half)))).all()
    less = cohort(tmp_path, "less", (OURS[0], OURS[1], THEIRS[-1]))
    with pytest.raises(InputError, match="at best 33% of what ours measured, under half"):
        reader_for(opened, less)


def test_weights_decide_what_is_learnt_and_their_absence_means_by_number_of_visits(cohorts, pretrained_on) -> None:
    def weights_of(opened: Checkpoint) -> torch.Tensor:
        return torch.cat([tensor.flatten() for tensor in opened.model.state_dict().values()])

    plain = weights_of(pretrained_on(*cohorts))
    torch.testing.assert_close(weights_of(pretrained_on(*cohorts, weights=[40.0, 60.0])), plain, atol=0, rtol=0)
    assert not torch.equal(weights_of(pretrained_on(*cohorts, weights=[60.0, 40.0])), plain)


@pytest.mark.parametrize("same", [False, True])
def test_the_split_is_the_first_stores_and_binds_the_others_only_where_they_have_the_same_people(
    composed, cohort, tmp_path, same: bool
) -> None:
    stores = [cohort(tmp_path, name, visits=40, people="one" if same else "") for name in ("ours", "theirs")]
    union = open_stores([str(store.path) for store in stores])
    split = make_split(stores[0].visits, repeats=1, folds=4, seed=0)
    split.write(tmp_path / "split.csv")
    train, test, _ = training_visits(union, composed(f"data.split={tmp_path / 'split.csv'}"), tmp_path)
    tested = set(stores[0].visits["participant_id"].iloc[test])
    ours, theirs = train[train < 40], train[train >= 40] - 40
    assert not tested & set(stores[0].visits["participant_id"].iloc[ours])
    assert set(ours) | set(test) == set(range(40))
    read = set(stores[1].visits["participant_id"].iloc[theirs])
    assert (read & tested == set()) if same else (len(theirs) == 40)


def test_a_fold_is_pretrained_on_its_own_training_people_and_on_all_of_the_other_store(composed, cohorts) -> None:
    ours, theirs = cohorts
    task = make_task(ours, "ill")
    train = np.flatnonzero(task.participant_ids != "P3")
    config = {**composed("task=finetune"), "task": {**composed("task=finetune")["task"], **composed(*SHORT)["task"]}}
    encoders = Encoders(config, beside=[theirs])
    opened = encoders.of_fold(task, train, seed=0)
    assert [s["participants"] for s in opened.provenance["stores"]] == [19, 30]
    assert opened.saw(["P3", "P4"], ours.people) == [False, True]
    assert opened.saw(["P3"], theirs.people) == [True]  # another person of that id
    assert opened.untouched(ours.visits, (), ours.people).sum() == 2


def test_who_is_tested_does_not_depend_on_the_ids_of_another_cohort(cohorts: Cohorts, pretrained_on) -> None:
    ours, theirs = cohorts
    opened = pretrained_on(ours, theirs, rows=np.arange(20, 100))
    tested = held_out_visits(opened, ours)
    assert np.flatnonzero(tested.visits).tolist() == list(range(20))


def test_stores_that_share_ids_without_saying_whose_they_are_are_named(cohort, tmp_path) -> None:
    one, two = cohort(tmp_path, "one"), cohort(tmp_path, "two")
    assert "one and two have 15 participant ids in common" in alike([one, two])[0]
    assert not alike([cohort(tmp_path / "same", name, people="us") for name in ("one", "two")])


def test_a_run_on_two_stores_pretrains_on_both_and_fine_tunes_to_the_first(composed, cohorts, tmp_path, capsys) -> None:
    config: dict[str, Any] = composed("task=finetune", "outcome=ill", "adaptation=probe", "task.pretrain_epochs=1")
    config["data"] = {**config["data"], "store": [str(store.path) for store in cohorts], "weights": [1, 1]}
    checkpoint: Path = run({**config, "run_dir": str(tmp_path / "run")})
    opened = load_checkpoint(checkpoint)
    used = [(entry["name"], entry["used for"]) for entry in opened.provenance["stores"]]
    assert used == [("ours", "pretraining"), ("theirs", "pretraining"), ("ours", "fine-tuning to ill")]
    assert opened.features["proteome"].panels.keys() == {"ours"}
    assert "ours and theirs have 20 participant ids in common" in capsys.readouterr().err


def test_a_benchmark_says_what_a_checkpoint_was_pretrained_on_and_whom_of_the_tested_it_saw(
    cohorts: Cohorts, pretrained_on, tmp_path
) -> None:
    ours, theirs = cohorts
    pretrained_on(ours, theirs, rows=np.array([0, 1, 2, 3, *range(40, 100)]))
    task = make_task(ours, "ill")

    def notes(**given: Any) -> list[str]:
        (method,) = pretrained_methods(["omicsfm"], **given).values()
        return method.notes(task)

    assert "pretrained in each fold on its training participants and on all of theirs" in notes(beside=[theirs])[0]
    assert "on the measurements of 2 of the people tested here" in notes(checkpoint=tmp_path / "checkpoint")[0]
    assert not notes()
