"""Which code made a result."""

import subprocess

from omicsfm.paths import PACKAGE


def code_commit() -> str | None:
    """The git commit of the clone that runs, with ``-dirty`` where files differ from it; None outside a clone."""
    if not (PACKAGE.parent / ".git").exists():
        return None
    command = ["git", "-C", str(PACKAGE.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
