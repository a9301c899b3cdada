"""What could give an outcome away: certain leaks are problems, the others notes."""

from omicsfm.data.inspect.findings import Findings
from omicsfm.data.leakage.look import look_for_leaks
from omicsfm.data.store import OmicsStore


def describe_leaks(store: OmicsStore, found: Findings) -> None:
    """Look for leaks in the store, and repeat what prepare saw in the tables that are no longer here."""
    leaks = look_for_leaks(store)
    told = {leak.message for leak in leaks}
    earlier = [message for message in store.manifest.get("source", {}).get("leaks", ()) if message not in told]
    found.problems += [leak.message for leak in leaks if leak.certain]
    found.notes += [f"leak? {message}" for message in (*(leak.message for leak in leaks if not leak.certain), *earlier)]
    found.lines += [
        "",
        f"leaks: {len(leaks) + len(earlier) or 'none found'}" + ("; see below" if told or earlier else ""),
    ]
