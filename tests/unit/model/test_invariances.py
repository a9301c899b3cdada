"""What an embedding, a decoded value and a prediction may depend on, for every encoder."""

from dataclasses import replace

import pytest
import torch

from omicsfm.contracts import Batch, Measurement

ENCODERS = ("PerceiverEncoder", "TransformerEncoder")
GARBAGE = 1e6

pytestmark = [pytest.mark.parametrize("encoder", ENCODERS), pytest.mark.parametrize("relative", [False, True])]

HEAD = {"bmi": {"_target_": "omicsfm.heads.regression.RegressionHead"}}


@pytest.fixture
def model(make_model, encoder, relative):
    dim = make_model(encoder=encoder, relative=relative).evidence_dim
    return make_model(encoder=encoder, relative=relative, heads={"bmi": {**HEAD["bmi"], "evidence_dim": dim}}).eval()


def answers(model, batch: Batch) -> list[torch.Tensor]:
    """Embedding, evidence, every decoded value and a head's prediction."""
    encoded = model.encode(batch)
    decoded = []
    for name, parts in model.modalities.items():
        everything = torch.arange(parts.tokenizer.num_features).expand(len(batch), -1)
        distribution = model.decode(encoded, name, everything)
        decoded += [distribution.mean, distribution.log_scale]
    return [encoded.visit, model.read(encoded), *decoded, model.predict(encoded, "bmi")]


def assert_equal(ours: list[torch.Tensor], theirs: list[torch.Tensor], *, atol: float = 1e-5) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=1e-5)


def changed(batch: Batch, **measurements: Measurement) -> Batch:
    return batch._with(measurements={**batch.measurements, **measurements})


def spoil(measurement: Measurement, where: torch.Tensor) -> Measurement:
    return replace(
        measurement,
        values=measurement.values.masked_fill(where, GARBAGE),
        below_limit=measurement.below_limit | where,
    )


def test_changing_a_queried_value_changes_no_answer(model, make_batch) -> None:
    batch = make_batch()
    for name in model.modalities:
        where = batch.measurements[name].observed & (torch.rand(batch.measurements[name].values.shape) < 0.5)
        batch = batch.query(name, where)
    before = answers(model, batch)
    for name, measured in batch.measurements.items():
        assert measured.queried.any()
        assert_equal(answers(model, changed(batch, **{name: spoil(measured, measured.queried)})), before)


def test_changing_an_unobserved_value_changes_no_answer(model, make_batch) -> None:
    batch = make_batch()
    before = answers(model, batch)
    for name, measured in batch.measurements.items():
        assert_equal(answers(model, changed(batch, **{name: spoil(measured, ~measured.observed)})), before)


def test_changing_a_visible_value_changes_the_embedding(model, make_batch) -> None:
    batch = make_batch()
    before = model.encode(batch).visit
    measured = batch.measurements["proteome"]
    after = model.encode(changed(batch, proteome=replace(measured, values=measured.values + 1.0 * measured.visible)))
    moved = (after.visit - before).abs().amax(dim=1) > 1e-3
    assert moved.tolist() == measured.visible.any(dim=1).tolist()


def test_a_measured_zero_differs_from_no_measurement_and_from_a_limit_of_zero(model, make_batch) -> None:
    batch = make_batch(sizes={name: parts.tokenizer.num_features for name, parts in model.modalities.items()})
    measured = batch.measurements["proteome"]
    zero = replace(measured, values=torch.zeros_like(measured.values), below_limit=torch.zeros_like(measured.observed))
    absent = replace(zero, observed=torch.zeros_like(measured.observed))
    limit = replace(zero, below_limit=measured.observed)
    views = [model.encode(changed(batch, proteome=view)).visit[1] for view in (zero, absent, limit)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (views[a] - views[b]).abs().max() > 1e-3


def test_an_answer_does_not_depend_on_batch_mates(model, make_batch) -> None:
    batch = make_batch()
    together = answers(model, batch)
    for row in range(len(batch)):
        pick = [row]
        alone = Batch(
            participant=batch.participant[pick],
            time_days=batch.time_days[pick],
            row=batch.row[pick],
            measurements={
                name: Measurement(**{field: value[pick] for field, value in vars(measured).items()})
                for name, measured in batch.measurements.items()
            },
            outcomes={},
        )
        assert_equal(answers(model, alone), [answer[pick] for answer in together])


def test_an_answer_does_not_depend_on_padding(model, make_batch) -> None:
    batch = make_batch()
    padded = {}
    for name, measured in batch.measurements.items():
        places = (len(batch), 11)
        wide = {
            "feature_ids": torch.zeros(places, dtype=torch.long),
            "values": torch.full(places, GARBAGE),
            "observed": torch.zeros(places, dtype=torch.bool),
            "below_limit": torch.ones(places, dtype=torch.bool),
            "queried": torch.zeros(places, dtype=torch.bool),
        }
        fields = {field: torch.cat([wide[field], value], dim=1) for field, value in vars(measured).items()}
        padded[name] = Measurement(**fields)
    assert_equal(answers(model, changed(batch, **padded)), answers(model, batch))


def test_an_answer_does_not_depend_on_the_order_of_features(model, make_batch) -> None:
    batch = make_batch()
    shuffled = {}
    for name, measured in batch.measurements.items():
        order = torch.rand(measured.values.shape).argsort(dim=1)
        shuffled[name] = Measurement(**{field: value.gather(1, order) for field, value in vars(measured).items()})
    assert_equal(answers(model, changed(batch, **shuffled)), answers(model, batch))


def test_an_empty_visit_has_a_finite_embedding_and_finite_gradients(model, make_batch) -> None:
    batch = make_batch(visits=3, share=0.0)
    results = answers(model, batch)
    assert all(result.isfinite().all() for result in results)
    torch.testing.assert_close(results[0][0], results[0][2])  # nothing is known of either
    sum(result.square().sum() for result in results).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_batch_without_visits_gives_empty_answers_and_zero_gradients(model, make_batch) -> None:
    batch = make_batch(visits=0)
    results = answers(model, batch)
    assert results[0].shape == (0, model.pooling.embedding_dim)
    sum(result.sum() for result in results).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients  # on a rank without a visit the graph is the same
    assert all(not gradient.any() for gradient in gradients)


def test_every_parameter_of_the_backbone_gets_a_gradient(model, make_batch) -> None:
    sum(answer.square().sum() for answer in answers(model, make_batch())).backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not idle  # a parameter without gradient stops DDP
