"""Visits of unlike length side by side without padding."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from omicsfm.model import packing
from omicsfm.model.layers import Block
from omicsfm.model.packing import places, visible_part, weighted_sums
from omicsfm.training.arithmetic import Arithmetic

COUNTS = torch.tensor([[2, 0, 1], [3, 0, 0]])  # two modalities, three visits, one of them with nothing


def test_only_what_is_visible_becomes_a_token(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model(), make_batch(visits=5)
    asked = batch.measurements["proteome"].observed & (torch.arange(5)[:, None] != 1)
    batch = batch.query("proteome", asked)
    tokens = model.tokenize(batch)
    visible = torch.stack([m.visible.sum(dim=1) for m in batch.measurements.values()])
    assert torch.equal(tokens.counts, visible)
    assert len(tokens.value) == len(tokens.feature) == visible.sum()
    assert torch.equal(tokens.visit.bincount(minlength=5), visible.sum(dim=0))


def test_packed_values_are_those_of_their_visits(make_batch: Any) -> None:
    for measured in make_batch(visits=5).measurements.values():
        seen, counts = visible_part(measured)
        values = seen.values[0].split(counts.tolist())
        for visit in range(5):
            assert torch.equal(values[visit], measured.values[visit][measured.visible[visit]])


@pytest.mark.parametrize(
    ("latents", "dim", "dtype", "most"),
    [(4, 6, torch.float32, 1000), (3, 16, torch.bfloat16, 1000), (8, 8, torch.float32, 2)],
)
def test_sums_of_runs_and_their_gradients_are_those_of_each_run_alone(
    latents: int, dim: int, dtype: Any, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_RUNS", most)
    counts, draw = [3, 0, 5, 1], torch.Generator().manual_seed(0)
    weight, value = (torch.randn(9, n, generator=draw).to(dtype).requires_grad_() for n in (latents, dim))
    summed = weighted_sums(weight, value, torch.tensor(counts))
    alone = torch.stack([w.mT @ v for w, v in zip(weight.split(counts), value.split(counts), strict=True)])
    torch.testing.assert_close(summed, alone)
    ways = torch.randn(alone.shape, generator=draw).to(dtype)
    for ours, expected in zip(
        *(torch.autograd.grad(way, (weight, value), ways) for way in (summed, alone)), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_sums_without_a_token_are_zero_and_stay_in_the_graph() -> None:
    weight, value = (torch.zeros(0, 8, requires_grad=True) for _ in range(2))
    summed = weighted_sums(weight, value, torch.tensor([0, 0]))
    assert torch.equal(summed, torch.zeros(2, 8, 8))
    assert summed.requires_grad


def test_sums_are_taken_in_the_precision_of_autocast() -> None:
    weight, value = torch.rand(4, 8), torch.rand(4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert weighted_sums(weight, value, torch.tensor([4])).dtype == torch.bfloat16


def test_arithmetic_of_sums_is_counted_forward_and_backward() -> None:
    weight, value = (torch.rand(9, n, requires_grad=True) for n in (8, 16))
    with Arithmetic() as counted:
        weighted_sums(weight, value, torch.tensor([3, 0, 6])).square().sum().backward()
    assert counted.flops == 3 * 2 * 9 * 8 * 16


def test_a_packed_block_gives_each_visit_what_it_gives_it_alone() -> None:
    block = Block(dim=8, num_heads=2)
    for weight in block.parameters():
        torch.nn.init.normal_(weight)
    packed = torch.randn(6, 8)  # by modality, then by visit
    together = block(packed, places(COUNTS))
    for visit, own in ((0, [0, 1, 3, 4, 5]), (2, [2])):
        torch.testing.assert_close(together[own], block(packed[own][None])[0], msg=f"visit {visit}")


def test_linear_layers_of_a_block_see_no_padding() -> None:
    block, packed = Block(dim=8, num_heads=2), torch.randn(6, 8)
    with FlopCounterMode(display=False) as counted:
        block(packed, places(COUNTS))
    assert counted.get_flop_counts()["Global"][torch.ops.aten.addmm] == 2 * 2 * 6 * 8 * 32  # 6 tokens, not 3 x 5


@pytest.mark.parametrize("autocast", [False, True])
def test_an_encoder_in_half_precision_reads_nearly_the_same(make_model: Any, make_batch: Any, autocast: bool) -> None:
    model, batch = make_model(scramble=False), make_batch(visits=5)
    expected = model.encoder(model.tokenize(batch))
    if not autocast:
        model.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = model.encoder(model.tokenize(batch))
    assert found.dtype == (torch.float32 if autocast else torch.bfloat16)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.02 * expected.abs().max().item())
