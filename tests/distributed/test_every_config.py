"""Every objective and every head, trained by every strategy of configs/trainer on two processes, has the losses and the
weights of one process. What is added to these folders is tested too. One pair of processes runs all cases.

Tolerances: 2e-6 of each term of each epoch's losses, or 1e-6 where a term is small (measured: 6e-7). For the weights a
fiftieth of the way that training moved them (measured: 1e-5; 7e-3 under a partial likelihood, where a bias that shifts
all log hazards alike has rounding for a gradient, which Adam magnifies).
"""

import json
import os
import socket
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file, save_file

from omicsfm import distributed
from omicsfm.contracts import TIMED, OutcomeSpec
from omicsfm.data.store import Matrix, write_store
from omicsfm.features import FeatureSpace
from omicsfm.paths import configs_dir
from omicsfm.training import adaptations, module, pretrain, speed
from omicsfm.training.fit import fit
from omicsfm.training.main import compose
from omicsfm.training.run import run

pytestmark = pytest.mark.distributed
PEOPLE, VISITS = 18, 2
OUTCOMES = {
    "class": OutcomeSpec("ill", "class", "visit", ("no", "yes")),
    "quantity": OutcomeSpec("bmi", "quantity"),
    "survival": OutcomeSpec("death", "survival"),
    "competing_risks": OutcomeSpec("end", "competing_risks", classes=("relapse", "death")),
}
SMALL = (
    "logger=none", "model=tiny", "model.dim=8", "model.num_latents=2", "task.epochs=2", "task.gradient_clip=0.1",
    "trajectory.dim=8", "trajectory.num_heads=2", "trajectory.depth=1", "kernel.features=64",
)  # fmt: skip


def spread_trainers() -> dict[str, tuple[str, ...]]:
    """The trainers of several processes, and what makes them shard a tiny model too."""
    found = {}
    for file in sorted((configs_dir() / "trainer").glob("*.yaml")):
        strategy = yaml.safe_load(file.read_text())["strategy"]
        if not isinstance(strategy, dict) or strategy.get("offload"):  # where it is kept: see test_training.py
            continue
        if "deepspeed" not in file.stem or find_spec("deepspeed"):
            found[file.stem] = ("trainer.strategy.whole_below=0",) if "whole_below" in strategy else ()
    return found


def jobs() -> dict[str, tuple[str, ...]]:
    """By name: what each objective and each head is trained with."""
    names = sorted(file.stem for file in (configs_dir() / "objective").glob("*.yaml"))
    found = {
        name: ("task=pretrain", f"objective=[{name}]", "data.batch_size=5", "task.validation_fraction=0.25")
        for name in names
    }
    for file in sorted((configs_dir() / "head").glob("*/*.yaml")):
        kind = file.parent.name
        tuned = ("task=finetune", f"head/{kind}={file.stem}", f"outcome={OUTCOMES[kind].name}")
        found[f"{kind}-{file.stem}"] = (*tuned, "adaptation=full", "data.allow_seen=true", "data.batch_size=7")
    return found


TRAINERS, JOBS = spread_trainers(), jobs()


def make_store(folder: Path) -> Path:
    """Eighteen people, seen twice; every third visit has a proteome; half of them have events. Training has 26 visits,
    or 22 for an outcome, which leaves a single one for the last batch.
    """
    generator = np.random.default_rng(0)
    rows = np.arange(PEOPLE * VISITS)
    health = np.repeat(generator.normal(size=(PEOPLE, 1)), VISITS, axis=0) + 0.3 * generator.normal(size=(len(rows), 1))
    matrices = {}
    for name, features, own in (("transcriptome", 7, rows), ("proteome", 5, rows[::3])):
        space = FeatureSpace(name, tuple(f"f{n}" for n in range(features)), "local", "log2")
        values = health[own] + generator.normal(size=(len(own), features))
        matrices[name] = Matrix(space, own, values.astype(np.float32))
    person, sick = rows // VISITS, health[:, 0]
    cause = np.where(person % 2 == 0, 1 + person // 2 % 2, 0)[:, None] * np.ones(2)
    timed = {name: np.repeat(np.ceil(500 * np.exp(-sick[::VISITS])), VISITS) for name in ("death", "end")}
    outcomes = pd.DataFrame(
        {
            "ill": np.where(sick > 0, "yes", "no"),
            "bmi": 25 + 4 * sick,
            "death.time_days": timed["death"],
            "death.event": (cause[:, 0] > 0).astype(float),
            "end.time_days": timed["end"],
            "end.event": cause[:, 0],
        }
    )
    visits = pd.DataFrame(
        {
            "participant_id": [f"P{n:02d}" for n in person],
            "visit": (rows % VISITS).astype(str),
            "time_days": 400.0 * (rows % VISITS),
            "site": np.where(person % 3, "north", "south"),
        }
    )
    specs = {spec.name: spec for spec in OUTCOMES.values()}
    store = write_store(folder, name="tiny", visits=visits, outcomes=outcomes, outcome_specs=specs, matrices=matrices)
    return store.path


def train_all(folder: Path, trainers: dict[str, tuple[str, ...]]) -> None:
    """Train every job with each of these trainers, as one of two processes or as the only one."""
    seen: dict[str, list[Any]] = {}
    step = module.TrainingModule.training_step

    def noted(own: Any, batch: Any, index: int) -> Any:
        events = [o for o in batch.outcomes.values() if hasattr(o, "time_days")]
        event = any(bool(getattr(o, "event", getattr(o, "cause", None)).any()) for o in events)
        seen[name].append([len(batch), bool(batch.measurements["proteome"].observed.any()), event])
        return step(own, batch, index)

    def kept(**parts: Any) -> Any:
        before, best = parts["model"].state_dict(), fit(**parts)
        if distributed.is_first():  # the export of a head falls back to its probe where training did not help
            moved = {key: tensor - before[key] for key, tensor in best.weights.items()}
            save_file(moved, folder / name / "moved.safetensors")
        return best

    module.TrainingModule.training_step = noted  # type: ignore[method-assign]
    pretrain.fit = adaptations.fit = kept  # type: ignore[attr-defined]
    speed.peak_flops = lambda *_: 1.0  # else it is measured before each run
    basis = (*SMALL, f"data.store={folder / 'store'}", "run_dir=none")
    configs = {job: compose([*basis, f"checkpoint={folder / 'checkpoint'}", *own]) for job, own in JOBS.items()}
    spread = {name: compose([*basis, f"trainer={name}", *more])["trainer"] for name, more in trainers.items()}
    for (trainer, chosen), (job, config) in product(spread.items(), configs.items()):
        name = f"{trainer}-{job}"
        seen[name] = []
        run({**config, "trainer": chosen, "run_dir": str(folder / name)})
    (folder / f"seen-{os.environ.get('RANK', 'alone')}.json").write_text(json.dumps(seen))


@pytest.fixture(scope="module")
def trained(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which one process and two have trained everything."""
    folder = tmp_path_factory.mktemp("every")
    store = make_store(folder / "store")
    first = compose([*SMALL, "task=pretrain", "task.epochs=0", f"data.store={store}", f"run_dir={folder / 'initial'}"])
    (folder / "checkpoint").symlink_to(run(first))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    elastic = {"TORCHELASTIC_RUN_ID": "tests", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    script = f"import runpy, pathlib; own = runpy.run_path({__file__!r}); "
    script += f"own['train_all'](pathlib.Path({str(folder)!r}), "
    pair = [
        runs.start(
            sys.executable, "-c", script + "own['TRAINERS'])",
            RANK=rank, LOCAL_RANK=rank, LOCAL_WORLD_SIZE="2", GROUP_RANK="0", **elastic,
        )
        for rank in "01"
    ]  # fmt: skip
    runs.finish(runs.start(sys.executable, "-c", script + "{'cpu': ()})"), *pair)
    return folder


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("trainer", TRAINERS)
def test_two_processes_have_the_losses_and_the_export_of_one(trainer: str, job: str, runs: Any, trained: Path) -> None:
    ours, alone = trained / f"{trainer}-{job}", trained / f"cpu-{job}"
    runs.assert_same_losses(ours, alone)
    found, wanted = (load_file(folder / "moved.safetensors") for folder in (ours, alone))
    assert found.keys() == wanted.keys()
    apart = sum((found[name] - tensor).square().sum() for name, tensor in wanted.items()) ** 0.5
    moved = sum(tensor.square().sum() for tensor in wanted.values()) ** 0.5
    assert apart < 0.02 * moved


@pytest.mark.parametrize("job", JOBS)
def test_a_rank_often_has_no_visit_no_proteome_or_no_event(job: str, trained: Path) -> None:
    """Else the test above would say less than it seems to."""
    ranks = [json.loads((trained / f"seen-{rank}.json").read_text())[f"ddp-{job}"] for rank in "01"]
    pairs = list(zip(*ranks, strict=True))
    if job != "forecast":  # people are dealt out whole, and evenly
        assert any(0 in (a[0], b[0]) for a, b in pairs), "no batch was too small for both"
    assert any(a[1] != b[1] for a, b in pairs), "no batch whose proteomes one rank had alone"
    if job.split("-")[0] in TIMED:
        assert any(a[2] != b[2] for a, b in pairs), "no batch whose events one rank had alone"
