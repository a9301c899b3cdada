"""Low-rank adaptation: it starts at the pretrained model, trains corrections alone and leaves a plain model."""

import torch
from torch import nn

from omicsfm.model.lora import add_low_rank, merge_low_rank


def test_adaptation_starts_at_the_pretrained_model(make_model, make_batch) -> None:
    model, batch = make_model(), make_batch()
    before = model.encode(batch).visit
    add_low_rank(model.encoder, rank=2, alpha=4.0)
    torch.testing.assert_close(model.encode(batch).visit, before)


def test_only_the_corrections_train(make_model) -> None:
    model = make_model()
    add_low_rank(model.encoder, rank=2, alpha=4.0)
    trainable = {name for name, parameter in model.encoder.named_parameters() if parameter.requires_grad}
    assert trainable
    assert all(name.endswith((".a", ".b")) for name in trainable)


def test_merging_keeps_the_function_and_leaves_plain_names(make_model, make_batch) -> None:
    model, batch = make_model(), make_batch()
    names = set(model.state_dict())
    pretrained = model.encode(batch).visit
    add_low_rank(model.encoder, rank=2, alpha=4.0)
    with torch.no_grad():
        for name, parameter in model.encoder.named_parameters():
            if name.endswith(".b"):
                parameter.normal_()
    adapted = model.encode(batch).visit
    assert not torch.allclose(adapted, pretrained)
    merge_low_rank(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model.encode(batch).visit, adapted, atol=1e-5, rtol=1e-5)


def test_the_correction_has_the_rank_and_scale_it_was_asked_for() -> None:
    layer = nn.Sequential(nn.Linear(6, 5, bias=False))
    before = layer[0].weight.detach().clone()
    add_low_rank(layer, rank=2, alpha=6.0)
    correction = layer[0].parametrizations.weight[0]
    with torch.no_grad():
        correction.b.normal_()
        expected = 3.0 * correction.b @ correction.a
    change = layer[0].weight.detach() - before
    torch.testing.assert_close(change, expected)
    assert torch.linalg.matrix_rank(change) == 2
