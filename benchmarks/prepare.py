"""SUITE=prepare: a sparse .h5ad made a store, in time and memory, against BioNeMo-SCDL and with four times the visits.

The .h5ad is generated block by block (``sparse_cohort``), uncompressed, and deleted afterwards with what was made of
it: the full run needs 30 GB in the cache folder. Rows per CPU-second are compared, because they hardly change when
other work runs on the machine. Private memory is anonymous memory, sampled; resident memory adds mapped files and is
the kernel's own peak.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.goal import Goal, Missing
from benchmarks.peers import cache_folder, python_of
from benchmarks.sparse_cohort import write_cohort

Figures = dict[str, float]
SCDL = """\
import sys
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
SingleCellMemMapDataset(sys.argv[2], sys.argv[1], use_X_not_raw=True)
"""
READ = """\
import sys
import numpy as np
from omicsfm.data.store import OmicsStore
store = OmicsStore.open(sys.argv[1])
rng = np.random.default_rng(0)
for _ in range(200):
    store.modalities["transcriptome"].read(rng.choice(len(store), 256, replace=False))
"""
POLL = 0.02  # seconds


def run(small: bool) -> list[Goal]:
    """Ours and SCDL on the same file, then ours on four times as many visits."""
    visits = 10_000 if small else 250_000
    folder = cache_folder() / "prepare"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        few = _ours(write_cohort(folder / "few", visits), folder / "store", visits)
        scdl = _scdl(folder / "few" / "counts.h5ad", folder / "scdl", visits)
        for done in ("few", "scdl", "store"):
            shutil.rmtree(folder / done, ignore_errors=True)
        many = _ours(write_cohort(folder / "many", 4 * visits), folder / "store", 4 * visits)
        read = measured([sys.executable, "-c", READ, str(folder / "store")])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    a_visit = (many["private_mb"] - few["private_mb"]) * 1e6 / (3 * visits)
    details = {"few": few, "many": many, "scdl": scdl, "read": read}
    print("\n".join(f"{name}: {figures}" for name, figures in details.items()))
    anchor = None if scdl is None else scdl["rows_per_cpu_second"]
    rate = few["rows_per_cpu_second"]
    missing: Missing | None = None if scdl is not None else "not installed"
    must = None if small else 1.0  # with few visits it is the start of both programs that is compared
    return [
        Goal(
            "prepare from .h5ad against SCDL",
            rate,
            "rows/CPU-s",
            anchor,
            at_least=must,
            missing=missing,
            details=details,
        ),
        Goal(f"private memory of prepare, {4 * visits:,} visits", many["private_mb"], "MB", at_most=1_500),
        Goal(f"resident memory of prepare, {4 * visits:,} visits", many["resident_mb"], "MB", at_most=1_500),
        Goal("private memory a visit more (its row of the matrix: 9,200)", a_visit, "bytes", at_most=600),
        Goal("private memory of reading it at random", read["private_mb"], "MB", at_most=1_500),
    ]


def measured(command: Sequence[str]) -> Figures:
    """Run a command and return CPU and wall seconds, and the peaks of its private and resident memory in MB."""
    before, started = os.times(), time.perf_counter()
    private = resident = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            fields = dict(line.split(":", 1) for line in _text(status).splitlines() if ":" in line)
            private = max(private, int(fields.get("RssAnon", "0").split()[0]))
            resident = max(resident, int(fields.get("VmHWM", "0").split()[0]))
            time.sleep(POLL)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
    after = os.times()
    return {
        "cpu_seconds": after.children_user + after.children_system - before.children_user - before.children_system,
        "seconds": time.perf_counter() - started,
        "private_mb": private * 1024 / 1e6,
        "resident_mb": resident * 1024 / 1e6,
    }


def _ours(cohort: Path, store: Path, visits: int) -> Figures:
    return _with_rate(measured([sys.executable, "-m", "omicsfm.cli", "prepare", str(cohort), str(store)]), visits)


def _scdl(file: Path, store: Path, visits: int) -> Figures | None:
    python = python_of("scdl")
    return None if python is None else _with_rate(measured([python, "-c", SCDL, str(file), str(store)]), visits)


def _with_rate(figures: Figures, visits: int) -> Figures:
    return figures | {
        "rows_per_cpu_second": visits / figures["cpu_seconds"],
        "rows_per_second": visits / figures["seconds"],
    }


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the process has ended
        return ""
