"""A look at an HDF5 file before anndata reads it.

HDF5 lets a file name other files as the place of its arrays: a crafted .h5ad put another local file's bytes into
.X, and one of 1.4 kB declared 32 GB. What such files use is refused here, from the headers alone.
"""

import math
from pathlib import Path
from typing import Any

from omicsfm.errors import InputError

MAX_INFLATION = 2000
"""Declared bytes per stored byte beyond which an array is refused (gzip reaches about 1000)."""
ALWAYS_FINE = 64 * 1024**2  # bytes; below this an array of one repeated value does no harm


def check_hdf5(path: Path) -> None:
    """Refuse a file that is damaged, refers to other files, or declares more than it holds.

    Raises:
        InputError: The message names the entry of the file.
    """
    import h5py

    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r") as file:
            _check_group(file, path, set())
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: not a readable HDF5 file; it may be truncated ({error}). Copy it again.") from None


def _check_group(group: Any, path: Path, seen: set[Any]) -> None:
    import h5py

    for name in group:
        place = f"{path.name}: {group.name.rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            target = getattr(link, "filename", None) or getattr(link, "path", "?")
            raise InputError(
                f"{place} is a link to '{target}'. A link can bring in a file of this machine that is not part of "
                f"the data; "
                "write the file again with the array inside it."
            )
        member = group[name]
        info = h5py.h5o.get_info(member.id)
        if (info.fileno, info.addr) in seen:
            continue
        seen.add((info.fileno, info.addr))
        if isinstance(member, h5py.Group):
            _check_group(member, path, seen)
        elif isinstance(member, h5py.Dataset):
            _check_array(member, place)


def _check_array(array: Any, place: str) -> None:
    import h5py

    if array.external or array.is_virtual:
        raise InputError(f"{place} is stored in another file; write the file again with the array inside it.")
    kind = array.dtype
    if kind.kind == "O" and h5py.check_string_dtype(kind) is None:
        raise InputError(f"{place} holds objects ({kind}), expected numbers or text; write it again as a plain array.")
    declared = math.prod(array.shape or ()) * kind.itemsize
    stored = array.id.get_storage_size()
    if declared > ALWAYS_FINE and declared > MAX_INFLATION * stored:
        raise InputError(
            f"{place} declares {declared / 1e9:,.1f} GB but the file holds {stored / 1e9:,.3f} GB of it. "
            "It is damaged or made to exhaust memory; write the file again."
        )
