"""What the parts of a report have in common: lines to print, notes, and problems to solve before training."""

from dataclasses import dataclass, field


@dataclass
class Findings:
    """Collected while a store is looked at."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
