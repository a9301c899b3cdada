"""SUITE=scale: what more features, more visits and a second process cost.

Every point of a curve is a fresh process that trains the small model on visits in memory; its steps are judged by the
processor time of their thread. Writes scale/curve.csv and scale/report.html into the cache folder.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.goal import Goal
from benchmarks.page import by_size, page
from benchmarks.peers import cache_folder
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.data.synthetic import simulate
from omicsfm.report.section import section
from omicsfm.report.style import SERIES, draw

ROOT = Path(__file__).parents[1]
FEATURES, VISITS = (1_000, 3_000, 10_000, 30_000), (8, 32, 128, 512)
AT_VISITS, AT_FEATURES = 8, 1_000
STEEPEST = 1.10
"""Slope on logarithmic axes: 1 is linear, 2 quadratic."""
TWO = ("model=small", "model.dim=128", "model.num_latents=32", "data.max_features=256")
"""The model that two processes share: its step takes a tenth of a second for 42 visits."""


def run(small: bool) -> list[Goal]:
    """The small form takes each curve once and compares one and two processes once."""
    rounds = 1 if small else 3
    points = pd.DataFrame(
        [
            {"round": number, "over": over, "features": features, "visits": visits, **_step(features, visits)}
            for number in range(rounds)
            for over, features, visits in (
                *(("features", features, AT_VISITS) for features in FEATURES),
                *(("visits", AT_FEATURES, visits) for visits in VISITS),
            )
        ]
    )
    points = points.groupby(["over", "features", "visits"], as_index=False)[["seconds", "mb"]].min()
    print(points.to_string(index=False), flush=True)
    folder = cache_folder() / "scale"
    folder.mkdir(parents=True, exist_ok=True)
    points.to_csv(folder / "curve.csv", index=False, float_format="%.5g")
    print(f"report: {_report(points, folder)}", flush=True)
    goals = [goal for over in ("features", "visits") for goal in _slopes(points[points["over"] == over], over)]
    return [*goals, *_two_processes(rounds)]


def _step(features: int, visits: int) -> dict[str, float]:
    found = _contestant(features, visits, 1, "model=small")
    return {"seconds": found["seconds"]["together"], "mb": found["mb"]}


def _contestant(features: int, visits: int, processes: int, *overrides: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.contestants.step"]
    command += [*map(str, (features, visits, processes)), *overrides]
    ended = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _slopes(points: pd.DataFrame, over: str) -> list[Goal]:
    """From the second size on: below it what every step costs weighs in."""
    points = points.sort_values(over)
    x = np.log(points[over].to_numpy(float)[1:])
    goals = []
    for column, what in (("seconds", "time of a step"), ("mb", "memory of a step")):
        slope = float(np.polyfit(x, np.log(points[column].to_numpy(float)[1:]), 1)[0])
        ends = f"{points[over].iloc[0]:,} to {points[over].iloc[-1]:,} {over}"
        details = {"points": points[[over, column]].to_dict("records")}
        goals.append(Goal(f"{what}, {ends}: slope", slope, "", at_most=STEEPEST, details=details))
    return goals


def _two_processes(rounds: int) -> list[Goal]:
    """Visits per second of train.py on two cores beside one, and what averaging gradients adds to a step."""
    rates: dict[str, list[float]] = {"cpu": [], "ddp": []}
    shares = []
    with tempfile.TemporaryDirectory(prefix="omicsfm-scale-", dir=".") as name:
        folder = Path(name).resolve()
        cohort = simulate(folder / "cohort.h5mu", participants=480, visits=2, seed=1, genes=400, proteins=300)
        store = prepare(cohort, folder / "store")
        for number in range(rounds):
            for trainer, batch in (("cpu", 42), ("ddp", 84)):
                rates[trainer].append(_rate(store, folder / f"{trainer}-{number}", trainer, batch))
            seconds = _contestant(700, 42, 2, *TWO)["seconds"]
            shares.append(1 - seconds["alone"] / seconds["together"])
    one, two = (statistics.median(rates[trainer]) for trainer in ("cpu", "ddp"))
    print(f"visits per second: one process {one:.0f}, two {two:.0f}", flush=True)
    return [
        Goal("visits per second and core, two processes on two cores", two / 2, "/s", anchor=one, details=rates),
        Goal(
            "share of a step of two processes that averages gradients",
            statistics.median(shares),
            "",
            details={"all": shares},
        ),
    ]


def _rate(store: OmicsStore, run_dir: Path, trainer: str, batch: int) -> float:
    """The median over epochs, the first one not counted."""
    command = [sys.executable, "train.py", "task=pretrain", f"data.store={store.path}", f"run_dir={run_dir}", *TWO]
    command += [f"trainer={trainer}", f"data.batch_size={batch}", "task.epochs=5", "logger=none"]
    ended = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    log = [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]
    return float(statistics.median(line["visits_per_second"] for line in log[1:]))


def _report(points: pd.DataFrame, folder: Path) -> Path:
    def paint(over: str) -> Any:
        def onto(figure: Any) -> None:
            own = points[points["over"] == over].sort_values(over)
            for axes, column, label, colour in zip(
                figure.subplots(1, 2), ("seconds", "mb"), ("Time of a step (s)", "Memory of a step (MB)"), SERIES,
                strict=False,
            ):  # fmt: skip
                axes.plot(own[over], own[column], "o-", color=colour)
                linear = own[column].iloc[-1] * own[over] / own[over].iloc[-1]
                axes.plot(own[over], linear, ":", color="#5c6876", label="linear")
                by_size(axes, own[over], yscale="log", xlabel=over.capitalize(), ylabel=label)

        return onto

    captions = {
        "features": f"The small model, {AT_VISITS} visits a step, every feature of each measured.",
        "visits": f"The small model, {AT_FEATURES:,} features a visit.",
    }
    figures = [
        {"svg": draw(paint(over), alt=f"Cost of a step by {over}.", name=over, width=8.4, height=3.6), "caption": said}
        for over, said in captions.items()
    ]
    lead = "Processor time of a training step on one core, and what it adds to the memory of the process."
    found = section("What do more features and more visits cost?", lead, figures=figures)
    return page(folder, found, suite="scale", headline="Cost grows linearly")
