"""How much memory a command may take: what the user allowed, or what the machine has left."""

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omicsfm.errors import InputError

SHARE = 0.8
"""Of the memory that is left, what a command may take where the user says nothing."""
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of a size such as 800M, 4G or 1.5 GiB (all powers of 1024).

    Raises:
        InputError: It is none.
    """
    found = SIZE.fullmatch(text.strip())
    if found is None or not (size := int(float(found[1]) * UNITS[found[2].upper()])):
        raise InputError(f"'{text}' is no size of memory; give one such as 800M or 4G.")
    return size


def memory_left() -> int:
    """Bytes that this process may still take: of the machine, and of its control group (a Slurm job, a container)."""
    kilobytes = _fields(Path("/proc/meminfo")).get("MemAvailable")
    left = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if kilobytes is None else kilobytes * 1024
    for limit, used in map(_limit_and_use, _control_groups()):
        if limit is not None and used is not None:
            left = min(left, max(limit - used, 0))
    return left


@contextmanager
def bounded_memory(allowed: int | None = None) -> Iterator[None]:
    """Let this process take at most ``allowed`` bytes more than it has (None: four fifths of what is left).

    The kernel holds the bound, over private memory; files that are mapped do not count. Where there is no such bound
    (not Linux) there is none here.

    Raises:
        InputError: More was needed.
    """
    taken = _fields(Path("/proc/self/status")).get("VmData")
    if taken is None:
        yield
        return
    more = int(SHARE * memory_left()) if allowed is None else allowed
    before = resource.getrlimit(resource.RLIMIT_DATA)
    hard = before[1]
    bound = taken * 1024 + more
    resource.setrlimit(resource.RLIMIT_DATA, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))
    try:
        yield
    except MemoryError:
        raise InputError(
            f"this needs more than the {more / 1e9:,.1f} GB of memory that it may take. Allow more with --max-memory, "
            "or look for an array that is larger than it should be."
        ) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _fields(file: Path) -> dict[str, int]:
    """The numbers of a file of lines such as 'VmData:  123 kB'; none where there is no such file."""
    if not file.exists():
        return {}
    parts = (line.replace(":", " ").split() for line in file.read_text().splitlines())
    return {name[0]: int(name[1]) for name in parts if len(name) > 1 and name[1].isdigit()}


def _control_groups() -> Iterator[Path]:
    """Folders of the process's control group and of those above it: of version 2, or of version 1 for memory."""
    own = Path("/proc/self/cgroup")
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = Path("/sys/fs/cgroup", controllers)
            group = root / path.strip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _limit_and_use(group: Path) -> tuple[int | None, int | None]:
    names = ("memory.max", "memory.current") if (group / "memory.max").exists() else V1
    return _number(group / names[0]), _number(group / names[1])


def _number(file: Path) -> int | None:
    text = file.read_text().strip() if file.is_file() else ""
    return int(text) if text.isdigit() else None
