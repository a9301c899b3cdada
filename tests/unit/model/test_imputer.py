"""A modality that a visit lacks is read from its others; one that it has is left to the decoder."""

import numpy as np
import pytest
import torch

from omicsfm.model.decoders import Gaussian
from omicsfm.model.imputer import ProfileImputer

SIZES = {"proteome": 6, "metabolome": 4}
EVIDENCE = 5


@pytest.fixture
def filled() -> ProfileImputer:
    generator = np.random.default_rng(0)
    imputer = ProfileImputer(sizes=SIZES, evidence_dim=EVIDENCE, rank=3)
    imputer.fill(
        "metabolome",
        center=generator.normal(size=4),
        weight=generator.normal(size=(EVIDENCE, 2)),
        basis=generator.normal(size=(2, 4)),
    )
    return imputer.eval()


def asked(imputer: ProfileImputer, modality: str, evidence: torch.Tensor) -> torch.Tensor:
    """The means of features 2 and 0 of two visits, of which the second lacks the modality."""
    said = Gaussian(mean=torch.full((2, 2), 7.0), log_scale=torch.zeros(2, 2))
    lacking = torch.tensor([False, True])
    return imputer(said, modality, evidence, lacking, torch.tensor([[2, 0], [2, 0]])).mean


def test_only_a_visit_that_lacks_the_modality_is_read_from_the_others(filled: ProfileImputer) -> None:
    evidence = torch.randn(2, EVIDENCE)
    mean = asked(filled, "metabolome", evidence)
    expected = filled.center_1 + evidence[1] @ filled.weight_1 @ filled.basis_1
    assert mean[0].tolist() == [7.0, 7.0]
    torch.testing.assert_close(mean[1], expected[[2, 0]])


def test_training_and_a_modality_without_a_regression_are_left_to_the_decoder(filled: ProfileImputer) -> None:
    assert filled.answers("metabolome")
    assert not filled.answers("proteome")
    assert not filled.train().answers("metabolome")
