"""``python -m benchmarks SUITE``: run a suite, print one line per goal, exit 1 on a failed must.

A suite is a module ``benchmarks/SUITE.py`` with ``def run(small: bool) -> list[Goal]``; it measures the limits of the
machine, the peers and ourselves in one run, contestants in fresh processes and interleaved.
"""

import argparse
import importlib
import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.origin import code_commit

SUITES = tuple(
    sorted(file.stem for file in Path(__file__).parent.glob("*.py") if "\ndef run(small: bool)" in file.read_text())
)


def main() -> int:
    arguments = _arguments()
    goals = importlib.import_module(f"benchmarks.{arguments.suite}").run(arguments.small)
    print("\ngoal, value, anchor, ratio, must, verdict")
    for goal in goals:
        print(goal.line())
    record = {
        "suite": arguments.suite,
        "small": arguments.small,
        **_origin(),
        "goals": [goal.record() for goal in goals],
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    partial = arguments.json.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1))
    partial.rename(arguments.json)
    print(f"\nwritten: {arguments.json}")
    return int(any(goal.verdict == "fail" for goal in goals))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n\n")[0])
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--small", action="store_true", help="a reduced form for a loaded machine")
    parser.add_argument("--json", type=Path, help="where the figures go (default outputs/benchmarks/SUITE.json)")
    arguments = parser.parse_args()
    arguments.json = arguments.json or Path("outputs/benchmarks") / f"{arguments.suite}.json"
    return arguments


def _origin() -> dict[str, object]:
    packages = ("omicsfm", "torch", "numpy", "numba", "anndata", "h5py")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": code_commit(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "packages": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    """None where it runs from a clone or is not needed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    run_command(main)
