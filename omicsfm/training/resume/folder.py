"""RUN/resume: the last few whole states of a run, each a folder that is complete or absent.

step-000000120/state.json          counters, schedules, what callbacks remember: plain data
step-000000120/tensors.safetensors weights, optimiser state and the best epoch's weights, whole, as of one process
step-000000120/manifest.json       SHA-256 of both, written last
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from omicsfm.errors import InputError
from omicsfm.training.resume.files import sha256, sync_folder, write_json, write_tensors
from omicsfm.training.resume.tree import restore

FORMAT = 1
FILES = ("state.json", "tensors.safetensors")
MANIFEST = "manifest.json"


class DamagedState(InputError):
    """A saved state that is not what was written; the message names the file."""


def write_state(folder: Path, plain: Any, tensors: Mapping[str, Tensor], *, keep: int) -> None:
    """Write what ``flatten`` made of a state under a temporary name beside ``folder``, sync, rename, and remove all but
    the ``keep`` newest.

    Raises:
        FloatingPointError: A weight is not finite; nothing is written.
        OSError: The disk is full or cannot be written; the states that are there stay.
    """
    _require_finite(tensors)
    parent, partial = folder.parent, folder.with_name(f".{folder.name}.partial")
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(".*.partial"):  # of a start that was killed
        shutil.rmtree(left)
    partial.mkdir()
    try:
        hashes = {
            "state.json": write_json(partial / "state.json", plain),
            "tensors.safetensors": write_tensors(partial / "tensors.safetensors", tensors),
        }
        record = {"format": FORMAT, "files": hashes}
        write_json(partial / MANIFEST, {**record, "digest": _digest(record)})
        sync_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one of the same step
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(parent)
    for old in saved_states(parent)[keep:]:
        (old / MANIFEST).unlink(missing_ok=True)  # first: a half-removed folder is no state
        shutil.rmtree(old)


def saved_states(parent: Path) -> list[Path]:
    """Folders of states in RUN/resume, the newest first; whether they are intact is not looked at."""
    return sorted((folder for folder in parent.glob("step-*") if folder.is_dir()), reverse=True)


def newest_intact(parent: Path) -> Path | None:
    """The newest state that is as it was written, None where none was ever saved; says on stderr what it passes over.

    Raises:
        InputError: There are states and all of them are damaged.
    """
    found = saved_states(parent)
    for folder in found:
        try:
            verify_state(folder)
        except DamagedState as error:
            print(f"warning: {error} Passed over for the state before it.", file=sys.stderr)
        else:
            return folder
    if found:
        raise InputError(
            f"{parent}: none of its {len(found)} saved states is intact. Restore the folder from a backup, or delete "
            "it to train from the beginning."
        )
    return None


def verify_state(folder: Path) -> None:
    """Compare every file of a state with what was written.

    Raises:
        DamagedState: Which file is missing or differs.
    """
    file = folder / MANIFEST
    try:
        text = file.read_text()
        record = json.loads(text)
        hashes, digest = record["files"], record.pop("digest")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedState(f"{file}: is missing or damaged ({type(error).__name__}).") from error
    if digest != _digest(record) or text != json.dumps({**record, "digest": digest}):
        raise DamagedState(f"{file}: differs from what was written.")
    if record["format"] > FORMAT:
        raise InputError(f"{file}: of format {record['format']}; this omicsfm reads up to {FORMAT}. Update omicsfm.")
    for name in FILES:
        if not (folder / name).is_file():
            raise DamagedState(f"{folder / name}: is missing.")
        if sha256(folder / name) != hashes[name]:
            raise DamagedState(f"{folder / name}: differs from what was written (SHA-256).")


def read_state(folder: Path) -> dict[str, Any]:
    """The state that ``write_state`` wrote, with tensors on the host."""
    return restore(json.loads((folder / "state.json").read_text()), load_file(folder / "tensors.safetensors"))


def _require_finite(tensors: Mapping[str, Tensor]) -> None:
    broken = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not _finite(tensor)]
    weights = [name for name in broken if name.startswith(("/state_dict", "/optimizer_states"))]
    if weights:
        raise FloatingPointError(f"{len(weights)} tensors hold NaN or infinity (first: {weights[0]})")


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.sum(dtype=tensor.dtype).isfinite()) or bool(tensor.isfinite().all())  # the sum may overflow


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()
