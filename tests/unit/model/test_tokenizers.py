"""ContinuousTokenizer: identity and value stay apart."""

from dataclasses import replace

import pytest
import torch

from omicsfm.contracts import Measurement
from omicsfm.model.tokenizers import ContinuousTokenizer


@pytest.fixture
def tokenizer() -> ContinuousTokenizer:
    return ContinuousTokenizer(num_features=5, dim=4, num_frequencies=3)


@pytest.fixture
def measurement() -> Measurement:
    shape = (2, 5)
    return Measurement(
        feature_ids=torch.arange(5).expand(shape),
        values=torch.randn(shape),
        observed=torch.ones(shape, dtype=torch.bool),
        below_limit=torch.zeros(shape, dtype=torch.bool),
        queried=torch.zeros(shape, dtype=torch.bool),
    )


def test_the_training_median_becomes_the_zero_vector(tokenizer, measurement) -> None:
    assert not tokenizer(replace(measurement, values=torch.zeros(2, 5))).any()
    assert tokenizer(measurement).abs().amax(dim=2).gt(0).all()


def test_a_detection_limit_says_something_else_than_the_value_itself(tokenizer, measurement) -> None:
    limits = tokenizer(replace(measurement, below_limit=measurement.observed))
    assert (limits - tokenizer(measurement)).abs().amax(dim=2).gt(1e-4).all()


def test_features_with_one_value_differ_in_value_and_identity(tokenizer, measurement) -> None:
    value = tokenizer(replace(measurement, values=torch.ones(2, 5)))[0]
    identity = tokenizer.joined_identities()
    for a in range(5):
        for b in range(a):
            assert not torch.allclose(value[a], value[b])
            assert not torch.allclose(identity[a], identity[b])


def test_two_modalities_identify_the_same_feature_number_differently(tokenizer) -> None:
    other = ContinuousTokenizer(num_features=5, dim=4, num_frequencies=3)
    other.identity.load_state_dict(tokenizer.identity.state_dict())
    assert not torch.allclose(tokenizer.joined_identities(), other.joined_identities())
