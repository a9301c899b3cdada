"""OmicsModel: where the evidence stands, what is decoded, and how wide a visit may be."""

import pytest
import torch

from omicsfm.contracts import Batch, Measurement


def test_the_profile_holds_each_visible_value_at_its_features_place(make_model, make_batch) -> None:
    model, batch = make_model(), make_batch()
    batch = batch.query("proteome", batch.measurements["proteome"].feature_ids == 2)
    encoded = model.encode(batch)
    profile = encoded.profile
    start = 0
    for name, parts in model.modalities.items():
        measured = batch.measurements[name]
        for visit in range(len(batch)):
            expected = torch.zeros(parts.tokenizer.num_features)
            for feature, value, seen in zip(
                measured.feature_ids[visit], measured.values[visit], measured.visible[visit], strict=True
            ):
                if seen:
                    expected[feature] = value
            torch.testing.assert_close(profile[visit, start : start + len(expected)], expected)
        start += parts.tokenizer.num_features
    assert profile.any()


def test_the_places_of_the_evidence_tile_it_without_gap_or_overlap(make_model, make_batch) -> None:
    model = make_model()
    evidence = model.read(model.encode(make_batch()))
    numbers = [n for place in model.evidence.values() for n in range(place.start, place.stop)]
    assert numbers == list(range(evidence.shape[1]))
    assert list(model.evidence) == ["embedding", "transcriptome", "proteome", "metabolome"]
    assert model.evidence_dim == evidence.shape[1]


@pytest.mark.parametrize("pooling", ["ConcatenateLatents", "MeanLatents"])
def test_each_pooling_makes_the_embedding_as_long_as_it_says(make_model, make_batch, pooling: str) -> None:
    model = make_model(pooling=pooling)
    encoded = model.encode(make_batch())
    assert encoded.visit.shape[1] == model.pooling.embedding_dim == model.evidence["embedding"].stop
    if pooling == "MeanLatents":
        torch.testing.assert_close(encoded.visit, encoded.latents.mean(dim=1))


def test_an_unknown_modality_is_named_with_the_closest_known_one(make_model, make_batch) -> None:
    model = make_model()
    encoded = model.encode(make_batch())
    with pytest.raises(KeyError, match="did you mean 'proteome'"):
        model.decode(encoded, "proteom", torch.zeros(6, 1, dtype=torch.long))


def test_decoding_a_feature_does_not_depend_on_what_else_is_asked(make_model, make_batch) -> None:
    model = make_model()
    encoded = model.encode(make_batch())
    everything = model.decode(encoded, "proteome", torch.arange(6).expand(6, -1))
    one = model.decode(encoded, "proteome", torch.full((6, 1), 4))
    torch.testing.assert_close(one.mean[:, 0], everything.mean[:, 4])
    torch.testing.assert_close(one.log_scale[:, 0], everything.log_scale[:, 4])


def test_thirty_thousand_features_of_a_visit_fit_in_one_pass(make_model) -> None:
    features = 30_000
    model = make_model(sizes={"transcriptome": features}, dim=4, num_latents=2, depth=1)
    shape = (1, features)
    measured = Measurement(
        feature_ids=torch.arange(features).expand(shape),
        values=torch.randn(shape),
        observed=torch.ones(shape, dtype=torch.bool),
        below_limit=torch.zeros(shape, dtype=torch.bool),
        queried=torch.zeros(shape, dtype=torch.bool),
    )
    nobody = torch.zeros(1, dtype=torch.long)
    batch = Batch(
        participant=nobody,
        time_days=torch.zeros(1),
        row=nobody,
        measurements={"transcriptome": measured},
        outcomes={},
    )
    encoded = model.encode(batch)
    decoded = model.decode(encoded, "transcriptome", measured.feature_ids)
    decoded.negative_log_likelihood(measured.values, measured.below_limit).mean().backward()
    assert encoded.visit.isfinite().all()
    touched = model.modalities["transcriptome"].tokenizer.identity.weight.grad.abs().amax(dim=1) > 0
    assert touched.all()  # every feature took part


def test_the_encoder_starts_as_a_weighted_mean_of_the_profile(make_model, make_batch) -> None:
    model = make_model(scramble=False)
    batch = make_batch(visits=4)
    encoded = model.encode(batch)
    tokens = model.tokenize(batch)
    expected = torch.zeros_like(encoded.latents)
    for visit in range(4):
        own = tokens.visit == visit
        keys = torch.cat([model.encoder.nothing[0], tokens.identities[tokens.feature[own]]])
        weights = (model.encoder.latents @ keys.mT / 8**0.5).softmax(dim=-1)
        expected[visit] = model.encoder.gain * (weights[:, 1:] @ tokens.value[own])
    torch.testing.assert_close(encoded.latents, expected, atol=1e-5, rtol=1e-5)
