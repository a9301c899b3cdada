"""From a config to a model: complete specs, seeded weights, and refusals of what cannot be taught."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from omicsfm.build import build
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.training.assemble import (
    backbone_spec,
    build_model,
    fitted_transforms,
    head_spec,
    objectives,
    require_trainable,
)


def features_of(**sizes: int) -> dict[str, FeatureSpace]:
    return {name: FeatureSpace(name, tuple(f"{name}{n}" for n in range(size))) for name, size in sizes.items()}


def test_the_spec_alone_makes_the_model_again(composed) -> None:
    spec = backbone_spec(composed(), features_of(proteome=7, metabolome=3))
    again = build(json.loads(json.dumps(spec)))
    made = build(spec)
    assert {n: t.shape for n, t in again.state_dict().items()} == {n: t.shape for n, t in made.state_dict().items()}
    assert again.modalities["proteome"].tokenizer.num_features == 7


def test_a_modality_without_a_config_of_its_own_takes_the_generic_one(composed) -> None:
    config = composed("modality.generic.tokenizer.num_frequencies=2", "modality.generic.weight=5")
    features = features_of(proteome=7, microbiome=3)
    model = build(backbone_spec(config, features))
    assert len(model.modalities["microbiome"].tokenizer.frequencies) == 2
    assert len(model.modalities["proteome"].tokenizer.frequencies) == 4
    assert {name: o.weights for name, o in objectives(config, features).items()} == {
        "masked_features": {"proteome": 1.0, "microbiome": 5.0},
        "cross_modal": {"proteome": 1.0, "microbiome": 5.0},
    }


def test_a_modality_with_a_dot_in_its_name_is_refused(composed) -> None:
    with pytest.raises(InputError, match=r"'olink\.v2': a name cannot contain a dot"):
        backbone_spec(composed(), features_of(**{"olink.v2": 3}))


def test_initial_weights_are_decided_by_the_seed_alone(composed) -> None:
    spec = backbone_spec(composed(), features_of(proteome=7))
    first = build_model(spec, seed=1, purpose="initial weights").state_dict()
    torch.manual_seed(99)
    again = build_model(spec, seed=1, purpose="initial weights").state_dict()
    other = build_model(spec, seed=2, purpose="initial weights").state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["summary.weight"], other["summary.weight"])


def test_transforms_know_the_training_rows_alone(simulated_store, training_rows) -> None:
    held_out = np.setdiff1d(np.arange(len(simulated_store)), training_rows)
    ours = fitted_transforms(simulated_store, training_rows)
    others = fitted_transforms(simulated_store, held_out)
    everybody = fitted_transforms(simulated_store, np.arange(len(simulated_store)))
    for name in ours:
        arrays = [t[name].arrays() for t in (ours, others, everybody)]
        center = next(key for key in arrays[0] if key.endswith("center"))
        assert not np.allclose(arrays[0][center], arrays[1][center])
        assert not np.allclose(arrays[0][center], arrays[2][center])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["harmonise=combat", "harmonise.column=plat"], r"no training visit of .* has a 'plat'; did you mean 'plate'"),
        (["harmonise=quantiles", "harmonise.column=site", "harmonise.reference=site_1"], "is the site of no training"),
        (["harmonise=bridging", "harmonise.column=plate"], r"transcriptome: harmonise=bridging: 0 training samples"),
    ],
)
def test_a_harmonisation_that_cannot_be_learnt_is_refused(
    composed, simulated_store, training_rows, overrides: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fitted_transforms(simulated_store, training_rows, composed(*overrides))


def test_plates_carry_the_name_of_their_cohort(composed, simulated_store, training_rows) -> None:
    config = composed("harmonise=combat", "harmonise.column=plate")
    step = fitted_transforms(simulated_store, training_rows, config)["proteome"].steps[0]
    assert all(batch.startswith(f"{simulated_store.name}/") for batch in step.batches)


def test_heads_start_from_the_training_visits_statistics(composed, simulated_store) -> None:
    rows = np.flatnonzero(simulated_store.outcome_observed("bmi"))[:20]
    quantity = head_spec(composed(), simulated_store, simulated_store.outcome("bmi"), rows, 5)
    values = simulated_store.outcomes["bmi"].to_numpy(float)[rows]
    assert (quantity["location"], quantity["unit"]) == pytest.approx((values.mean(), values.std()))
    rows = np.flatnonzero(simulated_store.outcome_observed("severity"))
    spec = simulated_store.outcome("severity")
    head = build(head_spec(composed(), simulated_store, spec, rows, 5))
    counts = simulated_store.outcomes["severity"].iloc[rows].value_counts()
    shares = torch.tensor([counts[label] + 0.5 for label in spec.classes])
    torch.testing.assert_close(head.log_prior.exp(), (shares / shares.sum()).float())
    with_stranger = replace(spec, classes=(*spec.classes, "never seen"))
    stranger = build(head_spec(composed(), simulated_store, with_stranger, rows, 5))
    assert stranger.log_prior.isfinite().all()  # a class without a training visit is rare, not impossible


def test_an_outcome_that_cannot_be_learnt_is_refused(simulated_store) -> None:
    store, outcomes = simulated_store, simulated_store.outcomes
    with pytest.raises(InputError, match="no training visit has a value"):
        require_trainable(store, store.outcome("bmi"), np.zeros(0, np.int64))
    one_class = np.flatnonzero(outcomes["severity"].eq(store.outcome("severity").classes[0]).fillna(False))
    with pytest.raises(InputError, match="at least two classes"):
        require_trainable(store, store.outcome("severity"), one_class)
    alive = np.flatnonzero(outcomes["death.event"] == 0)
    with pytest.raises(InputError, match="has the event"):
        require_trainable(store, store.outcome("death"), alive)
    require_trainable(store, store.outcome("death"), np.arange(len(store)))
