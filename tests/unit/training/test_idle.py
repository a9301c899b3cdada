"""Weights that no objective reads do not train; all others do."""

import pytest

from omicsfm.objectives.contrastive import Contrastive
from omicsfm.objectives.masked_features import MaskedFeatures
from omicsfm.training.idle import freeze_idle


@pytest.mark.parametrize(
    "objective, idle",
    [(MaskedFeatures(), set()), (Contrastive(weight=1.0, temperature=0.1), {"decoder", "summary"})],
)
def test_what_an_objective_does_not_read_stays_as_it_is(objective, idle, make_model, make_batch) -> None:
    model = make_model()
    freeze_idle(model, {"only": objective}, make_batch())
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert {part for name in frozen for part in ("decoder", "summary") if part in name} == idle
    assert all("decoder" in name or "summary" in name for name in frozen)
    assert all(parameter.requires_grad for parameter in objective.parameters())
