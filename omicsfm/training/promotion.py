"""The gate's decision on a benchmark, obeyed where a predictor is made for use.

``gate=OUT/metrics.json`` of ``eval/benchmark.py``: where the comparison did not promote the pretrained model, the
exported predictor is the best baseline that a checkpoint can hold, and the checkpoint says so.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.paths import configs_dir

STACK = "without_encoder"
"""What was kept before the gate said which."""


def obeying_the_gate(config: Mapping[str, Any], store: OmicsStore) -> dict[str, Any]:
    """The config with the adaptation that the gate allows, and its decision in place of the file's name.

    Raises:
        InputError: The file is no benchmark with omicsfm among its methods, or of another store or outcome.
    """
    if config["gate"] is None:
        return dict(config)
    decision = _decision(Path(config["gate"]), store, config["outcome"])
    if decision["promoted"]:
        return {**config, "gate": decision}
    file = configs_dir() / "adaptation" / f"{decision.get('kept', STACK)}.yaml"
    return {**config, "gate": decision, "adaptation": yaml.safe_load(file.read_text())}


def _decision(file: Path, store: OmicsStore, outcome: str) -> dict[str, Any]:
    way_out = f"Name the metrics.json of: eval/benchmark.py --store {store.path} --outcome {outcome} --out OUT"
    try:
        metrics = json.loads(file.read_text())
        decision, about = metrics["gate"], (metrics["provenance"]["store_fingerprint"], metrics["outcome"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"gate: {file} is not the result of a benchmark ({error!r}). {way_out}") from error
    if about != (store.fingerprint, outcome):
        raise InputError(
            f"gate: {file} is about outcome '{about[1]}' of store {about[0][:12]}; this run is about '{outcome}' of "
            f"{store.fingerprint[:12]}. {way_out}"
        )
    if decision is None:
        raise InputError(f"gate: {file} compares no pretrained model with a baseline. {way_out}")
    return dict(decision)
