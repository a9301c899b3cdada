"""From the start of the process to the end of the first optimiser step, beside a minimal script."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import anndata
import h5py

from benchmarks.goal import Goal
from omicsfm.data.store import OmicsStore

ROOT = Path(__file__).parents[1]
FIRST_STEP = """
import sys, time
from omicsfm.training import main, quick_start
quick_start.import_lightning()  # as train.py does, before anything else imports it
from omicsfm.training import module

def first(self, *_):
    print("first step", time.time(), flush=True)
    sys.exit(0)

module.TrainingModule.on_train_batch_end = first
sys.argv[0] = "train.py"
main.main()
"""


def start(store: OmicsStore, cohort: Path, folder: Path, rounds: int) -> Goal:
    """The best of a few of each, in turns."""
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text("batch_size: 32\n")
    with h5py.File(cohort) as stored:
        anndata.io.read_elem(stored["mod/proteome"]).write_h5ad(folder / "proteome.h5ad")
    minimal = [
        sys.executable,
        "-m",
        "benchmarks.contestants.first_step",
        str(folder / "config"),
        str(folder / "proteome.h5ad"),
    ]
    overrides = ["task=pretrain", "model=tiny", f"data.store={store.path}"]
    times: dict[str, list[float]] = {"ours": [], "minimal": []}
    for number in range(rounds):
        commands = {
            "ours": [sys.executable, "-c", FIRST_STEP, *overrides, f"run_dir={folder}/start-{number}"],
            "minimal": minimal,
        }
        for name, command in commands.items():
            began = time.time()
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            said = [line.split() for line in ended.stdout.splitlines() if line.startswith("first step")]
            assert said, ended.stderr
            times[name].append(float(said[0][2]) - began)
    print(json.dumps(times), flush=True)
    return Goal(
        "start to first step", min(times["ours"]), "s", anchor=min(times["minimal"]), at_most=1.0, details=times
    )
