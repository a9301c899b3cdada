"""What a search leaves: a YAML that train.py takes, and every trial."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from omicsfm.errors import InputError
from omicsfm.search.study import Found

RECORD = "search.json"


def claim_search(out: Path) -> None:
    """Refuse an OUT that holds something else than a search.

    Raises:
        InputError: It is a file, or a folder with other content.
    """
    if out.is_file():
        raise InputError(f"--out {out}: is a file. Name a folder.")
    if out.exists() and (strange := sorted({entry.name for entry in out.iterdir()} - {"folds", "experiment", RECORD})):
        raise InputError(f"--out {out}: holds something else than a search (first: {strange[0]}). Name another folder.")


def write_search(found: Found, record: Mapping[str, Any], out: Path) -> str:
    """Write OUT/experiment/best.yaml and OUT/search.json; returns what to say about them."""
    best, first = found.best, found.trials[0]
    groups = [{f"override /{key}": value} for key, value in best.chosen.items() if "." not in key]
    values: dict[str, Any] = {}
    for key, value in best.chosen.items():
        *parents, name = key.split(".")
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        if parents:
            node[name] = value
    content = ({"defaults": groups} if groups else {}) | values
    said = f"{found.metric} {best.score:.4f} in inner folds of the training participants, {first.score:.4f} before"
    head = f"# @package _global_\n# Found by eval/search.py: {said}.\n"
    file = out / "experiment" / "best.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, head + (yaml.safe_dump(content, sort_keys=False) if content else "{}\n"))
    trials = [{"overrides": t.overrides, "score": t.score, "seconds": round(t.seconds, 1)} for t in found.trials]
    _write(
        out / RECORD, json.dumps({**record, "metric": found.metric, "best": best.overrides, "tried": trials}, indent=1)
    )
    if best is first:
        return f"None of {len(found.trials) - 1} trials is better than the config as it stands ({said})."
    return (
        f"{said}. The best of {len(found.trials)} flatters itself: test it on people who took no part.\n"
        f"train:     python train.py --config-dir {out.resolve()} experiment=best ...\n"
        f"benchmark: --set {' '.join(best.overrides)}"
    )


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text)
    partial.replace(file)
