"""The sizes that docs/model.md states are those that the configs build."""

import re
from pathlib import Path

import pytest
import torch

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
