"""The identity of a feature: its own and what is known of it."""

import torch

from omicsfm.model.tokenizers import ContinuousTokenizer


def tokenizer(prior_dim: int | None) -> ContinuousTokenizer:
    torch.manual_seed(0)
    return ContinuousTokenizer(num_features=5, dim=8, num_frequencies=2, prior_dim=prior_dim)


def test_features_with_like_vectors_have_like_identities() -> None:
    own = tokenizer(3)
    own.set_prior(torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 0, 0]]))
    one, same, other = own.identities()[:3]
    assert (one - same).norm() < 0.5 * (one - other).norm()


def test_a_feature_that_nothing_is_known_of_keeps_an_identity_of_its_own() -> None:
    plain, own = tokenizer(None), tokenizer(3)
    own.identity.load_state_dict(plain.identity.state_dict())
    own.set_prior(torch.tensor([[1.0, 0, 0]] * 4 + [[0.0, 0, 0]]))
    torch.testing.assert_close(own.identities()[4], plain.identities()[4])


def test_the_vectors_are_saved_and_do_not_train() -> None:
    own = tokenizer(3)
    own.set_prior(torch.randn(5, 3))
    assert "prior.vectors" in own.state_dict()
    assert "prior.vectors" not in dict(own.named_parameters())
    own.identities().sum().backward()
    assert own.prior.project.weight.grad.any()
    assert own.identity.weight.grad.all()


def test_only_the_direction_of_a_vector_counts() -> None:
    own, vectors = tokenizer(3), torch.randn(5, 3)
    own.prior.set_vectors(vectors)
    before = own.prior()
    own.prior.set_vectors(vectors * torch.tensor([[0.1], [1], [2], [30], [400]]))
    torch.testing.assert_close(own.prior(), before)
