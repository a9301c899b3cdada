"""The sizes that docs/model.md states are those that the configs build."""

import re
from pathlib import Path

import pytest
import torch

from benchmarks.contestants.step import MODALITY, Step, batch_of
from omicsfm.build import build
from omicsfm.features import FeatureSpace
from omicsfm.training.assemble import backbone_spec, build_model
from omicsfm.training.main import compose

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "model.md"
NUMBERS = r" \| ".join([r"([\d,]+)"] * 5)
STATED = {
    name: [int(number.replace(",", "")) for number in numbers]
    for name, *numbers in re.findall(rf"^\| `(\w+)` \| {NUMBERS} \|", DOCUMENT.read_text(), re.MULTILINE)
}


def parameters(size: str, features: int) -> int:
    """Of the model of two modalities of so many features."""
    config = compose(["task=pretrain", f"model={size}", "data.store=none", "run_dir=none"])
    ids = tuple(f"f{number}" for number in range(features))
    spaces = {name: FeatureSpace(name, ids, "local", "log2") for name in ("transcriptome", "proteome")}
    with torch.device("meta"):
        model = build_model(backbone_spec(config, spaces), seed=0, purpose="count")
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_four_sizes_are_stated() -> None:
    assert list(STATED) == ["tiny", "small", "base", "large"]


@pytest.mark.parametrize("size", STATED)
def test_a_size_has_the_parameters_that_the_documentation_states(size: str) -> None:
    config = compose(["task=pretrain", f"model={size}", "data.store=none", "run_dir=none"])["model"]
    width, latents, blocks, beside, per_feature = STATED[size]
    assert (config["dim"], config["num_latents"], config["encoder"]["depth"]) == (width, latents, blocks)
    few, more = parameters(size, 10), parameters(size, 20)
    assert (more - few) / 20 == per_feature
    assert few - 20 * per_feature == beside


@pytest.mark.parametrize("size", ["small", "base", "transformer"])
def test_the_first_steps_at_the_rate_of_a_size_lower_the_loss(size: str) -> None:
    """At eight times its rate the loss of base rises thirtyfold in the second step."""
    step, batch = Step({MODALITY: 60}, [f"model={size}"]), batch_of(60, 8)
    optimizer, losses = build(step.config["optimizer"])(step), []
    schedule = build(step.config["schedule"])(optimizer, 120)
    for _ in range(8):
        loss = step(batch)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert max(losses) < 1.5 * losses[0]
