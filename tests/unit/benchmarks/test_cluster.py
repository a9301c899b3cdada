"""The model of many GPUs: its arithmetic is that of a real step, its bytes those of a ring."""

import pytest

from benchmarks.cluster import SHAPES, Cluster, Shape, predict
from benchmarks.contestants.step import MODALITY, Step, batch_of
from omicsfm.training.arithmetic import Arithmetic


@pytest.mark.parametrize("visits", [4, 9])
def test_the_formula_counts_what_the_counter_counts(visits: int) -> None:
    sizes = ["model=small", "model.dim=32", "model.num_latents=16", "model.encoder.depth=2"]
    step, shown = Step({MODALITY: 50}, sizes), []
    step.model.encoder.register_forward_pre_hook(lambda _, given: shown.append(len(given[0].value)))
    with Arithmetic() as counted:
        step(batch_of(50, visits)).backward()
    shape = Shape(dim=32, latents=16, depth=2, features=50, tokens=sum(shown) / len(shown) / visits)
    assert counted.flops == pytest.approx(shape.step_flops(visits), rel=0.02)
    assert sum(p.numel() for p in step.parameters()) == pytest.approx(shape.parameters, rel=0.05)


def test_a_ring_of_eight_moves_seven_eighths_twice() -> None:
    shape = SHAPES["base"]
    found = predict(shape, 8, visits=256)
    assert found.traffic == pytest.approx(2 * 7 / 8 * 4 * shape.parameters)
    assert predict(shape, 1, visits=256).communication == 0.0


def test_a_slower_network_is_hidden_until_it_takes_longer_than_the_backward_pass() -> None:
    shape = SHAPES["large"]
    efficiency = [
        predict(shape, 64, visits=256, cluster=Cluster(between=between)).efficiency for between in (40e9, 4e8, 4e7)
    ]
    assert efficiency[0] > efficiency[1] > efficiency[2]


def test_more_visits_on_each_gpu_hide_more() -> None:
    shape = SHAPES["wider"]
    few, many = (predict(shape, 512, visits=visits).exposed for visits in (2, 256))
    assert many < few
