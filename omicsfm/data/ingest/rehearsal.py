"""Reading the headers and the text of an HDF5 file once in a process of its own.

On a file of flipped bits the HDF5 library itself may crash or never return (10 of 1,500 files with one to three wrong
bytes). A child that does so is a message here.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omicsfm.data.ingest.hdf5 import check_hdf5
from omicsfm.errors import InputError
from omicsfm.memory import bounded_memory

SECONDS = 10
"""Of processor time, so that a busy machine refuses nothing; the headers of a small file take milliseconds."""
BYTES_A_SECOND = 10_000_000
"""Slower than any file is read: one of 1 GB may take two minutes."""
ROWS = 100_000
"""Cells of text held at once."""


def rehearse(path: Path) -> None:
    """Check the headers of a file, and read its attributes, its text and the places of its chunks, in a child.

    Only for a process without threads, as the console script is before its heavy imports.

    Raises:
        InputError: What ``check_hdf5`` says, or that the file cannot be read to the end.
    """
    seconds = SECONDS + (path.stat().st_size // BYTES_A_SECOND if path.is_file() else 0)
    said, status = _in_child(lambda: _read(path), int(seconds))
    if said:
        raise InputError(said)
    if status:
        how = f"did not end within {seconds} s of work" if status == signal.SIGVTALRM else f"crashed (signal {status})"
        raise InputError(f"{path}: reading its headers {how}, so the file is damaged. Copy or write it again.")


def _read(path: Path) -> None:
    import h5py

    check_hdf5(path)

    def look(name: str, node: Any) -> None:
        for key in node.attrs:
            node.attrs[key]
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            if node.dtype.kind == "O" and node.ndim:
                for start in range(0, node.shape[0], ROWS):
                    node[start : start + ROWS]
            if node.chunks:
                node.id.get_num_chunks()

    try:
        with h5py.File(path, "r") as file, bounded_memory():
            look("/", file)
            file.visititems(look)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes the library say
        raise InputError(f"{path}: not readable ({' '.join(str(error).split())}). Copy or write it again.") from None


def _in_child(work: Callable[[], None], seconds: int) -> tuple[str, int]:
    """The text of the InputError that ``work`` raised in a child process, and the signal that ended it; '' and 0."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)  # not handled in Python, which a busy library never reaches
        try:
            work()
        except InputError as error:
            os.write(write, str(error).encode()[:4000])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        text = said.read().decode(errors="replace")
    return text, os.waitpid(child, 0)[1] & 0x7F
