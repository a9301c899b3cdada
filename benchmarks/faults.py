"""SUITE=faults: what a run keeps when it is killed, its disk fills, a file rots, or the data are without sense.

Each fault is done to a small run that saves a state after every step. It must go on from the last whole state, or end
with one clear message; in the end its losses and weights must be, bit by bit, those of a run that nothing disturbed.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.faulty.pairs import faults_of_pairs
from benchmarks.faulty.runs import Trained, make_store
from benchmarks.goal import Goal
from omicsfm.checkpoint import verify_checkpoint
from omicsfm.errors import InputError
from omicsfm.training import module
from omicsfm.training.resume.folder import newest_intact, read_state, saved_states, verify_state

KILLS, STOPS, FLIPS, PAIRS = 100, 20, 1000, 10
SMALL = 10
"""A reduced run does a tenth."""
TMPFS = Path("/dev/shm")


def run(small: bool) -> list[Goal]:
    torch.set_num_threads(1)  # a forked process has no other thread of its parent
    divide = SMALL if small else 1
    with tempfile.TemporaryDirectory(prefix="omicsfm-faults-", dir=".") as name:
        folder = Path(name).resolve()
        store = make_store(folder)
        seconds = float("inf")
        for number in range(2):  # where others use the machine too, the shorter says more
            whole = Trained(store, folder / f"undisturbed-{number}")
            began = time.monotonic()
            assert whole.finish(whole.start()) == 0, whole.said
            seconds = min(seconds, time.monotonic() - began)
        print(f"undisturbed: {len(whole.steps())} steps in {seconds:.1f} s", flush=True)
        new: Callable[..., Trained] = lambda name, *overrides: Trained(store, folder / name, *overrides)  # noqa: E731
        goals = []
        for goal in _goals(new, whole, store, seconds, divide):
            print(goal.line(), flush=True)
            goals.append(goal)
        return goals


def _goals(new: Callable[..., Trained], whole: Trained, store: Path, seconds: float, divide: int) -> Iterator[Goal]:
    expected = whole.result()
    yield from _killed(new, expected, seconds, KILLS // divide)
    yield from _asked_to_stop(new, expected, seconds, STOPS // min(divide, 4))
    yield from _flipped(new, whole, FLIPS // divide)
    yield _full_disk(store)
    yield _read_only(store)
    yield _truncated(new, expected, seconds)
    yield _clock(new, expected, seconds)
    yield from _not_finite(new)
    yield from faults_of_pairs(new, PAIRS // min(divide, 5))


def _killed(new: Any, expected: Any, seconds: float, kills: int) -> list[Goal]:
    """SIGKILL at random moments of a start, with TMPDIR on another file system."""
    draw, done, lost, differs, number = random.Random(1), 0, 0, 0, 0
    states, leftovers, writing = 0, 0, 0
    while done < kills:
        trained, number, status = new(f"killed-{number}"), number + 1, -signal.SIGKILL
        while status != 0:
            finished = (trained.run / "finished.json").exists()
            had = None if finished else newest_intact(trained.run / "resume")
            taken, began = len(trained.steps()), time.time()
            process = trained.start(**({"TMPDIR": str(TMPFS)} if TMPFS.exists() else {}))
            if done < kills:
                time.sleep(draw.uniform(0.0, seconds))
                os.kill(process, signal.SIGKILL)
            status = trained.finish(process)
            done += status == -signal.SIGKILL
            writing += any(f.stat().st_mtime > began for f in (trained.run / "resume").glob(".*.partial"))
            first = trained.steps()[taken:][:1]
            states += had is not None
            lost += bool(first) and first[0][1] != (int(had.name.removeprefix("step-")) if had else 0)
            assert status in (0, -signal.SIGKILL), trained.said
        differs += trained.result() != expected
        leftovers += sum(f.stat().st_size for f in trained.run.rglob(".*") if f.is_file())
    details = {"runs": number, "in the middle of a write": writing, "starts that found a state": states}
    details |= {"bytes left over": leftovers}
    print(f"killed {done} times: {details}", flush=True)
    return [
        Goal(
            "SIGKILL: starts that did not go on from the last whole state", lost, "starts", at_most=0, details=details
        ),
        Goal("SIGKILL: runs whose end differs from an undisturbed one's", differs, "runs", at_most=0),
    ]


def _asked_to_stop(new: Any, expected: Any, seconds: float, stops: int) -> list[Goal]:
    """SIGUSR1 and SIGTERM by turns; a run is started again until it is finished."""
    draw, done, trained, number, wrong, differs = random.Random(2), 0, None, 0, 0, 0
    while done < stops:
        trained, number, status = new(f"stopped-{number}"), number + 1, 75
        while status == 75:
            process = trained.start()
            taken = len(trained.steps())
            while len(trained.steps()) == taken and not _has_ended(process):
                time.sleep(0.005)
            time.sleep(draw.uniform(0.0, seconds / 8))
            if done < stops:
                os.kill(process, draw.choice([signal.SIGUSR1, signal.SIGTERM]))
            status = trained.finish(process)
            done += status == 75
            assert status in (0, 75), f"{status}: {trained.said}"
        numbers = [step for _, step in trained.steps()]
        wrong += sum(abs(step - place) > 0 for place, step in enumerate(numbers))
        differs += trained.result() != expected
    return [
        Goal(f"steps lost or repeated by {done} requests to stop in a row", wrong, "steps", at_most=0),
        Goal("requests to stop: runs whose end differs", differs, "runs", at_most=0),
    ]


def _has_ended(process: int) -> bool:
    """As one does that was stopped after its last step; its status is left to be asked for."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _flipped(new: Any, whole: Trained, flips: int) -> list[Goal]:
    """Single bits, over all files of a state and of an exported checkpoint."""
    trained = new("flipped", "task.epochs=2")
    process = trained.start()
    while not saved_states(trained.run / "resume"):
        time.sleep(0.005)
    os.kill(process, signal.SIGTERM)
    assert trained.finish(process) == 75, trained.said
    goals = []
    for name, folder, verify in (
        ("a state", saved_states(trained.run / "resume")[0], verify_state),
        ("a checkpoint", whole.run / "checkpoint", verify_checkpoint),
    ):
        draw, missed = random.Random(3), 0
        files = sorted(folder.iterdir())
        for number in range(flips):
            file = files[number % len(files)]
            intact = file.read_bytes()
            flipped = bytearray(intact)
            flipped[draw.randrange(len(intact))] ^= 1 << draw.randrange(8)
            file.write_bytes(flipped)
            try:
                verify(folder)
                missed += 1
            except InputError as error:
                missed += file.name not in str(error)
            file.write_bytes(intact)
        verify(folder)
        goals.append(Goal(f"{flips} flipped bits of {name}: not refused by the file's name", missed, "bits", at_most=0))
    return goals


@contextmanager
def _tmpfs(megabytes: int) -> Iterator[Path | None]:
    """A file system of that size, None where this process may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="omicsfm-tmpfs-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "omicsfm", str(folder)], capture_output=True, check=False
    )
    try:
        yield folder if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _full_disk(store: Path) -> Goal:
    name = "full disk: no message, or the last state is not whole"
    with _tmpfs(4) as folder:
        if folder is None:
            return Goal(name, None, "runs", at_most=0, missing="not installed")
        trained = Trained(store, folder / "full", "resume.keep=1000", "task.epochs=200", "task.patience=200")
        status = trained.finish(trained.start())
        kept = newest_intact(trained.run / "resume")
        good = status == 1 and "No space left on device" in trained.said and kept is not None
        print(f"full disk: status {status}, {trained.said.splitlines()[-1]}", flush=True)
        return Goal(name, int(not good), "runs", at_most=0)


def _read_only(store: Path) -> Goal:
    name = "read-only run folder: no message"
    with _tmpfs(16) as folder:
        if folder is None:
            return Goal(name, None, "runs", at_most=0, missing="not installed")
        trained = Trained(store, folder / "read_only")
        (trained.folder / "said").touch()
        (trained.folder / "steps").touch()
        said = trained.folder.parent.with_suffix(".said")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        command = [sys.executable, "-c", "from omicsfm.training.main import main; main()", *trained.command]
        with said.open("w") as stream:
            ended = subprocess.run(command, stdout=stream, stderr=stream, check=False)
        last = said.read_text().strip().splitlines()[-1]
        said.unlink()
        print(f"read-only: status {ended.returncode}, {last}", flush=True)
        return Goal(name, int(not (ended.returncode == 1 and last.startswith("error: "))), "runs", at_most=0)


def _half_done(new: Any, name: str, seconds: float) -> Trained:
    trained = new(name)
    process = trained.start()
    while len(saved_states(trained.run / "resume")) < 3:
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    trained.finish(process)
    return trained


def _truncated(new: Any, expected: Any, seconds: float) -> Goal:
    trained = _half_done(new, "truncated", seconds)
    newest = newest_intact(trained.run / "resume")
    file = newest / "tensors.safetensors"
    os.truncate(file, file.stat().st_size * 9 // 10)
    status = trained.finish(trained.start())
    good = status == 0 and f"warning: {file}" in trained.said and trained.result() == expected
    return Goal("truncated newest state: not passed over with a warning", int(not good), "runs", at_most=0)


def _clock(new: Any, expected: Any, seconds: float) -> Goal:
    """A start whose wall clock stands in 1970, after one in the present."""
    trained = _half_done(new, "clock", seconds)

    def back() -> None:
        time.time = lambda: 0.0

    status = trained.finish(trained.start(back))
    good = status == 0 and trained.result() == expected
    return Goal("clock set back: runs whose end differs", int(not good), "runs", at_most=0)


def _not_finite(new: Any) -> list[Goal]:
    """A value that is not finite in one batch, and in every batch."""
    goals = []
    for name, planted, wanted in (("one", (3,), 0), ("every", range(3, 10**6), 1)):
        trained = new(f"not-finite-{name}")

        def plant(planted: Any = planted) -> None:
            step = module.TrainingModule.training_step

            def spoilt(own: Any, batch: Any, index: int) -> Any:
                if own.trainer.global_step in planted and len(batch):
                    next(iter(batch.measurements.values())).values[0] = torch.nan
                return step(own, batch, index)

            module.TrainingModule.training_step = spoilt  # type: ignore[method-assign]

        status = trained.finish(trained.start(plant))
        state = newest_intact(trained.run / "resume")
        finite = state is None or all(t.isfinite().all() for t in read_state(state)["state_dict"].values())
        good = status == wanted and "Store rows of its visits" in trained.said and finite
        print(f"NaN in {name} batch: status {status}", flush=True)
        goals.append(Goal(f"NaN in {name} batch: not left out, or not named", int(not good), "runs", at_most=0))
    return goals
