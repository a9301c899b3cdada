"""What was found, and how sure it is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Leak:
    """One finding. A certain one is refused, any other is a warning: sound cohorts can look like that too."""

    certain: bool
    message: str
    """Names what was found and where, and gives the way out."""


def some(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    listed = ", ".join(f"'{name}'" for name in names[:most])
    return listed + (f" and {len(names) - most:,} more" if len(names) > most else "")
