"""Layers that are computed twice or compiled, and gradients of several batches, change how a run takes place."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from omicsfm.training import fit
from omicsfm.training.arithmetic import Arithmetic
from omicsfm.training.layers import set_layers
from omicsfm.training.main import compose
from omicsfm.training.run import run

SMALL = ("task=pretrain", "model=tiny", "logger=none", "task.epochs=1", "data.batch_size=20", "data.max_features=8")


@pytest.fixture
def trained(simulated_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains with some overrides; returns the weights, and per step how often a layer was computed."""

    def train(*overrides: str) -> tuple[dict[str, torch.Tensor], list[int]]:
        computed, steps = [0], []
        set_layers = fit.set_layers

        def counted(model: Any, **options: Any) -> None:
            (layer, *_) = model.encoder.blocks
            layer.attention.register_forward_hook(lambda *_: computed.__setitem__(0, computed[0] + 1))
            set_layers(model, **options)

        step = fit.TrainingModule.optimizer_step

        def noted(own: Any, *given: Any, **named: Any) -> None:
            step(own, *given, **named)
            steps.append(computed[0])

        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        with monkeypatch.context() as patch:
            patch.setattr(fit, "set_layers", counted)
            patch.setattr(fit.TrainingModule, "optimizer_step", noted)
            run(compose([*SMALL, f"data.store={simulated_store.path}", f"run_dir={folder}", *overrides]))
        return load_file(folder / "checkpoint" / "model.safetensors"), steps

    return train


def test_layers_computed_twice_give_the_same_weights(trained: Any) -> None:
    (plain, once), (recomputed, twice) = trained(), trained("layers.recompute=true")
    assert twice[0] == 2 * once[0]
    assert all(torch.equal(recomputed[name], tensor) for name, tensor in plain.items())


@pytest.mark.parametrize("recompute", [False, True])
def test_what_is_computed_twice_counts_once(recompute: bool) -> None:
    model = nn.ModuleDict({"layers": nn.ModuleList([Layer(4, 4), Layer(4, 4)])})
    set_layers(model, recompute=recompute, compile=None)
    with Arithmetic() as counted:
        model["layers"][1](model["layers"][0](torch.randn(3, 4, requires_grad=True))).sum().backward()
    assert counted.flops == 2 * 3 * (2 * 3 * 4 * 4)  # layers, forward and twice backward, 3 x 4 x 4 each


class Layer(nn.Linear):
    """None of ours: shape checks of the test suite would stay outside of what is compiled."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + super().forward(tokens).relu()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch asks for it
@pytest.mark.parametrize("recompute", [False, True])
def test_compiled_layers_give_the_same_values(recompute: bool) -> None:
    """By a backend that traces, and leaves out what takes the time of a real one."""
    model = nn.ModuleDict({"layers": nn.ModuleList([Layer(4, 4), Layer(4, 4)])})
    tokens = torch.randn(3, 4)
    run = lambda: model["layers"][1](model["layers"][0](tokens))  # noqa: E731
    plain = run()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    set_layers(model, recompute=recompute, compile="eager")
    assert torch.equal(run(), plain)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_gradients_of_several_batches_make_one_step(trained: Any) -> None:
    (_, one), (_, two) = trained(), trained("task.accumulate=2")
    assert len(two) == -(-len(one) // 2)
