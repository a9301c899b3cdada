"""A request to stop: a signal of the scheduler or the end of the time a run has. It is noted here and nothing else.

A handler that saves, as Lightning's does, waits in a collective while another process may be in another one, and
neither returns. Here a thread takes the signals, also while the main thread is inside a library; training looks at the
note between two steps. While no fit is running there is nothing to save, and the process ends at once.
"""

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from omicsfm import distributed
from omicsfm.errors import InputError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
TEMPORARY_FAILURE = 75
"""Exit status (EX_TEMPFAIL of sysexits.h): the same command, started again, goes on."""
ECHO_SECONDS = 2.0
"""A launcher passes on the signal that the scheduler sent to everybody: the second of the two is no second request."""
MARGIN_SECONDS = 120.0
"""Before the end of a Slurm job, for a step to end and a state to be written."""


class ToBeContinued(Exception):
    """Training was asked to stop and has saved its state."""


class StopRequest:
    """Whether this process was asked to stop, and why."""

    def __init__(self) -> None:
        self.reason = ""
        self._first = 0.0
        self._fits = 0

    def __bool__(self) -> bool:
        return bool(self.reason)

    @contextlib.contextmanager
    def listening(self, *, stop_after_minutes: float | int | None) -> Iterator[None]:
        """Within, SIGTERM, SIGUSR1, ``stop_after_minutes`` and the end of a Slurm job are requests to stop.

        A second signal ends the process at once. In a thread other than the main one signals cannot be taken.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        deadline = _deadline(stop_after_minutes)
        read, write = os.pipe()
        os.set_blocking(write, False)
        before = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
        wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        thread = threading.Thread(target=self._listen, args=(read, deadline), name="stop-request", daemon=True)
        thread.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(write)  # ends the thread
            thread.join()
            os.close(read)
            self.reason = ""

    @contextlib.contextmanager
    def fitting(self) -> Iterator[None]:
        """Within, somebody looks at the request between steps."""
        self._fits += 1
        try:
            yield
        finally:
            self._fits -= 1

    def _listen(self, read: int, deadline: float | None) -> None:
        while True:
            left = None if deadline is None or self.reason else max(deadline - time.monotonic(), 0.0)
            ready, _, _ = select.select([read], [], [], left)
            if not ready:
                self._ask("the time it has is nearly over")
                continue
            received = os.read(read, 64)
            if not received:
                return
            for number in received:
                if number in STOP_SIGNALS:
                    self._ask(signal.Signals(number).name, number)

    def _ask(self, reason: str, number: int = 0) -> None:
        now = time.monotonic()
        if self.reason:
            if number and now - self._first > ECHO_SECONDS:
                os.write(2, f"{reason} again: ends at once\n".encode())
                os._exit(128 + number)
            return
        self.reason, self._first = reason, now
        if not self._fits:
            os.write(2, f"{reason}: stops before training began; the same command starts it again\n".encode())
            os._exit(exit_status())


stop_request = StopRequest()
"""Of this process."""


def _deadline(stop_after_minutes: float | int | None) -> float | None:
    """On the monotonic clock, which no change of the wall clock moves."""
    ends = []
    if stop_after_minutes is not None:
        if stop_after_minutes <= 0:
            raise InputError(f"resume.stop_after_minutes is {stop_after_minutes:g}; it must be above 0, or null.")
        ends.append(stop_after_minutes * 60)
    if end := os.environ.get("SLURM_JOB_END_TIME"):
        ends.append(float(end) - time.time() - MARGIN_SECONDS)
    return time.monotonic() + min(ends) if ends else None


def exit_status() -> int:
    """0 where the run goes on by itself, or another process answers for it; 75 where somebody has to start it again."""
    return 0 if not distributed.is_first() or requeue() else TEMPORARY_FAILURE


def requeue() -> bool:
    """Put this Slurm batch job back into the queue; False where there is none, or where it is being cancelled."""
    job, scontrol = os.environ.get("SLURM_JOB_ID"), shutil.which("scontrol")
    if not job or not scontrol:
        return False
    shown = _ask_slurm(scontrol, "show", "job", "--oneliner", job)
    if not re.search(r"\bJobState=RUNNING\b", shown.stdout) or not re.search(r"\bBatchFlag=1\b", shown.stdout):
        return False
    print(f"requeues job {job}", file=sys.stderr, flush=True)
    return _ask_slurm(scontrol, "requeue", job).returncode == 0


def _ask_slurm(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
