"""SUITE=flexynesis: the nearest peer, from bulk omics of several layers to a clinical outcome, on the same folds.

Each fold of each method is one fresh process from the files to the predictions, in turns; its wall time, CPU time and
largest resident memory are what the system says of that process. Flexynesis runs as its own command line recommends,
its hyper-parameter search with ``TRIALS`` trials; what it reads is written beforehand. Neither sees
covariates.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.flexynesis_data import positions, read_predictions, write_fold
from benchmarks.goal import Goal
from benchmarks.peers import cache_folder, python_of, versions
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.scoring import score_predictions
from omicsfm.evaluation.task import Task, make_task
from omicsfm.paths import configs_dir

ROOT = Path(__file__).parents[1]
PEER, OURS = "flexynesis", "omicsfm"
TRIALS, SMALL_TRIALS = 20, 5
"""Of its Bayesian search in each fold; its default is 100, or 10 without a better one."""
START = "from flexynesis.__main__ import main; main()"
SEED = 0


@dataclass(frozen=True)
class Contest:
    """A task of a shared cohort, and the layers that both read."""

    cohort: str
    outcome: str
    layers: tuple[str, ...]
    settings: tuple[str, ...] = ()
    """Of omicsfm's training config."""

    @property
    def name(self) -> str:
        return f"{self.cohort} {self.outcome}"


CONTESTS = (
    Contest("covid_overmyer", "icu", ("proteome", "metabolome")),
    Contest("covid_su", "severe", ("proteome", "metabolome")),
    Contest("tcga_survival", "death", ("transcriptome",), ("experiment=tcga_survival",)),
)


def run(small: bool) -> list[Goal]:
    """Five folds of three tasks; the small form searches less."""
    trials = SMALL_TRIALS if small else TRIALS
    python = python_of(PEER)
    if python is None or "OMICSFM_SHARED" not in os.environ:
        missing = "not installed" if python is None else "no data"
        return [Goal(contest.name, None, "", missing=missing) for contest in CONTESTS]
    print(f"{PEER}: {versions(PEER, python)}")
    return [goal for contest in CONTESTS for goal in _contest(contest, python, trials)]


def _contest(contest: Contest, python: str, trials: int) -> list[Goal]:
    store = cache_folder() / "cohorts" / contest.cohort
    shutil.rmtree(store, ignore_errors=True)
    prepare(configs_dir() / "cohort" / f"{contest.cohort}.yaml", store)
    task = make_task(OmicsStore.open(store), contest.outcome)
    work = cache_folder() / "flexynesis" / contest.name.replace(" ", "-")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    split = folds_for(task, repeats=1, folds=5, seed=SEED)
    split.write(work / "split.csv")
    task = replace(task, split=split)
    tables: list[pd.DataFrame] = []
    spent: dict[str, list[dict[str, float]]] = {OURS: [], PEER: []}
    for repeat, fold in split.folds():
        train, test = positions(task, split, repeat, fold)
        folder = work / f"fold-{fold}"
        write_fold(task, list(contest.layers), train, test, folder)
        spent[PEER].append(_measured(_theirs(contest, python, folder, trials), folder))
        tables.append(read_predictions(folder / "job.predicted_labels.csv", task, test, repeat=repeat, fold=fold))
        own = {"store": str(store), "outcome": contest.outcome, "split": str(work / "split.csv"), "seed": SEED}
        own |= {"repeat": repeat, "fold": fold, "out": str(folder / "ours.parquet")}
        settings = ["logger=none", "data.clinical=false", *contest.settings]
        command = [sys.executable, "-m", "benchmarks.contestants.fold", json.dumps({**own, "set": settings})]
        spent[OURS].append(_measured(command, ROOT))
        tables.append(pd.read_parquet(folder / "ours.parquet"))
        for method in (PEER, OURS):
            print(f"{contest.name}, fold {fold}, {method}: {spent[method][-1]}", flush=True)
    return _goals(contest, task, pd.concat(tables, ignore_index=True), spent, work, trials)


def _theirs(contest: Contest, python: str, folder: Path, trials: int) -> list[str]:
    survival = ["--surv_event_var", "event", "--surv_time_var", "time"]
    target = survival if contest.outcome == "death" else ["--target_variables", "outcome"]
    layers = ["--data_types", ",".join(contest.layers), "--data_path", str(folder), "--outdir", str(folder)]
    rest = ["--model_class", "DirectPred", "--prefix", "job", "--device", "cpu", "--threads", "1"]
    search = ["--hpo_iter", str(trials), "--hpo_patience", "10", "--disable_marker_finding"]
    return [python, "-W", "ignore", "-c", START, *layers, *target, *rest, *search]


def _measured(command: list[str], folder: Path) -> dict[str, float]:
    """Wall and CPU seconds and the largest resident memory of a process, in MiB.

    Raises:
        RuntimeError: It failed; its last words are passed on.
    """
    started = time.perf_counter()
    with (cache_folder() / "last.log").open("w+") as log:
        child = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read().strip().splitlines()
    if child.returncode:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}: {' / '.join(said[-3:])}")
    wall, cpu = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_mib": round(usage.ru_maxrss / 1024)}


def _goals(
    contest: Contest,
    task: Task,
    predictions: pd.DataFrame,
    spent: dict[str, list[dict[str, float]]],
    work: Path,
    trials: int,
) -> list[Goal]:
    predictions.to_parquet(work / "predictions.parquet", index=False)
    scored = score_predictions(predictions, task.outcome, linear=[PEER], seed=SEED)
    metric = scored["primary"]
    score = {method: scored["methods"][method]["metrics"][metric] for method in (OURS, PEER)}
    difference = next(d for d in scored["differences"] if d["method"] == OURS and d["metric"] == metric)
    details: dict[str, Any] = {"scores": score, "difference": difference, "spent": spent, "trials": trials}
    total = {m: {key: sum(one[key] for one in spent[m]) for key in ("wall_s", "cpu_s")} for m in spent}
    peak = {method: max(one["peak_mib"] for one in spent[method]) for method in spent}
    return [
        Goal(
            f"{contest.name}: {metric}",
            score[OURS]["value"],
            "",
            score[PEER]["value"],
            at_least=1.0,
            details=details,
        ),
        Goal(f"{contest.name}: wall time", total[OURS]["wall_s"], "s", total[PEER]["wall_s"], at_most=1.0),
        Goal(f"{contest.name}: CPU time", total[OURS]["cpu_s"], "s", total[PEER]["cpu_s"], at_most=1.0),
        Goal(f"{contest.name}: peak memory", peak[OURS], "MiB", peak[PEER], at_most=1.0),
    ]
