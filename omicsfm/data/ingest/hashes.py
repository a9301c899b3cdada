"""SHA-256 of the files that are read, computed beside the reading."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from omicsfm.data.ingest.tables import readable

PIECE = 1 << 22  # bytes


@contextmanager
def hashed_meanwhile(files: Iterable[Path]) -> Iterator[Callable[[], dict[str, str]]]:
    """Hash files in a thread of their own; what is yielded waits for the hashes by file name. Leaving stops it."""
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = {file.name: pool.submit(_sha256, file, stop) for file in sorted(files)}
        try:
            yield lambda: {name: hashed.result() for name, hashed in waiting.items()}
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _sha256(file: Path, stop: Event) -> str:
    digest = hashlib.sha256()
    with readable(file), file.open("rb") as stream:
        while (piece := stream.read(PIECE)) and not stop.is_set():
            digest.update(piece)
    return digest.hexdigest()
