"""Adaptations: what they leave in the model, and that tuning is not worse than the probe it starts from."""

import numpy as np
import pytest
import torch

from omicsfm.data.collate import read_outcome
from omicsfm.inference import embed, evidence, predict, reader_for
from omicsfm.model import lora
from omicsfm.training import adaptations
from omicsfm.training.finetune import adapt, finetune
from omicsfm.training.members import fit_members, target_of


def config_of(composed, adaptation: str, *overrides: str):
    return composed("task=finetune", f"adaptation={adaptation}", "task.epochs=2", *overrides)


def tune(store, checkpoint, outcome: str, rows: np.ndarray, config):
    spec = store.outcome(outcome)
    return adapt(reader_for(checkpoint, store, outcome=spec), checkpoint, spec, rows, config)


def known(store, rows: np.ndarray, outcome: str) -> np.ndarray:
    return rows[store.outcome_observed(outcome)[rows]]


@pytest.mark.parametrize(
    ("adaptation", "outcome"),
    [
        ("probe", "severity"),
        ("probe", "death"),
        ("stack", "bmi"),
        ("stack", "death"),
        ("lora", "bmi"),
        ("lora", "responder"),
        ("full", "severity"),
        ("full", "death"),
    ],
)
def test_each_adaptation_leaves_a_plain_model_that_predicts(
    composed, simulated_store, pretrained, training_rows, adaptation: str, outcome: str
) -> None:
    spec = simulated_store.outcome(outcome)
    rows = known(simulated_store, training_rows, outcome)
    config = config_of(composed, adaptation)
    model, model_spec, adapted = tune(simulated_store, pretrained, outcome, rows, config)
    names = {name for name in model.state_dict() if not name.startswith("heads.")}
    assert names == set(pretrained.model.state_dict())  # no name of a parametrization
    assert list(model_spec["heads"]) == [outcome]
    predicted = predict(model, reader_for(pretrained, simulated_store), np.arange(len(simulated_store)), head=outcome)
    assert predicted.isfinite().all()
    assert predicted.float().std(dim=0).max() > 0
    if spec.kind == "class":
        torch.testing.assert_close(predicted.sum(dim=1), torch.ones(len(predicted)))
    if spec.kind == "survival":
        head = model.heads[outcome]
        curve = head.survival_probability(predicted, torch.tensor([0.0, 365.0, 5000.0]))
        assert (curve.diff(dim=1) <= 0).all()
        assert curve[:, -1].max() < 1.0
    if adaptation in ("lora", "full"):
        assert adapted.chosen["validation loss"] <= adapted.chosen["probe validation loss"]


@pytest.mark.parametrize("adaptation", ["probe", "stack"])
def test_probe_and_stack_leave_the_encoder_as_it_was(
    composed, simulated_store, pretrained, training_rows, adaptation: str
) -> None:
    rows = known(simulated_store, training_rows, "severity")
    model, _, adapted = tune(simulated_store, pretrained, "severity", rows, config_of(composed, adaptation))
    for name, tensor in pretrained.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    assert sum(adapted.chosen.values()) == pytest.approx(1.0)
    read = model.heads["severity"].linear.weight.abs().sum(dim=0) > 0
    places = model.evidence
    if adaptation == "probe":
        assert read[places["embedding"]].any()
    else:
        assert "weight of embedding" in adapted.chosen
    assert read[places["proteome"]].any().item() == (adaptation == "stack")


def test_the_head_of_a_stack_is_the_weighted_mean_of_its_members(
    composed, simulated_store, pretrained, training_rows, monkeypatch
) -> None:
    made = []
    stack = adaptations.stack
    monkeypatch.setattr(adaptations, "stack", lambda *a: made.append((a[0], a[2], stack(*a))) or made[-1][2])
    rows = known(simulated_store, training_rows, "bmi")
    model, _, adapted = tune(simulated_store, pretrained, "bmi", rows, config_of(composed, "stack"))
    reader = reader_for(pretrained, simulated_store)
    fitted = fit_members(
        model,
        evidence(model, reader, rows),
        target_of(read_outcome(simulated_store, simulated_store.outcome("bmi"), rows), simulated_store.outcome("bmi")),
        groups=simulated_store.participant_number[rows],
        seed=config_of(composed, "stack")["seed"],
        members=[
            tuple(model.modalities),
            *((name,) for name in ("embedding", *model.modalities, "relative", "kernel")),
        ],
    )
    ((held_out, doubted, stacked),) = made
    assert doubted.tolist() == [member.name == "embedding" for member in fitted]
    np.testing.assert_allclose(held_out, np.stack([member.fit.held_out for member in fitted]))
    seen = evidence(model, reader, rows).astype(np.float64)
    each = np.stack([member.fit.linear_predictor(seen[:, member.columns]) for member in fitted])
    np.testing.assert_allclose(
        predict(model, reader, rows, head="bmi").numpy(), stacked.combine(each)[:, 0], rtol=1e-4, atol=1e-3
    )
    assert list(adapted.chosen.values()) == pytest.approx(list(stacked.weights))


@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_tuning_that_ends_worse_than_the_probe_returns_to_it(
    composed, simulated_store, pretrained, training_rows, adaptation: str
) -> None:
    rows = known(simulated_store, training_rows, "responder")
    config = config_of(composed, adaptation, "adaptation.learning_rate=3.0", "task.gradient_clip=1e9")
    model, _, adapted = tune(simulated_store, pretrained, "responder", rows, config)
    assert adapted.chosen["validation loss"] == adapted.chosen["probe validation loss"]
    everybody = np.arange(len(simulated_store))
    reader = reader_for(pretrained, simulated_store)
    np.testing.assert_allclose(
        embed(model, reader, everybody), embed(pretrained.model, reader, everybody), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_what_is_kept_has_the_reported_validation_loss(
    composed, simulated_store, pretrained, training_rows, adaptation: str, monkeypatch
) -> None:
    """Measured on the model that comes back, and lower than the probe's where tuning helps."""
    tasks = []
    validation_loss = adaptations._validation_loss
    monkeypatch.setattr(
        adaptations, "_validation_loss", lambda model, task: tasks.append(task) or validation_loss(model, task)
    )
    rows = known(simulated_store, training_rows, "bmi")
    config = config_of(composed, adaptation, "adaptation.learning_rate=5.0e-3", "task.epochs=4")
    model, _, adapted = tune(simulated_store, pretrained, "bmi", rows, config)
    assert validation_loss(model, tasks[-1]) == pytest.approx(adapted.chosen["validation loss"], rel=1e-5)
    assert len(tasks) == 2


def test_lora_trains_corrections_of_tokenizers_and_encoder_alone(
    composed, simulated_store, pretrained, training_rows, monkeypatch
) -> None:
    adapted_layers = []
    add_low_rank = lora.add_low_rank

    def spy(module, **settings) -> None:
        add_low_rank(module, **settings)
        adapted_layers.append({n for n, p in module.named_parameters() if p.requires_grad})

    monkeypatch.setattr(adaptations, "add_low_rank", spy)
    rows = known(simulated_store, training_rows, "responder")
    config = config_of(composed, "lora", "task.epochs=1")
    adapt(
        reader_for(pretrained, simulated_store, outcome=simulated_store.outcome("responder")),
        pretrained,
        simulated_store.outcome("responder"),
        rows,
        config,
    )
    assert len(adapted_layers) == 1 + len(pretrained.model.modalities)
    assert all(name.endswith((".a", ".b")) for names in adapted_layers for name in names)


def test_a_modality_without_a_training_visit_is_no_member_of_a_stack(
    composed, simulated_store, pretrained, training_rows
) -> None:
    without = np.setdiff1d(training_rows, simulated_store.modalities["metabolome"].rows)
    extra = np.setdiff1d(training_rows, simulated_store.modalities["proteome"].rows)
    rows = known(simulated_store, without, "bmi")
    assert len(rows) > 10
    assert len(extra)
    _, _, adapted = tune(simulated_store, pretrained, "bmi", rows, config_of(composed, "stack"))
    assert not any("metabolome" in name for name in adapted.chosen)
    assert any("proteome" in name for name in adapted.chosen)


def test_a_fine_tuned_checkpoint_knows_the_people_of_both_trainings(
    composed, simulated_store, pretrained, tmp_path
) -> None:
    rows = np.flatnonzero(simulated_store.participant_number >= 20)
    finetune(
        simulated_store,
        checkpoint=pretrained,
        outcome=simulated_store.outcome("responder"),
        rows=rows,
        config=config_of(composed, "probe"),
        directory=tmp_path / "tuned",
    )
    from omicsfm.checkpoint import load_checkpoint

    people = simulated_store.visits["participant_id"].astype(str).drop_duplicates().tolist()
    seen = dict(zip(people, load_checkpoint(tmp_path / "tuned").saw(people), strict=True))
    trained = known(simulated_store, rows, "responder")
    expected = set(simulated_store.visits["participant_id"].iloc[trained]) | set(people[:40])
    assert {person for person, was in seen.items() if was} == expected


@pytest.mark.parametrize("outcome", ["responder", "bmi", "death"])
def test_an_encoder_that_says_nothing_leaves_the_linear_stack(
    composed, simulated_store, pretrained, training_rows, monkeypatch, outcome: str
) -> None:
    rows = known(simulated_store, training_rows, outcome)
    reader, everybody = reader_for(pretrained, simulated_store), np.arange(len(simulated_store))
    without, _, _ = tune(simulated_store, pretrained, outcome, rows, config_of(composed, "without_encoder"))
    assert not without.heads[outcome].linear.weight[:, without.evidence["embedding"]].any()

    def muted(model, *arguments):
        values = evidence(model, *arguments)
        values[:, model.evidence["embedding"]] = 0.0
        return values

    monkeypatch.setattr(adaptations, "evidence", muted)
    mute, _, adapted = tune(simulated_store, pretrained, outcome, rows, config_of(composed, "stack"))
    assert adapted.chosen["weight of embedding"] == pytest.approx(0.0, abs=1e-9)
    ours, theirs = (predict(model, reader, everybody, head=outcome) for model in (mute, without))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("outcome", ["responder", "bmi", "death"])
def test_the_linear_baseline_as_a_head_reads_values_alone(
    composed, simulated_store, pretrained, training_rows, outcome: str
) -> None:
    rows = known(simulated_store, training_rows, outcome)
    model, _, _ = tune(simulated_store, pretrained, outcome, rows, config_of(composed, "linear"))
    weight = model.heads[outcome].linear.weight
    for part in ("embedding", "relative", "kernel"):
        assert not weight[:, model.evidence[part]].any()
    assert weight.any()


def test_late_fusion_as_a_head_is_the_mean_of_one_model_for_each_modality(
    composed, simulated_store, pretrained, training_rows
) -> None:
    rows = known(simulated_store, training_rows, "bmi")
    model, _, adapted = tune(simulated_store, pretrained, "bmi", rows, config_of(composed, "late_fusion"))
    shares = list(adapted.chosen.values())
    np.testing.assert_allclose(shares, 1 / len(shares))
    assert len(shares) == len(model.modalities)
    assert not model.heads["bmi"].linear.weight[:, model.evidence["embedding"]].any()
