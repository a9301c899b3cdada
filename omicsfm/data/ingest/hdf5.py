"""A look at an HDF5 file before any array of it is read.

HDF5 lets a file name other files as the place of its arrays: a crafted .h5ad put another local file's bytes into
.X, and one of 1.4 kB declared 32 GB. What such files use is refused here, from the headers alone.
"""

import math
from pathlib import Path
from typing import Any

from omicsfm.data.ingest.inflation import refuse_inflation
from omicsfm.errors import InputError

MAX_ENTRIES = 100_000
"""Groups and arrays of one file; AnnData writes some dozens."""
MAX_DEPTH = 32
MAX_ATTRIBUTE = 16 * 1024**2  # bytes; older AnnData keeps names of categories in attributes
AGAIN = "write the file again with the array inside it."


def check_hdf5(path: Path) -> None:
    """Refuse a file that is damaged, refers to other files, holds objects, or declares more than it holds.

    Raises:
        InputError: The message names the entry of the file.
    """
    import h5py

    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r") as file:
            _Look(path).at(file)
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable HDF5 file; it may be truncated ({said}). Copy it again.") from None


class _Look:
    """One walk over the headers of a file, summing what its arrays declare."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.declared = 0
        self.entries = 0
        self.groups: set[Any] = set()

    def at(self, root: Any) -> None:
        import h5py

        waiting = [(root, 0)]
        while waiting:
            group, depth = waiting.pop()
            self._enter(group, depth)
            for name in group:
                place = f"{self.path.name}: {group.name.rstrip('/')}/{name}"
                self._check_link(group, name, place)
                member = group[name]
                if isinstance(member, h5py.Group):
                    waiting.append((member, depth + 1))
                elif isinstance(member, h5py.Dataset):
                    self._check_array(member, place)

    def _enter(self, group: Any, depth: int) -> None:
        """A group that stands at two places may contain itself, or double with each level: a reader never ends."""
        import h5py

        info = h5py.h5o.get_info(group.id)
        place = f"{self.path.name}: {group.name}"
        if (info.fileno, info.addr) in self.groups or depth > MAX_DEPTH:
            what = "stands at two places of the file" if depth <= MAX_DEPTH else f"lies more than {MAX_DEPTH} deep"
            raise InputError(f"{place} {what}; a reader may never end. Write the file again without it.")
        self.groups.add((info.fileno, info.addr))
        self.entries += len(group)
        if self.entries > MAX_ENTRIES:
            raise InputError(f"{place}: the file has {self.entries:,} entries or more, expected up to {MAX_ENTRIES:,}.")
        self._check_attributes(group, place)

    def _check_link(self, group: Any, name: str, place: str) -> None:
        import h5py

        kind = group.id.links.get_info(_as_bytes(name)).type
        if kind == h5py.h5l.TYPE_HARD:
            return
        target = "?"
        if kind in (h5py.h5l.TYPE_SOFT, h5py.h5l.TYPE_EXTERNAL):
            link = group.get(name, getlink=True)
            target = getattr(link, "filename", None) or link.path
        raise InputError(
            f"{place} is a link to '{target}'. A link can bring in a file of this machine that is not part of the "
            f"data; {AGAIN}"
        )

    def _check_array(self, array: Any, place: str) -> None:
        if array.external or array.is_virtual:
            raise InputError(f"{place} is stored in another file; {AGAIN}")
        _check_dtype(array.dtype, place)
        self._check_attributes(array, place)
        width = array.dtype.itemsize
        # A reader inflates whole chunks, and a chunk may be larger than its array.
        declared = max(math.prod(array.shape or ()), math.prod(array.chunks or ())) * width
        refuse_inflation(declared, min(array.id.get_storage_size(), self.size), place)
        self.declared += declared
        refuse_inflation(self.declared, self.size, f"{self.path.name}: with {place.partition(': ')[2]} the file")

    def _check_attributes(self, member: Any, place: str) -> None:
        import h5py

        for name in member.attrs:
            attribute = h5py.h5a.open(member.id, _as_bytes(name))
            declared = math.prod(attribute.shape or ()) * attribute.dtype.itemsize
            if declared > MAX_ATTRIBUTE:
                raise InputError(
                    f"{place}: attribute '{name}' declares {declared / 1e6:,.0f} MB; attributes describe, arrays hold. "
                    "Write the file again."
                )


def _as_bytes(name: str | bytes) -> bytes:
    """A name as it stands in the file; h5py gives bytes where it is no UTF-8."""
    return name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")


def _check_dtype(kind: Any, place: str) -> None:
    """Numbers, text, and records of both; no objects, whose bytes are what a program makes of them."""
    import h5py

    for own in (kind[name].base for name in kind.names) if kind.names else (kind.base,):
        if own.names:
            _check_dtype(own, place)
        elif (own.kind == "O" and h5py.check_string_dtype(own) is None) or own.kind == "V":
            raise InputError(
                f"{place} holds objects ({own}), expected numbers or text; write it again as a plain array."
            )
