"""eval/evaluate.py and eval/embed.py as a user starts them, on a checkpoint that train.py made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.checkpoint import load_checkpoint
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.inference import predict, reader_for

REPOSITORY = Path(__file__).resolve().parents[2]
OUTCOME = "death"
EDGE = ("pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb", "deepspeed", "anndata", "mudata", "scanpy")

OPEN_BARE = f"""
import sys
for name in {EDGE!r}:
    sys.modules[name] = None
import numpy as np
import omicsfm
from omicsfm.inference import predict, reader_for
checkpoint = omicsfm.load_checkpoint(sys.argv[1])
store = omicsfm.OmicsStore.open(sys.argv[2])
found = predict(checkpoint.model, reader_for(checkpoint, store), np.arange(len(store)), head="{OUTCOME}")
np.save(sys.argv[3], found.numpy())
"""


def start(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd)


@pytest.fixture(scope="module")
def trained(simulated_store: OmicsStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny model, pretrained for one epoch on its training participants and fine-tuned."""
    folder = tmp_path_factory.mktemp("run")
    run = start(
        REPOSITORY / "train.py", "task=finetune", f"data.store={simulated_store.path}", f"outcome={OUTCOME}",
        "model=tiny", "task.pretrain_epochs=1", "logger=none", "adaptation=probe", f"run_dir={folder}/run", cwd=folder,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return folder / "run"


def options(trained: Path, store: OmicsStore, out: Path) -> list[str | Path]:
    script, checkpoint = REPOSITORY / "eval" / "evaluate.py", trained / "checkpoint"
    return [
        script, "--checkpoint", checkpoint, "--store", store.path, "--outcome", OUTCOME, "--out", out,
        "--resamples", "50",
    ]  # fmt: skip


def test_the_script_tests_the_held_out_fold_and_writes_every_file_of_the_contract(
    trained: Path, simulated_store: OmicsStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = start(*options(trained, simulated_store, out), "--split", trained / "split.csv", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    files = {"metrics.json", "predictions.parquet", "report.html", "missingness.parquet", "embedding.parquet"}
    assert {file.name for file in out.iterdir()} == files
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"harrell_c", "uno_c", "integrated_brier"} <= set(metrics["methods"]["omicsfm"]["metrics"])
    assert set(metrics["features"]) == set(simulated_store.inputs)
    predictions = pd.read_parquet(out / "predictions.parquet")
    split = Split.read(trained / "split.csv")
    held_out = set(split.table.loc[split.table["fold"] == 0, "participant_id"])
    assert set(predictions["participant_id"]) <= held_out
    assert not any(load_checkpoint(trained / "checkpoint").saw(predictions["participant_id"].unique().tolist()))
    assert metrics["tested"]["split_sha256"] == split.sha256
    assert all(row["value"] is None for row in metrics["subgroups"] if row.get("suppressed"))
    page = (out / "report.html").read_text()
    assert "What could the model read?" in page
    assert not [link for link in ("src=", "http://", "https://") if link in page.replace("http://www.w3.org/", "")]


def test_without_a_split_the_same_people_are_found_by_their_hashes(
    trained: Path, simulated_store: OmicsStore, tmp_path: Path
) -> None:
    run = start(*options(trained, simulated_store, tmp_path / "out"), "--map-visits", "0", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "excluded: " in run.stdout
    people = pd.read_parquet(tmp_path / "out" / "predictions.parquet")["participant_id"].unique().tolist()
    split = Split.read(trained / "split.csv")
    assert set(people) <= set(split.table.loc[split.table["fold"] == 0, "participant_id"])


def test_a_checkpoint_opens_and_predicts_the_same_without_trainer_config_and_anndata(
    trained: Path, simulated_store: OmicsStore, tmp_path: Path
) -> None:
    found = tmp_path / "found.npy"
    run = start("-c", OPEN_BARE, trained / "checkpoint", simulated_store.path, found, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    checkpoint = load_checkpoint(trained / "checkpoint")
    here = predict(
        checkpoint.model,
        reader_for(checkpoint, simulated_store),
        np.arange(len(simulated_store)),
        head=OUTCOME,
    )
    np.testing.assert_allclose(np.load(found), here.numpy(), rtol=1e-5, atol=1e-6)


def test_the_embedding_opens_in_anndata_with_a_row_for_every_visit(
    trained: Path, simulated_store: OmicsStore, tmp_path: Path
) -> None:
    import anndata

    out = tmp_path / "embedding.h5ad"
    run = start(
        REPOSITORY / "eval" / "embed.py", "--checkpoint", trained / "pretrain" / "checkpoint", "--store",
        simulated_store.path, "--out", out, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    data = anndata.read_h5ad(out)
    assert data.n_obs == len(simulated_store)
    assert np.isfinite(data.X).all()
    assert data.obs["participant_id"].tolist() == simulated_store.visits["participant_id"].tolist()
    assert set(simulated_store.visits) <= set(data.obs)
    assert [file.name for file in tmp_path.iterdir()] == ["embedding.h5ad"]


def test_bad_input_is_one_message_status_1_and_nothing_written(
    trained: Path, simulated_store: OmicsStore, tmp_path: Path
) -> None:
    arguments = options(trained, simulated_store, tmp_path / "out")
    arguments[arguments.index("--outcome") + 1] = "severity"
    run = start(*arguments, cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("error: the checkpoint has no head for outcome 'severity' (heads: death)")
    assert len(run.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
