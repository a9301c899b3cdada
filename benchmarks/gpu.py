"""SUITE=gpu: all that is measured on a GPU, in one command.

Of steps in bf16: the share of a matrix product that the arithmetic of real tokens reaches (MFU), packed beside padded,
compiled or not, with visits per second and peak memory. Of train.py on the machine's GPUs: FSDP2 and DeepSpeed, whose
losses are those of one CPU. Without a GPU the same code runs in small on the CPU, and no goal is judged. Prints the
table of docs/benchmarks.md.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.goal import Goal, Missing
from omicsfm.data.store import Matrix, write_store
from omicsfm.features import FeatureSpace

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Size:
    """A model, the visits of its step, and the MFU that it must reach."""

    name: str
    overrides: tuple[str, ...]
    features: dict[str, int]
    visits: int
    at_least: float


PANELS = {"transcriptome": 16_000, "proteome": 5_000, "metabolome": 3_000}
SIZES = (
    Size("10 M", ("model=base",), {"transcriptome": 1_200, "proteome": 500, "metabolome": 300}, 512, 0.20),
    Size("50-150 M", ("model=large",), PANELS, 256, 0.45),
    Size(
        "0.3-1 B",
        ("model=large", "model.dim=1024", "model.num_latents=128", "model.encoder.num_heads=16"),
        PANELS,
        128,
        0.58,
    ),
)
IN_SMALL = ("model.dim=32", "model.num_latents=8", "model.encoder.num_heads=2", "model.encoder.depth=1")
STRATEGIES = ("gpu", "ddp", "fsdp", "deepspeed_zero2", "deepspeed_zero3", "deepspeed_offload")
TRAINED = ("model=small", "data.max_features=64", "task.epochs=3", "logger=none")


def run(small: bool) -> list[Goal]:
    """The small form on a GPU takes the first size only."""
    missing: Missing | None = None if torch.cuda.is_available() else "no GPU"
    lines = ["| model | parameters | visits a step | | visits/s | tokens/s | MFU | peak GB |", "|---" * 8 + "|"]
    goals = []
    for size in SIZES[:1] if small else SIZES:
        for how in (None, "inductor"):
            found = _contestant(_task(size, how, on_gpu=missing is None))
            goals += _goals(size, how, found, missing)
            lines += _rows(size, how, found, missing)
    print("\n".join(lines), flush=True)
    return [*goals, *_equal(missing), *_strategies(missing)]


def _task(size: Size, how: str | None, *, on_gpu: bool) -> dict[str, Any]:
    task = {"overrides": size.overrides, "features": size.features, "visits": size.visits, "compile": how}
    if on_gpu:
        return {**task, "tokens": 256, "steps": 20, "side": 8192}
    tiny = {"overrides": (*size.overrides, *IN_SMALL), "features": dict.fromkeys(size.features, 60)}
    return {**task, **tiny, "visits": 8, "tokens": 24, "steps": 4, "side": 256}


def _contestant(task: dict[str, Any]) -> Any:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.contestants.gpu_step", json.dumps(task)]
    ended = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _goals(size: Size, how: str | None, found: Any, missing: Missing | None) -> list[Goal]:
    goals = []
    for kind in ("packed", "padded"):
        name = f"{size.name}, {kind}, {'compiled' if how else 'not compiled'}: arithmetic of real tokens"
        bound = size.at_least if kind == "packed" and how else None
        value, product = (None, None) if missing else (found[kind]["flops"] / 1e12, found[kind]["product"] / 1e12)
        details = {"parameters": found["parameters"], **found[kind]}
        goals.append(Goal(name, value, "TFLOP/s", anchor=product, at_least=bound, missing=missing, details=details))
    return goals


def _rows(size: Size, how: str | None, found: Any, missing: Missing | None) -> list[str]:
    rows = []
    for kind in ("packed", "padded"):
        own = found[kind]
        figures = [f"{own[key]:,.0f}" for key in ("visits_per_second", "tokens_per_second")]
        figures += [f"{own['mfu']:.0%}", f"{own['gb']:.1f}"]
        cells = ["not measured"] * 4 if missing else figures
        many = "" if missing else f"{found['parameters'] / 1e6:.0f} M"
        ways = f"{kind}, {'compiled' if how else 'not compiled'}"
        rows.append(f"| {size.name} | {many} | {size.visits} | {ways} | {' | '.join(cells)} |")
    return rows


def _equal(missing: Missing | None) -> list[Goal]:
    """Five steps from the same weights on the CPU and on the GPU."""
    task = {**_task(SIZES[0], None, on_gpu=False), "equal": True}
    found = _contestant(task)
    goals = []
    for dtype, bound in (("float32", 1e-4), ("bfloat16", 2e-2)):
        apart = max(abs(a - b) / abs(a) for a, b in zip(found["cpu"], found[dtype], strict=True))
        value = None if missing else apart
        name = f"losses of five steps in {dtype}, apart from those on the CPU"
        goals.append(Goal(name, value, "", at_most=bound, missing=missing, details={**found, "apart": apart}))
    return goals


def _strategies(missing: Missing | None) -> list[Goal]:
    """The last epoch's loss by each strategy on all GPUs, or on two processes, beside one process on the CPU."""
    goals = []
    processes = 2 if missing else torch.cuda.device_count()
    with tempfile.TemporaryDirectory(prefix="omicsfm-gpu-", dir=".") as name:
        folder = Path(name).resolve()
        store = _store(folder / "store")
        alone = _trained(store, folder / "cpu", "cpu", 1)
        for strategy in STRATEGIES:
            lacks: Missing | None = missing
            if strategy.startswith("deepspeed") and find_spec("deepspeed") is None:
                lacks = "not installed"
            title = f"train.py by {strategy}: loss apart from that on the CPU"
            if lacks == "not installed" or (missing and strategy == "gpu"):
                goals.append(Goal(title, None, "", at_most=5e-3, missing=lacks))
                continue
            found = _trained(store, folder / strategy, strategy, 1 if strategy == "gpu" else processes)
            apart = abs(found["train/loss"] / alone["train/loss"] - 1)
            print(f"{strategy}: {apart:.2g} apart, {found['visits_per_second']:.0f} visits/s", flush=True)
            details = {"processes": processes, "apart": apart, **found}
            value = None if missing else apart
            goals.append(Goal(title, value, "", at_most=5e-3, missing=lacks, details=details))
    return goals


def _store(path: Path, visits: int = 320) -> Path:
    """Visits that share a factor, half of them without a proteome; written without the packages that read cohorts."""
    draw, rows = np.random.default_rng(0), np.arange(visits)
    factor, matrices = draw.normal(size=(visits, 1)), {}
    for name, features, own in (("transcriptome", 200, rows), ("proteome", 100, rows[::2])):
        space = FeatureSpace(name, tuple(f"f{number}" for number in range(features)), "local", "log2")
        values = factor[own] * draw.normal(size=features) + draw.normal(size=(len(own), features))
        matrices[name] = Matrix(space, own, values.astype(np.float32))
    people = pd.DataFrame({"participant_id": [f"P{number}" for number in rows], "visit": "0", "time_days": 0.0})
    outcomes = pd.DataFrame(index=people.index)
    written = write_store(
        path, name="made", visits=people, outcomes=outcomes, outcome_specs={}, matrices=matrices, people="made"
    )
    return written.path


def _trained(store: Path, run_dir: Path, trainer: str, processes: int) -> dict[str, Any]:
    """The last line of the log."""
    command = [sys.executable, "train.py", "task=pretrain", f"data.store={store}", f"run_dir={run_dir}", *TRAINED]
    command += [f"trainer={trainer}", f"trainer.devices={processes}", "trainer.precision=32-true"]
    ended = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    last: dict[str, Any] = json.loads((run_dir / "log.jsonl").read_text().splitlines()[-1])
    return last
