"""What the pages that benchmarks draw have in common."""

import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from omicsfm.origin import code_commit
from omicsfm.report.section import Section, render


def page(folder: Path, found: Section, *, suite: str, headline: str) -> Path:
    """Write ``folder/report.html``: what was found, and by which code on which machine."""
    provenance = {
        "Command": f"make bench SUITE={suite}",
        "Commit": code_commit() or "not known",
        "Python, torch": f"{platform.python_version()}, {metadata.version('torch')}",
        "Machine": platform.platform(),
    }
    title = suite.capitalize()
    return render(
        folder,
        [found],
        title=title,
        eyebrow=f"Benchmark · {suite}",
        headline=headline,
        provenance=list(provenance.items()),
    )


def by_size(axes: Any, sizes: Iterable[int], **labels: str) -> None:
    """A logarithmic axis of sizes, marked where something was measured."""
    shown = sorted(set(sizes))
    axes.set(xscale="log", **labels)
    axes.minorticks_off()
    axes.set_xticks(shown, [f"{size:,}" for size in shown], fontsize=8)
    axes.legend()
