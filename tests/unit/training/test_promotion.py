"""Where the gate keeps the baseline, so does a run that names it."""

import json
from pathlib import Path

import numpy as np
import pytest

from omicsfm.checkpoint import load_checkpoint
from omicsfm.errors import InputError
from omicsfm.training.finetune import finetune
from omicsfm.training.promotion import obeying_the_gate


def decided(
    folder: Path,
    store,
    *,
    promoted: bool,
    kept: str = "without_encoder",
    outcome: str = "severity",
    fingerprint: str = "",
) -> str:
    said = "The gate: omicsfm may take the place." if promoted else "The gate: keep linear."
    metrics = {
        "outcome": outcome,
        "provenance": {"store_fingerprint": fingerprint or store.fingerprint},
        "gate": {"promoted": promoted, "said": said, "kept": None if promoted else kept},
    }
    file = folder / "metrics.json"
    file.write_text(json.dumps(metrics))
    return f"gate={file}"


@pytest.mark.parametrize(
    ("promoted", "kept"), [(True, ""), (False, "without_encoder"), (False, "linear"), (False, "late_fusion")]
)
def test_the_encoder_takes_part_only_where_the_gate_promoted_it(
    composed, simulated_store, pretrained, training_rows, tmp_path, promoted: bool, kept: str
) -> None:
    gate = decided(tmp_path, simulated_store, promoted=promoted, kept=kept)
    config = obeying_the_gate(composed("task=finetune", "outcome=severity", gate), simulated_store)
    rows: np.ndarray = training_rows[simulated_store.outcome_observed("severity")[training_rows]]
    outcome = simulated_store.outcome("severity")
    folder = tmp_path / "tuned"
    finetune(simulated_store, checkpoint=pretrained, outcome=outcome, rows=rows, config=config, directory=folder)
    opened = load_checkpoint(folder)
    assert ("weight of embedding" in opened.provenance["metrics"]) == promoted
    assert ("weight of kernel" in opened.provenance["metrics"]) == (promoted or kept == "without_encoder")
    shares = [value for name, value in opened.provenance["metrics"].items() if name.startswith("weight of ")]
    if kept == "linear":
        assert shares == [1.0]
    if kept == "late_fusion":
        np.testing.assert_allclose(shares, 1 / len(opened.model.modalities))
    assert opened.provenance["gate"]["promoted"] == promoted
    assert opened.provenance["gate"]["said"] in (folder / "MODEL_CARD.md").read_text()


def test_a_benchmark_of_something_else_is_refused(composed, simulated_store, tmp_path) -> None:
    config = ("task=finetune", "outcome=severity")
    other = decided(tmp_path, simulated_store, promoted=True, outcome="bmi")
    with pytest.raises(InputError, match="about outcome 'bmi'"):
        obeying_the_gate(composed(*config, other), simulated_store)
    other = decided(tmp_path, simulated_store, promoted=True, fingerprint="0" * 64)
    with pytest.raises(InputError, match="of store 000000000000"):
        obeying_the_gate(composed(*config, other), simulated_store)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="is not the result of a benchmark"):
        obeying_the_gate(composed(*config, other), simulated_store)
