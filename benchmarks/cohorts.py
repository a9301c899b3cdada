"""SUITE=cohorts: omicsfm against every baseline on every task of the shared cohorts: won, tied and lost.

One ``eval/benchmark.py`` a task: identical participant-grouped folds for all methods, pretraining and everything fitted
on the training participants of each fold. Needs OMICSFM_SHARED. Finished folds are kept in the cache folder, so that a
run that was stopped goes on, and the reports lie there.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.goal import Goal
from benchmarks.peers import cache_folder
from omicsfm.errors import InputError
from omicsfm.evaluation.gate import holm, verdict_of

ROOT = Path(__file__).parents[1]
METHODS = ("linear", "late_fusion", "boosting", "forest", "omicsfm", "omicsfm[without_encoder]")
OURS = "omicsfm"


@dataclass(frozen=True)
class Entry:
    """One task: a cohort of configs/cohort/, an outcome of it, and how it is cross-validated."""

    cohort: str
    outcome: str
    repeats: int = 5
    folds: int = 5
    more: tuple[str, ...] = ()
    """Further options of eval/benchmark.py."""
    methods: tuple[str, ...] = METHODS

    @property
    def name(self) -> str:
        """Cohort and outcome."""
        return f"{self.cohort} {self.outcome}"


METABOLOMICS = tuple(Entry(name, "class", 10, 3) for name in ("mtbls90", "mtbls404", "st000369", "st000496"))
"""30 splits of two thirds to one third, as in the benchmark of Mendez et al. 2019 (doi 10.1007/s11306-019-1612-4)."""
TASKS = (
    Entry("covid_overmyer", "hfd"),
    Entry("covid_overmyer", "icu"),
    Entry("covid_su", "severe"),
    Entry("covid_su", "hospitalised"),
    Entry("sepsis_race", "death28"),
    Entry(
        "tcga_survival",
        "death",
        3,
        more=("--within", "cohort", "--set", "experiment=tcga_survival"),
        methods=("linear", "late_fusion", "shared_linear", "omicsfm", "omicsfm[without_encoder]"),  # trees take hours
    ),
    Entry("ccle", "Lapatinib", 2),
    Entry("ccle", "PD-0325901", 2),
    *METABOLOMICS,
)


def run(small: bool) -> list[Goal]:
    """Every task, a table, and what the project aims at."""
    found = {task.name: measured(task, small) for task in TASKS}
    p_values = holm([_best_linear(metrics)["p"] for metrics in found.values()])
    verdicts = []
    print("\ntask, metric, omicsfm, best linear, gain (95 % interval), Holm p, without encoder, verdict, gate")
    for (name, metrics), p in zip(found.items(), p_values, strict=True):
        gain = _best_linear(metrics)
        verdicts.append(verdict_of(gain["low"], gain["high"]))
        print(_line(name, metrics, gain, p, verdicts[-1]))
    for metrics in found.values():
        print(_against_all(metrics))
    gains = {name: _best_linear(metrics)["value"] for name, metrics in found.items()}
    encoder = {name: _gain(metrics, "omicsfm[without_encoder]")["value"] for name, metrics in found.items()}
    return [
        Goal("tasks lost to the best linear baseline", verdicts.count("lost"), "tasks", at_most=0),
        Goal("tasks won outright", verdicts.count("won"), "tasks", at_least=3),
        Goal(
            "mean gain over the best linear baseline",
            float(np.mean(list(gains.values()))),
            "",
            at_least=0,
            details=gains,
        ),
        Goal(
            "mean AUROC on the metabolomics sets",
            _mean_auroc(found, OURS),
            "",
            _mean_auroc(found, "linear"),
            at_least=1,
        ),
        Goal("mean gain from the pretrained encoder", float(np.mean(list(encoder.values()))), "", details=encoder),
    ]


def measured(task: Entry, small: bool) -> dict[str, Any]:
    """The metrics.json of a task, prepared and cross-validated where that is not done yet."""
    store = prepared(task.cohort)
    out = cache_folder() / "cohorts" / f"{task.cohort}-{task.outcome}"
    asked = ["--store", str(store), "--outcome", task.outcome, "--out", str(out), "--methods", ",".join(task.methods)]
    repeats = 1 if small else task.repeats
    print(f"{task.name}: {repeats} x {task.folds} folds, {out}", flush=True)
    call("eval/benchmark.py", *asked, "--repeats", str(repeats), "--folds", str(task.folds), *task.more)
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def prepared(cohort: str) -> Path:
    """The store of a shared cohort, made where it is not yet."""
    if "OMICSFM_SHARED" not in os.environ:
        raise InputError("set OMICSFM_SHARED to the folder that holds data/ with the shared cohorts.")
    store = cache_folder() / "stores" / cohort
    if not store.exists():
        call("-m", "omicsfm.cli", "prepare", f"configs/cohort/{cohort}.yaml", str(store))
    return store


def call(*arguments: str) -> None:
    """Run a script of the clone; its own table is not shown."""
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def _gain(metrics: dict[str, Any], other: str) -> dict[str, Any]:
    return next(entry for entry in metrics["gains"] if entry["other"] == other)


def _best_linear(metrics: dict[str, Any]) -> dict[str, Any]:
    return _gain(metrics, metrics["reference"])


def _value(metrics: dict[str, Any], method: str) -> float:
    return float(metrics["methods"][method]["metrics"][metrics["primary"]]["value"])


def _line(name: str, metrics: dict[str, Any], gain: dict[str, Any], p: float, verdict: str) -> str:
    reference, gate = metrics["reference"], metrics["gate"]
    encoder = _gain(metrics, "omicsfm[without_encoder]")
    return ", ".join(
        (
            name,
            metrics["primary"],
            f"{_value(metrics, OURS):.3f}",
            f"{_value(metrics, reference):.3f} ({reference})",
            f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})",
            f"{p:.3f}",
            f"{_value(metrics, 'omicsfm[without_encoder]'):.3f} (encoder {encoder['value']:+.3f})",
            verdict,
            "promoted" if gate["promoted"] else f"not promoted: {gate['reason']}",
        )
    )


def _against_all(metrics: dict[str, Any]) -> str:
    each = (f"{g['other']} {verdict_of(g['low'], g['high'])} ({g['value']:+.3f})" for g in metrics["gains"])
    return f"{metrics['cohort']} {metrics['outcome']}: against {', '.join(each)}"


def _mean_auroc(found: dict[str, dict[str, Any]], method: str) -> float:
    return float(np.mean([_value(found[task.name], method) for task in METABOLOMICS]))
