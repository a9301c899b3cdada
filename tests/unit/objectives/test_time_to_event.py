"""TimeToEvent: hazards of registry outcomes from the embedding alone, begun at the level of training participants."""

import numpy as np
import pandas as pd
import pytest
import torch

from omicsfm.contracts import OutcomeSpec, Survival
from omicsfm.data.store import Matrix, write_store
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.objectives.time_to_event import TimeToEvent
from omicsfm.training.registry import registry_of

REGISTRY = {
    "death": {"cut_days": [10.0, 20.0], "log_hazard": [-1.0, -2.0]},
    "stroke": {"cut_days": [15.0], "log_hazard": [-3.0]},
}


def follow_up(visits: int = 6) -> Survival:
    time = torch.arange(4.0, 4.0 + 3 * visits, 3)
    return Survival(time, torch.arange(visits) % 2 == 0, torch.ones(visits, dtype=torch.bool), torch.zeros(visits))


def test_an_untrained_objective_costs_what_the_levels_of_training_cost(make_model, make_batch) -> None:
    model, outcome = make_model(), follow_up()
    objective = TimeToEvent(embedding_dim=model.pooling.embedding_dim, registry=REGISTRY, weight=0.5)
    loss = objective(model, make_batch(outcomes={"death": outcome, "stroke": outcome}))
    death = objective.heads["death"]
    expected = death.loss(torch.tensor([[-1.0, -2.0]]).expand(6, 2), outcome)
    torch.testing.assert_close(loss.terms["death"], expected)
    torch.testing.assert_close(loss.total, 0.5 * (loss.terms["death"] + loss.terms["stroke"]) / 2)


def test_the_gradient_reaches_the_encoder_and_the_values_do_not_pass_beside_it(make_model, make_batch) -> None:
    model, outcome = make_model(), follow_up()
    objective = TimeToEvent(embedding_dim=model.pooling.embedding_dim, registry=REGISTRY)
    with torch.no_grad():
        for head in objective.heads.values():
            head.linear.weight.normal_()
    objective(model, make_batch(outcomes={"death": outcome, "stroke": outcome})).total.backward()
    assert any(p.grad is not None and p.grad.any() for p in model.encoder.parameters())
    assert objective.heads["death"].linear.weight.shape == (2, model.pooling.embedding_dim)


@pytest.fixture
def store(tmp_path):
    rows = 40
    values = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    space = FeatureSpace("proteome", ("a", "b", "c"), "local", "log2")
    return write_store(
        tmp_path / "store",
        name="registry",
        visits=pd.DataFrame({"participant_id": [f"P{n}" for n in range(rows)], "visit": "0", "time_days": 0.0}),
        outcomes=pd.DataFrame(
            {
                "death.time_days": np.arange(1.0, rows + 1),
                "death.event": np.arange(rows) % 2.0,
                "rare.time_days": np.arange(1.0, rows + 1),
                "rare.event": (np.arange(rows) == 39).astype(float),
                "bmi": np.arange(float(rows)),
            }
        ),
        outcome_specs={
            "death": OutcomeSpec("death", "survival"),
            "rare": OutcomeSpec("rare", "survival"),
            "bmi": OutcomeSpec("bmi", "quantity"),
        },
        matrices={"proteome": Matrix(space, np.arange(rows), values)},
    )


def asking(*outcomes: str, cut_days=None) -> dict:
    return {"objective": {"time_to_event": {"outcomes": list(outcomes), "cut_days": cut_days}}}


def test_intervals_and_levels_come_from_training_visits_alone(store) -> None:
    train = np.arange(30)  # the one event of 'rare' is not among them
    registry, specs = registry_of(store, train, asking())
    assert list(registry) == [spec.name for spec in specs] == ["death"]
    assert max(registry["death"]["cut_days"]) <= 30
    fixed, _ = registry_of(store, train, asking("death", cut_days=[10.0, 100.0]))
    seen = np.clip(np.arange(1.0, 31) / 10, 0, 1).sum()
    assert fixed["death"]["log_hazard"][0] == pytest.approx(np.log((5 + 0.5) / (seen + 1)))
    assert registry_of(store, train, {"objective": {"masked_features": {}}}) == ({}, ())


def test_what_cannot_be_foretold_is_named(store) -> None:
    with pytest.raises(InputError, match="has no time to an event 'bmi'; known: death, rare"):
        registry_of(store, np.arange(40), asking("bmi"))
    with pytest.raises(InputError, match="none of death, rare has an event at a training visit"):
        registry_of(store, np.array([0, 2, 4]), asking("rare"))
