"""How the intake answers a case: one clear message and nothing left behind, or a store that is whole."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_files import check_all_files
from omicsfm.errors import InputError

SECONDS = 120
"""Far longer than any of these small cases takes, on a loaded machine too."""
LONGEST = 4000
"""Characters that somebody may still read."""


class Wrong(AssertionError):
    """The intake hung, left something behind, spoke unclearly, or stored what the files do not say."""


@contextmanager
def guarded(seconds: int = SECONDS) -> Iterator[None]:
    """Let the block take so long at most; only in the main thread."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Wrong(f"still busy after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def answer(cohort: Path, out: Path) -> OmicsStore | str:
    """The store that ``prepare`` made in the folder ``out``, or its message."""
    try:
        with guarded():
            store = prepare(cohort, out / "store")
    except InputError as error:
        _nothing_left(out)
        return _clear(str(error))
    if sorted(path.name for path in out.iterdir()) != ["store"]:
        raise Wrong(f"beside the store there is {sorted(path.name for path in out.iterdir())}")
    check_all_files(store.path, store.manifest)
    return store


def answer_of_script(cohort: Path, out: Path) -> OmicsStore | str:
    """The same through the console script."""
    command = [sys.executable, "-m", "omicsfm.cli", "prepare", str(cohort), str(out / "store")]
    done = subprocess.run(command, capture_output=True, timeout=2 * SECONDS, check=False)
    said = done.stderr.decode(errors="replace")
    if done.returncode == 0:
        return OmicsStore.open(out / "store")
    if done.returncode != 1 or "Traceback" in said or not said.startswith("error: ") or said.count("\n") != 1:
        raise Wrong(f"status {done.returncode}: {said[-2000:]}")
    _nothing_left(out)
    return _clear(said.removeprefix("error: ").rstrip("\n"))


def _clear(message: str) -> str:
    if not message.strip() or len(message) > LONGEST or not message.isprintable():
        raise Wrong(f"no clear message ({len(message):,} characters): {json.dumps(message[:500])}")
    return message


def _nothing_left(out: Path) -> None:
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*")) if out.exists() else []
    if left:
        raise Wrong(f"refused, but left behind {left}")
