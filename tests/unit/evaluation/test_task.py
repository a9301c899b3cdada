"""A task holds the visits whose outcome is known, a participant's outcome once."""

import numpy as np
import pytest

from omicsfm.errors import InputError
from omicsfm.evaluation.methods import baseline_methods, default_names
from omicsfm.evaluation.task import make_task


def test_a_visits_outcome_is_asked_at_every_visit_that_has_it(small_store):
    task = make_task(small_store, "ill")
    assert len(task) == len(small_store) - 1
    assert 3 not in task.rows
    truth = np.array(task.target.classes)[task.target.class_id]
    np.testing.assert_array_equal(truth, small_store.outcomes["ill"].iloc[task.rows])


def test_a_participants_outcome_is_asked_once_at_the_first_visit(small_store):
    task = make_task(small_store, "death")
    assert len(task) == len(set(task.participant_ids)) == 60
    assert (task.visits["time_days"] == 0).all()


def test_the_table_keeps_the_declared_scale_and_marks_what_was_not_measured(small_store):
    table = make_task(small_store, "score").table
    scales = {name: block.scale for name, block in table.blocks.items()}
    assert scales == {"clinical": "covariate"} | {"proteome": "log2", "metabolome": "raw"}
    assert table.blocks["proteome"].measured.all()
    assert 0.5 < table.blocks["metabolome"].measured.mean() < 0.8


def test_age_and_sex_are_a_block_that_every_method_sees_unless_it_is_held_to_others(small_store):
    task = make_task(small_store, "score")
    block = task.table.blocks["clinical"]
    np.testing.assert_array_equal(block.values[:, 0], task.visits["age"])
    np.testing.assert_array_equal(block.values[:, 1] == 1, task.visits["sex"] == "M")
    linear, held, control = baseline_methods(["linear", "linear[proteome]", "linear[clinical]"], task)
    assert linear.modalities == ("proteome", "metabolome", "clinical")
    assert held.modalities == ("proteome",)
    assert control.modalities == ("clinical",)
    assert "linear[clinical]" in default_names(task)


def test_unknown_outcomes_and_columns_are_refused(small_store):
    with pytest.raises(InputError, match="did you mean 'death'"):
        make_task(small_store, "deaht")
    with pytest.raises(InputError, match="did you mean 'site'"):
        make_task(small_store, "ill", within="sites")


def test_only_some_visits_are_predicted_and_the_others_stay_readable(small_store):
    task = make_task(small_store, "ill", only="site=north")
    assert set(task.visits["site"]) == {"north"}
    assert 40 < len(task) < len(make_task(small_store, "ill"))
    assert len(task.store) == len(small_store)


@pytest.mark.parametrize(
    ("only", "message"),
    [("site", "expected COLUMN=VALUE"), ("sitte=north", "did you mean 'site'"), ("site=nort", "did you mean 'north'")],
)
def test_only_what_cannot_be_found_is_refused_with_what_there_is(small_store, only, message):
    with pytest.raises(InputError, match=message):
        make_task(small_store, "ill", only=only)
