"""The adversary: the classifier learns the nuisance, the encoder unlearns it."""

import pytest
import torch

from omicsfm.contracts import ClassLabel
from omicsfm.objectives.adversary import PREFIX, NuisanceAdversary


@pytest.fixture
def problem(make_model, make_batch):
    label = ClassLabel(class_id=torch.arange(6) % 2, observed=torch.arange(6) < 5)
    batch = make_batch(outcomes={PREFIX + "site": label})
    model = make_model()
    torch.manual_seed(0)
    return (
        model,
        batch,
        NuisanceAdversary(column="site", embedding_dim=model.pooling.embedding_dim, num_labels=2, weight=1.0),
    )


def stepped(parameters, rate: float = 1e-3):
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter -= rate * parameter.grad


def test_a_step_of_the_classifier_lowers_the_loss_and_one_of_the_encoder_raises_it(problem) -> None:
    model, batch, adversary = problem
    loss = adversary(model, batch).total
    loss.backward()
    stepped(adversary.parameters())
    assert adversary(model, batch).total < loss
    before = adversary(model, batch).total
    stepped(model.parameters())
    assert adversary(model, batch).total > before


def test_a_visit_of_unknown_nuisance_does_not_count(problem) -> None:
    model, batch, adversary = problem
    label = batch.outcomes[PREFIX + "site"]
    other = ClassLabel(class_id=torch.where(label.observed, label.class_id, 1), observed=label.observed)
    changed = batch._with(outcomes={PREFIX + "site": other})
    torch.testing.assert_close(adversary(model, changed).total, adversary(model, batch).total)
