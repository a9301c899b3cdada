"""Masked features and cross-modal prediction: what is withheld, and how modalities count."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from omicsfm.contracts import Batch, Loss, Measurement
from omicsfm.objectives.cross_modal import CrossModal
from omicsfm.objectives.masked_features import MaskedFeatures
from omicsfm.objectives.reconstruction import mean_where, reconstruct
from omicsfm.objectives.whole_profile import WholeProfile

WIDE = {"transcriptome": 400, "proteome": 300, "metabolome": 200}
OBJECTIVES = pytest.mark.parametrize("objective", [MaskedFeatures(), CrossModal()], ids=["masked", "cross_modal"])
FEATUREWISE = pytest.mark.parametrize("objective", [MaskedFeatures(), WholeProfile()], ids=["masked", "whole"])


def pick(batch: Batch, rows: list[int]) -> Batch:
    return Batch(
        participant=batch.participant[rows],
        time_days=batch.time_days[rows],
        row=batch.row[rows],
        measurements={
            name: Measurement(**{field: value[rows] for field, value in vars(measured).items()})
            for name, measured in batch.measurements.items()
        },
        outcomes={},
        seed=batch.seed,
    )


def without(batch: Batch, name: str) -> Batch:
    nothing = replace(batch.measurements[name], observed=torch.zeros_like(batch.measurements[name].observed))
    return batch._with(measurements={**batch.measurements, name: nothing})


def run(objective: Any, model: Any, batch: Batch) -> tuple[Loss, Batch]:
    """The loss, and the view that the model was allowed to encode."""
    views: list[Batch] = []
    encode = type(model).encode

    def spy(view: Batch) -> Any:
        views.append(view)
        return encode(model, view)

    model.encode = spy
    try:
        loss = objective(model, batch)
    finally:
        del model.encode
    (view,) = views
    return loss, view


def withheld(view: Batch) -> dict[int, dict[str, frozenset[int]]]:
    """Per visit and modality the features that were withheld."""
    return {
        int(row): {
            name: frozenset(m.feature_ids[number][m.queried[number]].tolist()) for name, m in view.measurements.items()
        }
        for number, row in enumerate(view.row)
    }


@OBJECTIVES
def test_what_is_withheld_from_a_visit_does_not_depend_on_order_batch_mates_or_padding(
    objective, make_model, make_batch
) -> None:
    model, batch = make_model(sizes=WIDE), make_batch(sizes=WIDE)
    whole = withheld(run(objective, model, batch)[1])
    assert any(features for parts in whole.values() for features in parts.values())
    rows = [4, 1, 3]
    part = pick(batch, rows)
    wider = {
        name: Measurement(**{f: torch.cat([torch.zeros_like(v), v], dim=1) for f, v in vars(m).items()})
        for name, m in part.measurements.items()
    }
    alone = withheld(run(objective, model, part._with(measurements=wider))[1])
    assert alone == {row: whole[row] for row in (104, 101, 103)}


@OBJECTIVES
def test_another_seed_withholds_other_values_and_the_same_seed_the_same(objective, make_model, make_batch) -> None:
    model, batch = make_model(sizes=WIDE), make_batch(sizes=WIDE, visits=12)
    first = withheld(run(objective, model, batch)[1])
    assert withheld(run(objective, model, batch)[1]) == first
    assert withheld(run(objective, model, batch._with(seed=1))[1]) != first


@OBJECTIVES
def test_the_loss_is_scored_on_withheld_values_alone(objective, make_model, make_batch) -> None:
    """A visible value reaches the loss through the encoder only: with a blind encoder it does not reach it."""
    model, batch = make_model(), make_batch()
    with torch.no_grad():
        model.summary.weight.zero_()
    loss, view = run(objective, model, batch)
    moved = {
        name: replace(m, values=m.values + 5.0 * view.measurements[name].visible)
        for name, m in batch.measurements.items()
    }
    torch.testing.assert_close(objective(model, batch._with(measurements=moved)).total, loss.total)
    asked = {
        name: replace(m, values=m.values + 5.0 * view.measurements[name].queried)
        for name, m in batch.measurements.items()
    }
    assert objective(model, batch._with(measurements=asked)).total != loss.total


def test_the_withheld_share_of_each_visit_lies_between_the_ratios(make_model, make_batch) -> None:
    model, batch = make_model(sizes=WIDE), make_batch(sizes=WIDE, visits=200)
    _, view = run(MaskedFeatures(min_ratio=0.3, max_ratio=0.6), model, batch)
    observed = sum(m.observed.sum(dim=1) for m in batch.measurements.values())[:-1]
    share = sum(m.queried.sum(dim=1) for m in view.measurements.values())[:-1] / observed
    noise = 4 * (0.25 / observed).sqrt()
    assert (share > 0.3 - noise).all()
    assert (share < 0.6 + noise).all()
    assert share.mean().item() == pytest.approx(0.45, abs=0.02)  # standard error 0.006
    assert share.std().item() == pytest.approx(0.3 / 12**0.5, abs=0.02)


def test_whole_modalities_are_withheld_and_one_that_is_there_is_always_kept(make_model, make_batch) -> None:
    model, batch = make_model(), make_batch(visits=200, share=0.9)
    _, view = run(CrossModal(drop=0.9), model, batch)
    queried = torch.stack([m.queried.any(dim=1) for m in view.measurements.values()], dim=1)
    visible = torch.stack([m.visible.any(dim=1) for m in view.measurements.values()], dim=1)
    assert not (queried & visible).any()  # all of a modality or nothing of it
    assert visible[:-1].any(dim=1).all()
    assert queried[:-1].sum(dim=1).float().mean() > 1.5  # of three, nine in ten, one always kept
    one = without(without(batch, "proteome"), "metabolome")
    assert not any(m.queried.any() for m in run(CrossModal(drop=0.9), model, one)[1].measurements.values())


def test_each_modality_is_dropped_about_as_often(make_model, make_batch) -> None:
    model, batch = make_model(), make_batch(visits=1500, share=1.0, sizes={"proteome": 6, "metabolome": 4, "x": 1})
    model = make_model(sizes={"proteome": 6, "metabolome": 4, "x": 1})
    _, view = run(CrossModal(drop=0.5), model, pick(batch, list(range(1, 1499))))
    dropped = torch.stack([m.queried.float().mean() for m in view.measurements.values()])
    # kept: the largest of three draws, so 1/2 less the chance that all three lie under 1/2 and this is the largest
    torch.testing.assert_close(dropped, torch.full((3,), 0.5 - 0.125 / 3), atol=0.06, rtol=0)


@OBJECTIVES
def test_a_modality_absent_everywhere_counts_nothing_and_keeps_its_place_in_the_graph(
    objective, make_model, make_batch
) -> None:
    model, batch = make_model(), make_batch(visits=30)
    loss = objective(model, without(batch, "metabolome"))
    assert loss.terms["metabolome"].item() == 0.0
    others = [term for name, term in loss.terms.items() if name != "metabolome"]
    torch.testing.assert_close(loss.total, torch.stack(others).mean())
    loss.total.backward()
    for name in ("decoder", "tokenizer"):
        gradients = [p.grad for p in getattr(model.modalities["metabolome"], name).parameters()]
        assert all(gradient is not None and not gradient.any() for gradient in gradients)


@OBJECTIVES
@pytest.mark.parametrize("visits", [0, 2])
def test_a_batch_without_anything_measured_has_a_zero_loss_with_gradient(
    objective, make_model, make_batch, visits: int
) -> None:
    model = make_model()
    loss = objective(model, make_batch(visits=visits, share=0.0))
    assert loss.total.item() == 0.0
    loss.total.backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.summary.parameters())


def test_modalities_count_by_their_weight_and_not_by_their_number_of_features(make_model, make_batch) -> None:
    """Each modality's mean first, then the weights: measuring every feature of one twice changes nothing."""
    model, batch = make_model(), make_batch()
    weights = {"transcriptome": 3.0, "proteome": 1.0}
    asked = {name: m.observed for name, m in batch.measurements.items()}
    encoded = model.encode(batch)
    loss = reconstruct(model, encoded, batch, asked, weights)
    means = {}
    for name, m in batch.measurements.items():
        each = model.decode(encoded, name, m.feature_ids).negative_log_likelihood(m.values, m.below_limit)
        means[name] = each[m.observed].mean()
        torch.testing.assert_close(loss.terms[name], means[name])
    expected = (3 * means["transcriptome"] + means["proteome"] + means["metabolome"]) / 5
    torch.testing.assert_close(loss.total, expected)

    twice = {f: torch.cat([v, v], dim=1) for f, v in vars(batch.measurements["transcriptome"]).items()}
    doubled = batch._with(measurements={**batch.measurements, "transcriptome": Measurement(**twice)})
    more = reconstruct(model, encoded, doubled, {**asked, "transcriptome": twice["observed"]}, weights)
    torch.testing.assert_close(more.total, loss.total)


def test_a_mean_over_nothing_is_zero_and_garbage_outside_is_not_read() -> None:
    values = torch.tensor([1.0, float("inf"), 3.0], requires_grad=True)
    mean, count = mean_where(values, torch.tensor([True, False, True]))
    assert mean.item() == 2.0
    assert count.item() == 2
    mean.backward()
    torch.testing.assert_close(values.grad, torch.tensor([0.5, 0.0, 0.5]))
    nothing, count = mean_where(values, torch.zeros(3, dtype=torch.bool))
    assert nothing.item() == 0.0
    assert count.item() == 0
    assert nothing.requires_grad


def test_the_whole_profile_is_asked_for_whatever_was_shown(make_model, make_batch) -> None:
    """Every measured value moves the loss, one that is shown too, even where the encoder is blind."""
    model, batch = make_model(), make_batch()
    with torch.no_grad():
        model.summary.weight.zero_()
    loss, view = run(WholeProfile(), model, batch)
    shown = {name: m.visible for name, m in view.measurements.items()}
    assert any(where.any() for where in shown.values())
    moved = {name: replace(m, values=m.values + 5.0 * shown[name]) for name, m in batch.measurements.items()}
    assert WholeProfile()(model, batch._with(measurements=moved)).total > loss.total + 0.1


def test_the_whole_profile_is_sometimes_shown_whole_and_sometimes_hardly(make_model, make_batch) -> None:
    model, batch = make_model(sizes=WIDE), make_batch(sizes=WIDE, visits=200)
    _, view = run(WholeProfile(max_ratio=0.8), model, batch)
    observed = sum(m.observed.sum(dim=1) for m in batch.measurements.values())[:-1]
    share = sum(m.queried.sum(dim=1) for m in view.measurements.values())[:-1] / observed
    assert share.min() < 0.05
    assert 0.75 < share.max() < 0.8 + 4 * (0.25 / observed.min()) ** 0.5


@FEATUREWISE
def test_features_withheld_do_not_depend_on_other_modalities(objective, make_model, make_batch) -> None:
    model, batch = make_model(sizes=WIDE), make_batch(sizes=WIDE)
    whole = withheld(run(objective, model, batch)[1])
    fewer = withheld(run(objective, model, without(batch, "metabolome"))[1])
    assert all(fewer[row]["proteome"] == whole[row]["proteome"] for row in whole)
