"""What goes wrong with one of two processes that train together."""

import os
import random
import signal
import time
from collections.abc import Callable

from benchmarks.faulty.runs import Trained
from benchmarks.goal import Goal
from omicsfm.training.resume.folder import newest_intact

SLOW_SECONDS = 3.0
MINUTE = 60.0


def faults_of_pairs(new: Callable[..., Trained], times: int) -> list[Goal]:
    """One of two processes is slow, or dies at random moments; the end must be that of a pair that nothing disturbs."""
    whole = new("pair", "trainer=ddp")
    began = time.monotonic()
    assert [whole.finish(process) for process in whole.start_pair()] == [0, 0], whole.said
    seconds = time.monotonic() - began
    print(f"two processes undisturbed: {seconds:.1f} s", flush=True)
    return [_slow(new, whole), *_dead(new, whole, seconds, times)]


def _slow(new: Callable[..., Trained], whole: Trained) -> Goal:
    """The second process stands still for seconds, longer than a step may take."""
    trained = new("slow", "trainer=ddp", f"health.hang_minutes={SLOW_SECONDS / 3 / 60}")
    first, second = trained.start_pair()
    _wait_for_steps(trained, 3)
    os.kill(second, signal.SIGSTOP)
    time.sleep(SLOW_SECONDS)
    os.kill(second, signal.SIGCONT)
    ended = [trained.finish(process) for process in (first, second)]
    report = trained.run / "hang" / "rank-0.txt"
    named = report.exists() and "all_reduce" in report.read_text() + trained.said
    good = ended == [0, 0] and trained.result() == whole.result() and report.exists()
    print(f"one of two slow: statuses {ended}, reported with stacks: {report.exists()}, collective named: {named}")
    return Goal("one of two processes slow: not reported, or another end", int(not good), "runs", at_most=0)


def _dead(new: Callable[..., Trained], whole: Trained, seconds: float, times: int) -> list[Goal]:
    """The second process is killed; the first must end, and the run go on from its last whole state."""
    draw, longest, unsaid, lost, differs = random.Random(4), 0.0, 0, 0, 0
    for number in range(times):
        trained = new(f"dead-{number}", "trainer=ddp")
        first, second = trained.start_pair()
        _wait_for_steps(trained, 1)
        time.sleep(draw.uniform(0.0, seconds / 4))
        os.kill(second, signal.SIGKILL)
        began = time.monotonic()
        status = trained.finish(first)
        trained.finish(second)
        longest = max(longest, time.monotonic() - began)
        unsaid += status != 0 and not (status == 1 and "another process of this run ended" in trained.said)
        had, taken = newest_intact(trained.run / "resume"), len(trained.steps())
        again = [trained.finish(process) for process in trained.start_pair()]
        after = trained.steps()[taken:][:1]
        lost += bool(after) and after[0][1] != (int(had.name.removeprefix("step-")) if had else 0)
        differs += again != [0, 0] or trained.result() != whole.result()
        print(f"one of two killed: status {status}, then {again}", flush=True)
    name = f"one of two processes killed, {times} times"
    return [
        Goal(f"{name}: the other ends after, at most", longest, "s", at_most=MINUTE),
        Goal(f"{name}: no message of the other", unsaid, "runs", at_most=0),
        Goal(f"{name}: starts that did not go on from the last whole state", lost, "starts", at_most=0),
        Goal(f"{name}: runs whose end differs", differs, "runs", at_most=0),
    ]


def _wait_for_steps(trained: Trained, number: int) -> None:
    while len(trained.steps()) < number:
        time.sleep(0.005)
