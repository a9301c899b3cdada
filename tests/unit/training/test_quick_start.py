"""What Lightning's import leaves for later is there when it is used."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from omicsfm.training.quick_start import import_lightning
import_lightning()
import pytorch_lightning, torch
from torch import nn

layer = nn.Linear(2, 2)
optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
layer(torch.ones(1, 2)).sum().backward()
optimizer.step()
waiting = {"sympy", "scipy.signal", "matplotlib", "torchmetrics.functional"}
assert not waiting & set(sys.modules), waiting & set(sys.modules)

from lightning_fabric.wrappers import OptimizedModule
assert not isinstance(layer, OptimizedModule)
compiled = torch.compile(layer)
assert isinstance(compiled, OptimizedModule) and "sympy" in sys.modules
assert torch._dynamo.config.cache_size_limit > 0
optimizer.step()

from pytorch_lightning.core.module import Metric
import torchmetrics
assert issubclass(torchmetrics.classification.BinaryAccuracy, Metric) and torchmetrics.Metric is Metric
assert torchmetrics.utilities.plot.plot_curve and torchmetrics.__version__
print("all there")
"""


def test_the_compiler_and_the_metrics_are_loaded_once_they_are_used() -> None:
    assert _printed(SCRIPT) == "all there\n"


def test_pretraining_loads_no_optimisers_and_no_statistics_of_scipy() -> None:
    """A fifth of the time to the first step."""
    script = """
import sys
from omicsfm.training.quick_start import import_lightning
import_lightning()
import omicsfm.training.run
print({"scipy.optimize", "scipy.stats", "sklearn"} & set(sys.modules))
"""
    assert _printed(script) == "set()\n"


def _printed(script: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
