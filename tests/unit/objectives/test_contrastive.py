"""The contrast between modalities: what it rewards, what it must not see, and one modality alone."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from omicsfm.objectives.contrastive import Contrastive, _info_nce


def saying(model, embedding):
    """The model with the same embedding of a visit from whichever modality."""
    model.encode = lambda view: SimpleNamespace(visit=embedding)
    return model


def test_modalities_that_say_the_same_of_a_visit_score_better_than_chance(make_model, make_batch) -> None:
    batch = make_batch(visits=12, share=1.0)
    assert Contrastive(temperature=0.05)(saying(make_model(), torch.eye(12)), batch).total < -0.15


def test_an_embedding_that_is_the_same_for_everybody_scores_chance(make_model, make_batch) -> None:
    batch = make_batch(visits=12, share=1.0)
    assert Contrastive()(saying(make_model(), torch.ones(12, 4)), batch).total.item() == pytest.approx(0.0, abs=1e-6)


def test_another_visit_of_the_same_participant_is_no_wrong_answer() -> None:
    similarity = torch.tensor([[5.0, 5.0, 0.0], [5.0, 5.0, 0.0], [0.0, 0.0, 5.0]])
    both = torch.ones(3, dtype=torch.bool)
    strangers = _info_nce(similarity, torch.tensor([0, 1, 2]), both)
    one_person = _info_nce(similarity, torch.tensor([0, 0, 2]), both)
    assert one_person < strangers - 0.1


def test_each_modality_is_encoded_without_the_others(make_model, make_batch) -> None:
    model, batch, views = make_model(), make_batch(), []
    encode = type(model).encode
    model.encode = lambda view: (views.append(view), encode(model, view))[1]
    Contrastive()(model, batch)
    shown = [{name for name, m in view.measurements.items() if m.visible.any()} for view in views]
    assert shown == [{name} for name in batch.measurements]


def test_a_visit_with_one_modality_has_no_part_in_the_contrast(make_model, make_batch) -> None:
    model, batch = make_model(), make_batch(visits=8, share=0.9)
    loss = Contrastive()(model, batch)
    lonely = batch.measurements["proteome"]
    first = torch.zeros_like(lonely.observed)
    first[0] = True  # the first visit has no metabolome: its transcriptome stays alone
    alone = {**batch.measurements, "proteome": replace(lonely, observed=lonely.observed & ~first)}
    before = Contrastive()(model, batch._with(measurements=alone))
    changed = replace(batch.measurements["transcriptome"])
    changed.values[0] += 9.0
    after = Contrastive()(model, batch._with(measurements={**alone, "transcriptome": changed}))
    torch.testing.assert_close(after.total, before.total)
    assert loss.total != before.total


@pytest.mark.parametrize("sizes", [{"proteome": 6}, {"proteome": 6, "metabolome": 4}])
def test_without_a_pair_the_loss_is_zero_and_has_a_gradient(make_model, make_batch, sizes) -> None:
    model, batch = make_model(sizes=sizes), make_batch(sizes=sizes, visits=4, share=0.0)
    objective = Contrastive()
    loss = objective(model, batch)
    assert loss.total.item() == pytest.approx(0.0)
    loss.total.backward()
    assert objective.log_inverse_temperature.grad is not None
    assert torch.isfinite(objective.log_inverse_temperature.grad)
