"""Values relative to the visit's own level: what a dilution leaves."""

from dataclasses import replace

import pytest
import torch

from omicsfm.model.relative import RelativeProfile

SIZES = {"proteome": 40, "clinical": 3, "metabolome": 300}


@pytest.fixture
def made() -> RelativeProfile:
    return RelativeProfile(sizes=SIZES, covariates=["clinical"], limit=2.0)


@pytest.fixture
def profile() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(20, sum(SIZES.values()))


def all_visible(profile: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(profile, dtype=torch.bool)


def test_a_diluted_sample_keeps_its_profile(made, profile) -> None:
    """All of an assay one spread lower, as in dilute urine: little of it is left, where the values keep all."""
    diluted = profile.clone()
    diluted[:, 43:] -= 1.0
    moved = made(diluted, all_visible(profile)) - made(profile, all_visible(profile))
    assert not moved[:, :43].any()  # each modality has a level of its own
    assert moved[:, 43:].abs().mean() < 0.25


def test_what_is_left_has_no_level_and_keeps_the_order_within_an_assay(made, profile) -> None:
    relative = made(profile, all_visible(profile))
    torch.testing.assert_close(relative[:, :40].sum(dim=1), torch.zeros(20), atol=1e-5, rtol=0)
    assert torch.equal(relative[:, :40].argsort(dim=1), profile[:, :40].argsort(dim=1))
    assert torch.equal(relative[:, 40:43], profile[:, 40:43])  # age is not relative to sex


def test_a_value_that_is_not_there_is_zero_and_no_part_of_the_level(made, profile) -> None:
    visible = torch.rand_like(profile) < 0.5
    visible[3] = False
    shown = profile * visible
    relative = made(shown, visible)
    assert not relative[~visible].any()
    own = 2 * torch.tanh(profile[0, :40][visible[0, :40]] / 2)
    torch.testing.assert_close(relative[0, :40][visible[0, :40]], own - own.mean())


def test_one_wild_value_moves_the_others_little(made, profile) -> None:
    wild = profile.clone()
    wild[:, 100] = 1e6
    moved = made(wild, all_visible(profile)) - made(profile, all_visible(profile))
    others = torch.arange(profile.shape[1]) != 100
    assert moved[:, others].abs().max() < 4 / 300


def test_a_batch_without_visits_has_no_rows(made) -> None:
    assert made(torch.zeros(0, 343), torch.zeros(0, 343, dtype=torch.bool)).shape == (0, 343)


def test_the_encoder_reads_relative_values_and_a_head_both(make_model, make_batch) -> None:
    """Against a model with the same weights that is shown relative values as if they had been measured."""
    with_levels, bare, batch = make_model(relative=True), make_model(), make_batch()
    relative = with_levels.relative(*with_levels.profile(batch))
    panels = relative.split([parts.tokenizer.num_features for parts in bare.modalities.values()], dim=1)
    shown = {
        name: replace(m, values=panel.gather(1, m.feature_ids))
        for (name, m), panel in zip(batch.measurements.items(), panels, strict=True)
    }
    encoded = with_levels.encode(batch)
    torch.testing.assert_close(encoded.visit, bare.encode(batch._with(measurements=shown)).visit)
    assert (encoded.visit - bare.encode(batch).visit).abs().max() > 1e-3
    read, places = with_levels.read(encoded), with_levels.evidence
    torch.testing.assert_close(read[:, places["relative"]], relative)
    values = torch.cat([read[:, places[name]] for name in batch.measurements], dim=1)
    torch.testing.assert_close(values, with_levels.profile(batch)[0])
