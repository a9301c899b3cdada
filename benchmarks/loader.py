"""SUITE=loader: random batches of rows, against the memory they are copied from and against the peers.

Every figure is of a fresh process; contestants take turns, and the median of their rounds counts. Rows per CPU-second
are compared, because they hardly change when other work runs on the machine.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.goal import Goal
from benchmarks.peers import LOADERS, OF_OURS, cache_folder, python_of, versions

ROOT = Path(__file__).parents[1]
BATCH = 256
Figures = dict[str, list[dict[str, Any]]]


def run(small: bool) -> list[Goal]:
    """Limits, peers and ourselves on the same rows."""
    visits, rounds, seconds = (20_000, 2, 1.0) if small else (200_000, 3, 3.0)
    data = cache_folder() / f"cells-{visits}"
    if not data.exists():
        subprocess.run([sys.executable, "-m", "benchmarks.loader_data", str(data), str(visits)], check=True, cwd=ROOT)
    task = {"batch": BATCH, "seconds": seconds, "warm_up": seconds / 2, "cache": str(data)}
    task |= {
        "h5ad": str(data / "cells.h5ad"),
        "store": str(data / "all"),
        "modality": "transcriptome",
        "source": "store",
    }
    proteome = task | {"modality": "proteome"}
    contestants: dict[str, tuple[str, str, dict[str, Any]]] = {
        "bare gather": (sys.executable, "limits", task),
        "omicsfm": (sys.executable, "ours", task),
        "omicsfm, a quarter of the rows": (sys.executable, "ours", task | {"store": str(data / "quarter")}),
        "omicsfm, .h5ad": (sys.executable, "ours", task | {"source": "h5ad"}),
        "bare memory map, dense": (sys.executable, "limits", proteome),
        "omicsfm, dense": (sys.executable, "ours", proteome),
    }
    for peer in (*LOADERS, *OF_OURS):
        python = python_of(peer)
        if (
            python is not None
            and _call(python, peer, task | {"prepare": True, "seconds": 0.1, "warm_up": 0.0}) is not None
        ):
            contestants[peer] = (python, peer, task)
            print(f"{peer}: {versions(peer, python)}")
    figures: Figures = {name: [] for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            found = _call(*contestant)
            if found:
                figures[name].append(found)
                print(
                    f"round {number + 1}  {name:32s}", "  ".join(f"{key} {value:,.4g}" for key, value in found.items())
                )
    checks = {
        name: _call(sys.executable, "ours", own | {"check": True, "sums": str(data / f"{own['modality']}.npy")}) or {}
        for name, own in (("store", task), ("dense", proteome), (".h5ad", task | {"source": "h5ad"}))
    }
    waiting = _call(sys.executable, "training", task | {"steps": 6 if small else 20}) or {}
    return _goals(figures, checks, waiting)


def _goals(figures: Figures, checks: dict[str, dict[str, Any]], waiting: dict[str, Any]) -> list[Goal]:
    speed = {name: _median(found, "rows_per_cpu_second") for name, found in figures.items()}
    memory = {name: _median(found, "private_mb") for name, found in figures.items()}
    beyond = {
        name: None if m is None else m - _median(figures[name], "read_ahead_mb", 0.0) for name, m in memory.items()
    }
    per_cpu, mb = "rows/CPU-s", "MiB"
    goals = [
        _against("sparse rows against annbatch", "omicsfm", "annbatch", speed, per_cpu, 1.5),
        _against("sparse rows against SCDL", "omicsfm", "scdl", speed, per_cpu, 1.5),
        _against("sparse rows against AnnLoader", "omicsfm", "annloader", speed, per_cpu, 1.5),
        _against("sparse rows against a bare gather", "omicsfm", "bare gather", speed, per_cpu, 0.6),
        _against(
            "dense rows against the bare memory map", "omicsfm, dense", "bare memory map, dense", speed, per_cpu, 0.7
        ),
        _against("rows from .h5ad against scDataset", "omicsfm, .h5ad", "scdataset", speed, per_cpu, 1.2),
        _against("private memory from .h5ad against scDataset", "omicsfm, .h5ad", "scdataset", memory, mb, None, 0.5),
        Goal("private memory beyond the batches read ahead", beyond.get("omicsfm"), mb, at_most=200),
        _against("private memory at 4 x the rows", "omicsfm", "omicsfm, a quarter of the rows", memory, mb, None, 1.05),
        Goal("wait for data in a training step", waiting.get("share"), "of the step", at_most=0.02, details=waiting),
    ]
    for name, found in checks.items():
        right = float(found.get("each_row_once", False) and found.get("values_equal", False))
        goals.append(Goal(f"every row once and equal to the source ({name})", right, "", at_least=1, details=found))
    rounds = {name: found for name, found in figures.items() if found}
    return [*goals[:-1], Goal(**{**vars(goals[-1]), "details": {**goals[-1].details, "rounds": rounds}})]


def _against(
    name: str,
    ours: str,
    theirs: str,
    figure: dict[str, float | None],
    unit: str,
    at_least: float | None,
    at_most: float | None = None,
) -> Goal:
    missing = None if figure.get(theirs) is not None else "not installed"
    return Goal(name, figure.get(ours), unit, figure.get(theirs), at_least, at_most, missing)


def _median(found: list[dict[str, Any]], key: str, default: float | None = None) -> Any:
    return statistics.median(one.get(key, default) for one in found) if found else default


def _call(python: str, contestant: str, task: dict[str, Any]) -> dict[str, Any] | None:
    """What a contestant printed, None where it failed; its last words are passed on."""
    command = [python, "-W", "ignore", "-m", f"benchmarks.contestants.{contestant}", json.dumps(task)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if ended.returncode:
        print(f"{contestant} failed: {ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else 'no message'}")
        return None
    return json.loads(ended.stdout.strip().splitlines()[-1])
