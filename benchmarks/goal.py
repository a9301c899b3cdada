"""One measured claim: ours beside an anchor (a peer or a limit of the machine), and what it must reach."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Missing = Literal["not installed", "no GPU", "no data"]


@dataclass(frozen=True)
class Goal:
    """A claim that passes or fails. The bound is on ``value / anchor``, or on ``value`` where there is no anchor."""

    name: str
    value: float | None
    """Ours, in ``unit``; None where ``missing`` says why there is none."""
    unit: str
    anchor: float | None = None
    """The peer's or the machine's figure in the same unit."""
    at_least: float | None = None
    at_most: float | None = None
    missing: Missing | None = None
    """Why value or anchor could not be measured. A goal that lacks its peer does not fail; it is named."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else was measured, for the JSON file."""

    @property
    def ratio(self) -> float | None:
        """``value / anchor``."""
        return None if self.value is None or not self.anchor else self.value / self.anchor

    @property
    def must(self) -> str:
        """The bound in words."""
        parts = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{words} {bound:g}" for words, bound in parts if bound is not None)

    @property
    def verdict(self) -> str:
        """``pass``, ``fail``, or why it could not be judged."""
        if self.missing:
            return self.missing
        judged = self.value if self.anchor is None else self.ratio
        low, high = self.at_least, self.at_most
        good = judged is not None and (low is None or judged >= low) and (high is None or judged <= high)
        return "pass" if good else "fail"

    def line(self) -> str:
        """``goal, value, anchor, ratio, must, verdict``."""
        return ", ".join(
            (
                self.name,
                self._figure(self.value),
                self._figure(self.anchor),
                _short(self.ratio),
                self.must,
                self.verdict,
            )
        )

    def record(self) -> dict[str, Any]:
        """The same for the JSON file."""
        return {
            "goal": self.name,
            "unit": self.unit,
            "value": self.value,
            "anchor": self.anchor,
            "ratio": self.ratio,
            "must": self.must,
            "verdict": self.verdict,
            "details": dict(self.details),
        }

    def _figure(self, figure: float | None) -> str:
        return "-" if figure is None else f"{_short(figure)} {self.unit}".strip()


def _short(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"
