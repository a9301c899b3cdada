"""OutcomePrediction: the sum of the heads' losses."""

import torch

from omicsfm.contracts import ClassLabel, Quantity
from omicsfm.objectives.outcome import OutcomePrediction


def test_each_head_is_trained_on_the_outcome_of_its_name_and_weighted(make_model, make_batch) -> None:
    dim = make_model().evidence_dim
    heads = {
        "bmi": {"_target_": "omicsfm.heads.regression.RegressionHead", "evidence_dim": dim},
        "ill": {
            "_target_": "omicsfm.heads.classification.ClassificationHead",
            "evidence_dim": dim,
            "num_classes": 2,
        },
    }
    model = make_model(heads=heads)
    observed = torch.tensor([True] * 5 + [False])
    outcomes = {
        "ill": ClassLabel(class_id=torch.tensor([0, 1, 1, 0, 1, 0]), observed=observed),
        "bmi": Quantity(value=torch.randn(6), observed=observed),
        "unasked": Quantity(value=torch.full((6,), 1e6), observed=observed),
    }
    batch = make_batch(outcomes=outcomes)
    encoded = model.encode(batch)
    parts = {name: model.heads[name].loss(model.predict(encoded, name), outcomes[name]) for name in heads}
    loss = OutcomePrediction(weights={"ill": 4.0})(model, batch)
    assert set(loss.terms) == set(heads)
    torch.testing.assert_close(loss.total, parts["bmi"] + 4.0 * parts["ill"])
