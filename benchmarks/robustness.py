"""The intake against files that are wrong on purpose: cases drawn by the thousand, crafted files with time and memory.

A case passes where it ends in one clear message with nothing left behind, or in a store whose values an independent
reading of the same files confirms. Crafted files go through the console script, each in a fresh process.
"""

import gzip
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.goal import Goal
from benchmarks.hostile import families
from benchmarks.hostile.annotated import annotated_cohorts
from benchmarks.hostile.answer import answer_of_script
from benchmarks.hostile.descriptions import descriptions, write_description
from benchmarks.hostile.hdf5_files import CRAFTED
from benchmarks.hostile.tables import table_cohorts
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.synthetic import simulate

CASES = {"tables": 900, "annotated": 600, "descriptions": 500, "parquet": 100, "edited stores": 300}
SMALL = 10
"""A reduced run draws a tenth of them."""
SCRIPT_CASES = 30
THREE = ("external_storage", "external_link", "declares_32_gb")
"""The crafted files that another reader followed."""
SECONDS, MEGABYTES, REPEATS = 1.0, 200.0, 5
"""Processor time: what it takes on a machine with nothing else to do. The wall time is shown beside it."""
HANGS = 900  # seconds
MEASURE = """
import resource, sys
from omicsfm.cli import main
try:
    main(["prepare", sys.argv[1], sys.argv[2]])
finally:
    own, child = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    # the peak of rusage is also that of the process this one was started from
    peak = int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
    print(max(peak, child.ru_maxrss), sum(u.ru_utime + u.ru_stime for u in (own, child)))
"""


def run(small: bool) -> list[Goal]:
    with tempfile.TemporaryDirectory(prefix="omicsfm-robustness-") as folder:
        return [*_drawn(Path(folder), small), *_through_the_script(Path(folder), small), *_crafted(Path(folder))]


def _drawn(folder: Path, small: bool) -> list[Goal]:
    whole = prepare(simulate(folder / "whole.h5mu", participants=12, seed=1, genes=6, proteins=4), folder / "whole")
    strategies = {
        "tables": (table_cohorts(), families.ask_tables),
        "annotated": (annotated_cohorts(), families.ask_annotated),
        "descriptions": (descriptions(), families.ask_description),
        "parquet": (families.parquet_tables(), families.ask_parquet),
        "edited stores": (families.store_edits, lambda edit, own: families.ask_edited_store(edit, own, whole)),
    }
    goals, total = [], 0
    for name, (strategy, ask) in strategies.items():
        cases = CASES[name] // (SMALL if small else 1)
        counted, failures = ask_all(strategy, ask, cases, folder)
        total += sum(counted.values())
        print(f"{name}: {dict(counted)}", flush=True)
        for failure, times in failures.most_common():
            print(f"  {times} x {failure}", flush=True)
        details = {**counted, "failures": dict(failures.most_common(50))}
        goals.append(Goal(f"{name}: cases gone wrong", counted["wrong"], "cases", at_most=0, details=details))
    needed = 2000 // (SMALL if small else 1)
    return [Goal("cases drawn", total, "cases", at_least=needed), *goals]


def ask_all(
    strategy: st.SearchStrategy[Any], ask: Callable[[Any, Path], Any], cases: int, folder: Path
) -> tuple[Counter[str], Counter[str]]:
    """Draw so many cases; returns how many were stored, refused and went wrong, and what went wrong how often."""
    counted: Counter[str] = Counter()
    failures: Counter[str] = Counter()

    @seed(1)
    @settings(
        max_examples=cases,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(case: Any) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as own, warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning about a user's data is a message that nobody wrote
            try:
                found = ask(case, Path(own))
            except Exception as error:
                counted["wrong"] += 1
                failures[f"{type(error).__name__}: {str(error).replace(own, '')[:300]} {_where(error)}"] += 1
            else:
                counted["refused" if isinstance(found, str) else "stored"] += 1

    each()
    return counted, failures


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames if f"{os.sep}omicsfm{os.sep}" in f.filename)


def _through_the_script(folder: Path, small: bool) -> list[Goal]:
    """A share of the cases as a user would meet them."""
    cases = SCRIPT_CASES // (SMALL if small else 1)
    tables, failures = ask_all(
        table_cohorts(), lambda case, own: answer_of_script(case.write(own), _made(own / "out")), cases // 2, folder
    )
    texts, more = ask_all(
        descriptions(),
        lambda case, own: answer_of_script(write_description(case[0], own), _made(own / "out")),
        cases - cases // 2,
        folder,
    )
    counted, failures = tables + texts, failures + more
    print(f"console script: {dict(counted)} {dict(failures)}", flush=True)
    return [Goal("console script: cases gone wrong", counted["wrong"], "cases", at_most=0, details=dict(failures))]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _crafted(folder: Path) -> list[Goal]:
    goals = []
    for name, craft in {**CRAFTED, "gzip_of_16_gb": _gzip_of_16_gb, "yaml_of_aliases": _yaml_of_aliases}.items():
        own = _made(folder / name)
        cohort = craft(own / "x.h5ad") or own / "x.h5ad"
        walls, cpus = [], []
        for _ in range(REPEATS if name in THREE else 1):  # the quickest: other work on the machine only adds
            start = time.perf_counter()
            command = [sys.executable, "-c", MEASURE, str(cohort), str(own / "store")]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS)
            walls.append(time.perf_counter() - start)
            kilobytes, cpu = map(float, done.stdout.split()[-2:])
            cpus.append(cpu)
        wall, cpu = min(walls), min(cpus)
        refused = done.returncode == 1 and done.stderr.startswith("error: ") and not (own / "store").exists()
        details = {"message": done.stderr.strip()[:300], "cpu_s": cpu, "wall_s": wall, "mb": kilobytes / 1024}
        print(
            f"{name}: {wall:.2f} s ({cpu:.2f} s of CPU), {kilobytes / 1024:.0f} MB: {details['message'][:120]}",
            flush=True,
        )
        goals.append(Goal(f"{name}: refused", float(refused), "", at_least=1, details=details))
        if name in THREE:
            goals.append(Goal(f"{name}: processor time", cpu, "s", at_most=SECONDS, details=details))
            goals.append(Goal(f"{name}: memory", kilobytes / 1024, "MB", at_most=MEGABYTES))
    return goals


def _gzip_of_16_gb(path: Path) -> Path:
    """16 MB that inflate to 16 GB."""
    block = gzip.compress(b"0,0,0,0,0,0,0,0\n" * (1 << 20))
    with (path.parent / "m.csv.gz").open("wb") as file:
        for _ in range(1000):
            file.write(block)
    cohort = write_description("", path.parent)
    cohort.write_text(
        "name: x\nvisits: {path: clinical.csv, participant_id: subject}\n"
        "modalities: {proteome: {path: m.csv.gz, namespace: local, scale: raw, key: subject}}\n"
    )
    return cohort


def _yaml_of_aliases(path: Path) -> Path:
    """Ten lines that stand for 10^9 values."""
    names = "abcdefghij"
    lines = [f"{name}: &{name} [{','.join(['*' + before] * 10)}]" for before, name in pairwise(names)]
    cohort = path.with_name("COHORT.yaml")
    cohort.write_text("\n".join(["a: &a [1,1,1,1,1,1,1,1,1,1]", *lines]))
    return cohort
