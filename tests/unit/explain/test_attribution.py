"""Attributions sum to what they explain, and both ways through the head count."""

import numpy as np
import pytest
import torch

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.collate import BatchReader
from omicsfm.explain.attribution import TOLERANCE, _with_values, attribute, outputs_of

EVIDENCE = 3 * 8 + 19  # latents x dim, and the features of the three modalities
CLASSES = {"_target_": "omicsfm.heads.classification.ClassificationHead"}
HEADS = {
    "ill": ("class", ("no", "yes"), {**CLASSES, "num_classes": 2}),
    "stage": ("class", ("1", "2", "3"), {**CLASSES, "num_classes": 3}),
    "weight": ("quantity", (), {"_target_": "omicsfm.heads.regression.RegressionHead", "location": 70.0, "unit": 12.0}),
    "death": ("survival", (), {"_target_": "omicsfm.heads.cox.CoxHead"}),
}


class OneBatch(BatchReader):
    """Reads the rows of one batch."""

    def __init__(self, batch) -> None:
        self.batch = batch

    def read(self, rows, *, seed=0):
        return _with_values(self.batch, {}, torch.as_tensor(rows))


@pytest.fixture
def case(make_model, make_batch):
    """A model with one head, a reader of six visits, and the outcome."""

    def make(name, **shape):
        kind, classes, head = HEADS[name]
        model = make_model(heads={name: {**head, "evidence_dim": EVIDENCE}}, **shape).eval()
        return model, OneBatch(make_batch()), OutcomeSpec(name, kind, "visit", classes)

    return make


ROWS = np.arange(6)


@pytest.mark.parametrize("encoder", ["PerceiverEncoder", "TransformerEncoder"])
@pytest.mark.parametrize("name", HEADS)
def test_attributions_of_a_visit_sum_to_its_prediction_minus_the_baselines(case, name, encoder) -> None:
    model, reader, outcome = case(name, encoder=encoder)
    for output in range(len(outputs_of(outcome))):
        found = attribute(model, reader, ROWS, outcome, output=output)
        assert found.gap <= TOLERANCE
        assert found.difference.std() > 0.01
        np.testing.assert_allclose(
            found.total.sum(axis=1), found.difference, atol=0.05 * np.abs(found.difference).max()
        )


def test_what_is_explained_of_two_classes_is_the_log_odds_of_the_second(case) -> None:
    model, reader, outcome = case("ill")
    found = attribute(model, reader, ROWS, outcome)
    batch = reader.read(ROWS)
    nothing = {name: torch.zeros_like(m.values) for name, m in batch.measurements.items()}
    odds = []
    for values in ({}, nothing):
        share = model.predict(model.encode(_with_values(batch, values, torch.arange(6))), outcome.name).softmax(dim=1)
        odds.append(torch.log(share[:, 1] / share[:, 0]).detach().numpy())
    np.testing.assert_allclose(found.difference, odds[0] - odds[1], atol=1e-4)


def test_a_head_that_reads_values_alone_is_explained_by_weight_times_value(case) -> None:
    model, reader, outcome = case("death")
    linear = model.heads["death"].linear
    with torch.no_grad():
        linear.weight[:, : 3 * 8] = 0.0
    found = attribute(model, reader, ROWS, outcome)
    profile = model.encode(reader.read(ROWS)).profile
    expected = (profile * linear.weight[0, 3 * 8 :]).detach().numpy()
    np.testing.assert_allclose(found.through_values, expected, atol=1e-5)
    assert np.abs(found.through_embedding).max() < 1e-6


def test_a_head_that_reads_the_embedding_alone_is_explained_through_it(case) -> None:
    model, reader, outcome = case("death")
    with torch.no_grad():
        model.heads["death"].linear.weight[:, 3 * 8 :] = 0.0
    found = attribute(model, reader, ROWS, outcome)
    assert np.abs(found.through_values).max() == 0
    assert np.abs(found.through_embedding).max() > 0.01


def test_what_was_not_measured_has_no_attribution(case) -> None:
    model, reader, outcome = case("weight")
    found = attribute(model, reader, ROWS, outcome)
    batch = reader.read(ROWS)
    start = 0
    for name, parts in model.modalities.items():
        measured = batch.measurements[name]
        for visit in range(6):
            known = set(measured.feature_ids[visit][measured.visible[visit]].tolist())
            unknown = [start + place for place in range(parts.tokenizer.num_features) if place not in known]
            assert np.abs(found.total[visit, unknown]).sum() == 0
        start += parts.tokenizer.num_features
    assert np.abs(found.total[-1]).sum() == 0  # nothing measured
