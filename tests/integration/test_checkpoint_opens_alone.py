"""A checkpoint opens, embeds and predicts where nothing of training is installed, and without a network."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omicsfm.checkpoint import load_checkpoint
from omicsfm.inference import embed, reader_for
from omicsfm.training.finetune import finetune
from omicsfm.training.main import compose
from omicsfm.training.pretrain import pretrain

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ("model=tiny", "task.epochs=1", "logger=none", "run_dir=none", "data.store=none", "adaptation=probe")

ALONE = """
import json, socket, sys

ABSENT = {"pytorch_lightning", "lightning", "lightning_fabric", "hydra", "omegaconf", "wandb", "deepspeed", "anndata",
          "mudata", "scanpy", "lightgbm", "matplotlib", "lifelines", "sksurv"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())

def refuse(*arguments, **named):
    raise AssertionError(f"a socket was opened: {arguments}")

socket.socket.connect = socket.getaddrinfo = refuse

import numpy as np
import omicsfm
from omicsfm.inference import embed, predict, reader_for

checkpoint = omicsfm.load_checkpoint(sys.argv[1])
store = omicsfm.OmicsStore.open(sys.argv[2])
reader = reader_for(checkpoint, store)
rows = np.arange(5)
answer = {
    "embedding": embed(checkpoint.model, reader, rows).tolist(),
    "prediction": predict(checkpoint.model, reader, rows, head="responder").tolist(),
    "saw": checkpoint.saw(store.visits["participant_id"].iloc[rows].tolist()),
    "imported": sorted(ABSENT & {name.partition(".")[0] for name in sys.modules}),
}
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def tuned(simulated_store, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    rows = np.arange(len(simulated_store))
    pretrain(simulated_store, rows=rows, config=compose(SMALL), directory=folder / "pretrained")
    finetune(
        simulated_store,
        checkpoint=load_checkpoint(folder / "pretrained"),
        outcome=simulated_store.outcome("responder"),
        rows=rows,
        config=compose(["task=finetune", *SMALL]),
        directory=folder / "tuned",
    )
    return folder / "tuned"


def test_a_checkpoint_opens_embeds_and_predicts_without_the_packages_of_training(tuned, simulated_store) -> None:
    command = [sys.executable, "-c", ALONE, str(tuned), str(simulated_store.path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["imported"] == []
    here = load_checkpoint(tuned)
    expected = embed(here.model, reader_for(here, simulated_store), np.arange(5))
    np.testing.assert_allclose(answer["embedding"], expected, atol=1e-5)
    np.testing.assert_allclose(np.sum(answer["prediction"], axis=1), 1.0, atol=1e-6)
    assert answer["saw"] == [True] * 5


def test_no_participant_is_named_in_any_file_of_a_real_checkpoint(tuned, simulated_store) -> None:
    ids = simulated_store.visits["participant_id"].astype(str).unique()
    for file in tuned.iterdir():
        data = file.read_bytes()
        named = [participant for participant in ids if participant.encode() in data]
        assert not named, file.name
