"""States on their way to the disk: training waits while they are copied in memory, not while they are written."""

import os
import shutil
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import CheckpointIO
from torch import Tensor

from omicsfm.errors import InputError
from omicsfm.training.resume.folder import newest_intact, read_state, write_state
from omicsfm.training.resume.tree import flatten

MB = 1e6
NICENESS = 10


class StateIO(CheckpointIO):
    """What Lightning saves and loads through. Saving copies the tensors to host memory that is kept for the next time,
    and hands them to a thread that hashes and writes them.
    """

    def __init__(self, *, keep: int) -> None:
        """``keep``: how many of the newest states stay on the disk."""
        self.keep = keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state-writer", initializer=_yield_to_training)
        self._held: dict[str, Tensor] = {}
        self._writing: Future[None] | None = None
        self._target = Path()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Begin to write; first waits for the write before, if it is not done yet.

        Raises:
            InputError: The write before failed.
        """
        self.wait()
        plain, tensors = flatten(checkpoint)
        copies = {name: self._copy(name, tensor) for name, tensor in tensors.items()}
        if any(tensor.is_cuda for tensor in tensors.values()):
            torch.cuda.synchronize()
        self._target = Path(path)
        self._writing = self._thread.submit(write_state, self._target, plain, copies, keep=self.keep)

    def wait(self) -> None:
        """Return when nothing is left to write.

        Raises:
            InputError: The last write failed: the disk is full, or a weight is not finite.
        """
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except FloatingPointError as error:
            raise InputError(
                f"{self._target.name}: not saved, {error}. {self._left()} Lower optimizer.learning_rate, or look for "
                "values without sense in the data (omicsfm inspect STORE)."
            ) from error
        except OSError as error:
            needed = sum(tensor.numel() * tensor.element_size() for tensor in self._held.values()) / MB
            free = shutil.disk_usage(self._target.parent.parent).free / MB
            raise InputError(
                f"{self._target}: cannot be written ({error.strerror}); a state takes at least {needed:,.1f} MB and "
                f"{free:,.1f} MB are free. {self._left()} Make room or rights, and start the same command again."
            ) from error

    @property
    def failed(self) -> bool:
        """Whether a write has ended in an error, which ``wait`` raises."""
        return self._writing is not None and self._writing.done() and self._writing.exception() is not None

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        return read_state(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        shutil.rmtree(path)

    def teardown(self) -> None:
        self._thread.shutdown()

    def _left(self) -> str:
        last = newest_intact(self._target.parent)
        return f"The newest whole state is {last}." if last else "No state was saved before."

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        if name.startswith("/callbacks/"):
            return tensor.cpu()  # what callbacks remember they replace, and never change in place
        held = self._held.get(name)
        if held is None or held.shape != tensor.shape or held.dtype != tensor.dtype:
            held = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._held[name] = held
        return held.copy_(tensor, non_blocking=True)


def _yield_to_training() -> None:
    """Where cores are short the thread that writes gives way; Linux has a priority for each thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
