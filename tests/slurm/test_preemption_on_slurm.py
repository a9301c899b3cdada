"""A pretraining over two nodes of a real Slurm that is preempted, asked to stop, and loses a rank: it loses no step."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from omicsfm.data.store import OmicsStore
from omicsfm.training.main import compose
from omicsfm.training.resume.folder import saved_states
from omicsfm.training.run import run
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
REPOSITORY = Path(__file__).resolve().parents[2]
SLOWED_DOWN = """
import os, pathlib, time
from omicsfm.training import main, module

step = module.TrainingModule.training_step

def training_step(self, batch, index):
    with pathlib.Path(os.environ["STEPS"] + os.environ.get("SLURM_PROCID", "0")).open("a") as stream:
        stream.write(f"{os.environ.get('SLURM_RESTART_COUNT', '0')} {self.trainer.global_step}\\n")
    time.sleep(0.2)
    return step(self, batch, index)

module.TrainingModule.training_step = training_step
main.main()
"""
TRAINING = (
    "model=tiny",
    "task.epochs=15",
    "task.patience=15",
    "data.batch_size=20",
    "data.max_features=8",
    "logger=none",
)


class Job:
    """A pretraining job in a folder, whose steps take a fifth of a second."""

    def __init__(self, slurm: Cluster, store: OmicsStore, folder: Path, *more: str) -> None:
        self.slurm, self.folder, self.run = slurm, folder, folder / "run"
        self.overrides = (f"data.store={store.path}", *TRAINING, *more)
        (folder / "slurm").symlink_to(REPOSITORY / "slurm")
        (folder / "train.py").write_text(SLOWED_DOWN)
        variables = {
            "OMICSFM_HOME": str(folder),
            "OMICSFM_VENV": sys.prefix,
            "PYTHONPATH": str(REPOSITORY),
            "MASTER_ADDR": "127.0.0.1",  # the nodes' names are known to this Slurm alone
            "STEPS": f"{folder}/steps",
        }
        options = ("--nodes=2", "--cpus-per-task=1", "--time=10", f"--output={folder}/job.log", "--mem=100")
        overrides = (*self.overrides, f"run_dir={self.run}", "resume.every_minutes=0.02")
        self.number = slurm.submit(*options, str(folder / "slurm" / "pretrain.sbatch"), *overrides, **variables)

    @property
    def log(self) -> str:
        return (self.folder / "job.log").read_text() if (self.folder / "job.log").exists() else ""

    def steps(self, rank: int = 0) -> list[tuple[int, int]]:
        """The start and the number of every step that a rank took."""
        file = self.folder / f"steps{rank}"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(start), int(step)) for start, step in map(str.split, lines)]

    def wait_for_step(self, start: int, step: int) -> None:
        reached = lambda: any(s == start and n >= step for s, n in self.steps())  # noqa: E731
        self.slurm.wait_for(reached, f"start {start} to reach step {step}")

    def wait_for_start(self, start: int) -> None:
        """Slurm holds a requeued job for two minutes, lest it meet its old self; here it is let go after five seconds:
        a node refuses the credential of a job that it has just revoked.
        """
        requeued = time.monotonic()

        def started() -> bool:
            if self.slurm.state(self.number) == "PENDING" and time.monotonic() > requeued + 5:
                self.slurm.ask("scontrol", "update", f"JobId={self.number}", "StartTime=now", strict=False)
            return f"restart {start}:" in self.log

        self.slurm.wait_for(started, f"start {start}")

    def preempt(self) -> None:
        """Let a job of a higher partition ask for both nodes."""
        high = ("--partition=high", "--nodes=2", "--mem=100", "--wrap=true", f"--output={self.folder}/high.log")
        self.slurm.submit(*high)

    def assert_same_losses_as_alone(self) -> None:
        """Require the losses of the same run on one process that nothing interrupts."""
        run(compose([*self.overrides, f"run_dir={self.folder / 'alone'}"]))
        ours, theirs = (
            [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
            for folder in (self.run, self.folder / "alone")
        )
        assert [line["step"] for line in ours] == [line["step"] for line in theirs]
        for name in ("train/loss", "val/loss"):
            assert ours[-1][name] == pytest.approx(theirs[-1][name], rel=1e-6)

    def process_of(self, rank: int) -> int:
        """The process id of a rank of this job."""
        wanted = {f"SLURM_JOB_ID={self.number}".encode(), f"SLURM_PROCID={rank}".encode()}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                found = wanted <= set((process / "environ").read_bytes().split(b"\0"))
                if found and b"train.py" in (process / "cmdline").read_bytes():
                    return int(process.name)
            except OSError:  # it ended meanwhile
                continue
        raise AssertionError(f"no process of rank {rank}")


@pytest.fixture
def job(slurm: Cluster, simulated_store: OmicsStore, tmp_path: Path) -> Iterator[Job]:
    """A pretraining that has been submitted; it does not outlive its test."""
    submitted = Job(slurm, simulated_store, tmp_path)
    yield submitted
    slurm.ask("scancel", submitted.number, strict=False)


def test_a_job_survives_preemption_a_signal_and_the_loss_of_a_rank(job: Job, slurm: Cluster) -> None:
    job.wait_for_step(start=0, step=6)
    job.preempt()
    job.wait_for_start(1)
    job.wait_for_step(start=1, step=len(job.steps()) + 3)
    slurm.ask("scancel", "--signal=USR1", job.number)
    job.wait_for_start(2)
    job.wait_for_step(start=2, step=len(job.steps()) + 8)
    killed = time.monotonic()
    os.kill(job.process_of(rank=1), signal.SIGKILL)
    slurm.wait_for(lambda: "a task was killed" in job.log, "the job to end and ask to be requeued", seconds=60)
    ended = time.monotonic() - killed
    job.wait_for_start(3)
    job.wait_for_step(start=3, step=0)
    again = time.monotonic() - killed
    print(f"kill -9 of a rank: the job ended after {ended:.1f} s and took a step again after {again:.1f} s")
    slurm.wait_for(lambda: slurm.state(job.number) == "COMPLETED", "the job to end")

    assert "SIGTERM: saved at step" in job.log
    assert "SIGUSR1: saved at step" in job.log
    assert re.search(r"a task was killed \(status 1\d\d\) after the run had got further: requeues job", job.log)
    taken = job.steps()
    assert {start for start, _ in taken} == {0, 1, 2, 3}
    for (start, step), (later, after) in pairwise(taken):  # only what a killed rank had not saved is done again
        assert after == step + 1 or (start, later) == (2, 3), f"step {after} of start {later} came after {step}"
    assert not saved_states(job.run / "resume")
    job.assert_same_losses_as_alone()


@pytest.mark.skipif("OMICSFM_LONG" not in os.environ, reason="takes minutes; OMICSFM_LONG=1 runs it")
def test_twenty_preemptions_in_a_row_lose_no_step_and_repeat_none(
    slurm: Cluster, simulated_store: OmicsStore, tmp_path: Path
) -> None:
    """By turns a job of a higher partition and a signal."""
    job = Job(slurm, simulated_store, tmp_path, "task.epochs=60", "task.patience=60")
    for number in range(20):
        job.wait_for_step(start=number, step=len(job.steps()) + 1)
        job.preempt() if number % 2 else slurm.ask("scancel", "--signal=USR1", job.number)
        job.wait_for_start(number + 1)
    slurm.wait_for(lambda: slurm.state(job.number) == "COMPLETED", "the job to end")
    assert [step for _, step in job.steps()] == list(range(len(job.steps())))
    assert {start for start, _ in job.steps()} == set(range(21))
    job.assert_same_losses_as_alone()


def test_a_cancelled_job_is_not_requeued(job: Job, slurm: Cluster) -> None:
    job.wait_for_step(start=0, step=2)
    slurm.ask("scancel", job.number)
    slurm.wait_for(lambda: slurm.state(job.number) == "CANCELLED", "the job to end")
    slurm.wait_for(lambda: "saved at step" in job.log, "the state to be saved")
    assert "requeues job" not in job.log
    assert slurm.state(job.number) == "CANCELLED"
