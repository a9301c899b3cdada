"""The optimiser decays matrices alone; the schedule warms up and falls to its final share."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from omicsfm.training.optimizers import AdamW, WarmupCosine


def rates(total_steps: int, *, warmup: float = 0.1, final: float = 0.02) -> list[float]:
    model = nn.Linear(2, 2)
    optimizer = AdamW(learning_rate=2.0, weight_decay=0.0)(model)
    schedule = WarmupCosine(warmup_fraction=warmup, final_fraction=final)(optimizer, total_steps)
    seen = []
    for _ in range(total_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_the_rate_rises_to_its_peak_within_the_warm_up_and_then_falls_to_the_final_share() -> None:
    seen = rates(100)
    assert seen[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert max(seen) == pytest.approx(2.0)
    assert all(later <= earlier for earlier, later in pairwise(seen[9:]))
    assert seen[55] == pytest.approx(2.0 * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * 0.5))))
    assert seen[-1] == pytest.approx(0.04, rel=0.05)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_the_shortest_runs_have_a_rate_above_zero(total_steps: int) -> None:
    assert all(rate > 0 for rate in rates(total_steps))


def test_biases_and_norms_are_not_decayed_and_frozen_weights_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    model[2].requires_grad_(False)
    optimizer = AdamW(learning_rate=0.1, weight_decay=0.5)(model)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    everything = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert decayed == {id(model[0].weight)}
    assert everything == {id(p) for p in model.parameters() if p.requires_grad}


def test_a_model_of_biases_alone_trains() -> None:
    bias = nn.ParameterList([nn.Parameter(torch.zeros(3))])
    assert len(AdamW(learning_rate=0.1, weight_decay=0.5)(bias).param_groups) == 1
