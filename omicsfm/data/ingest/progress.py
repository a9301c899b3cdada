"""How far an intake has come: kept beside the store that is being written, and shown."""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import omicsfm
from omicsfm.data.ingest.tables import refuse_missing
from omicsfm.errors import InputError

SAVE_SECONDS = 20.0
"""What a kill may cost."""
LOG_SECONDS = 10.0


class Progress:
    """Remembers what was done, so that the same command goes on where it was stopped.

    ``folder`` lies in the store's temporary folder. It is made when there is something to remember, and holds one
    file a step and the ``key`` of the inputs; another key starts over.
    """

    def __init__(self, partial: Path, key: str) -> None:
        self.partial, self.folder, self._key = partial, partial / "progress", key
        self._lock: int | None = None
        self._made: list[Path] = []
        self._saved = time.monotonic()
        if partial.exists():
            self._make()
            if self._kept() != key:
                self.discard()

    def saved(self, step: str) -> dict[str, np.ndarray] | None:
        """What was remembered of a step, None where nothing was."""
        file = self.folder / f"{step}.npz"
        if not file.exists():
            return None
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)

    @property
    def begun(self) -> bool:
        """Something was remembered."""
        return self.folder.exists()

    @property
    def due(self) -> bool:
        """It is time to remember."""
        return time.monotonic() - self._saved > SAVE_SECONDS

    def save(self, step: str, arrays: dict[str, np.ndarray]) -> None:
        """Remember a step, whatever happens next."""
        self._make()
        new = self.folder / f"{step}.new.npz"
        with new.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # names of arrays, not options
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self.folder / f"{step}.npz")
        self._saved = time.monotonic()

    def discard(self) -> None:
        """Forget everything, the store that was begun included."""
        shutil.rmtree(self.partial, ignore_errors=True)
        for folder in self._made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        self.release()

    def finish(self) -> None:
        """Everything is done, and there is nothing left to remember."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let another process go on from here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> None:
        if self._lock is not None:
            return
        self._made += [folder for folder in self.partial.parents if not folder.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise BusyError(
                f"{self.partial}: another omicsfm prepare is writing this store. Wait for it, or name another store."
            ) from None
        if self._kept() is None:
            (self.folder / "key.json").write_text(json.dumps(self._key))

    def _kept(self) -> str | None:
        try:
            return str(json.loads((self.folder / "key.json").read_text()))
        except (OSError, ValueError):
            return None


class BusyError(InputError):
    """Another process writes the same store; what it wrote is left alone."""


def key_of(said: Any, files: Iterable[Path]) -> str:
    """What an intake depends on, as one hash: this omicsfm, what the cohort file says, and the files' sizes and times.

    Raises:
        InputError: A file is missing, or a folder.
    """
    stamps = []
    for file in sorted(files):
        refuse_missing(file)
        stat = file.stat()
        stamps.append([str(file.resolve()), stat.st_size, stat.st_mtime_ns])
    return sha256(json.dumps([omicsfm.__version__, repr(said), stamps]).encode()).hexdigest()


class Display:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self._total, self.done = total, 0
        self._said = time.monotonic()
        self._bar = tqdm(total=total, unit="row", unit_scale=True, delay=1.0, disable=not sys.stderr.isatty())

    def at(self, done: int, doing: str) -> None:
        """So many rows are done, and this is being done."""
        self._bar.set_description(doing, refresh=False)
        self._bar.update(done - self.done)
        self.done = done
        if self._bar.disable and time.monotonic() - self._said > LOG_SECONDS:
            self._said = time.monotonic()
            print(f"{doing}: {done:,} of {self._total:,} rows", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing more to show."""
        self._bar.close()
