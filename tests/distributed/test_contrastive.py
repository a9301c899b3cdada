"""The contrast between modalities sees the negatives of every process: two have the loss and gradient of one."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from omicsfm import distributed
from omicsfm.build import build
from omicsfm.contracts import Batch, Measurement
from omicsfm.objectives.contrastive import Contrastive

pytestmark = pytest.mark.distributed
VISITS, FEATURES, DIM = 9, 5, 4
SHARES = {"uneven": ([0, 1, 2, 3, 4, 5], [6, 7, 8]), "one rank has no visit": (list(range(9)), [])}


def problem() -> tuple[Any, Contrastive]:
    """A model of two modalities with weights everywhere, and the objective."""
    shape = {"dim": DIM, "num_latents": 2}
    tokenizer = {"_target_": "omicsfm.model.tokenizers.ContinuousTokenizer", "num_features": FEATURES, "dim": DIM}
    modality = {
        "_target_": "omicsfm.model.omics_model.Modality",
        "tokenizer": tokenizer,
        "decoder": {"_target_": "omicsfm.model.decoders.GaussianDecoder", "dim": DIM},
    }
    model = build(
        {
            "_target_": "omicsfm.model.omics_model.OmicsModel",
            "encoder": {"_target_": "omicsfm.model.encoders.PerceiverEncoder", "num_heads": 2, "depth": 1, **shape},
            "pooling": {"_target_": "omicsfm.model.pooling.ConcatenateLatents", **shape},
            "modalities": {"proteome": modality, "metabolome": modality},
        }
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model, Contrastive(weight=1.0)


def batch(rows: list[int]) -> Batch:
    """Those of nine visits of seven people; the third has one modality only."""
    generator = torch.Generator().manual_seed(2)
    measurements = {}
    for name in ("proteome", "metabolome"):
        observed = torch.rand(VISITS, FEATURES, generator=generator) < 0.8
        observed[2] = name == "proteome"
        measurements[name] = Measurement(
            feature_ids=torch.arange(FEATURES).expand(VISITS, -1)[rows],
            values=(torch.randn(VISITS, FEATURES, generator=generator) * observed)[rows],
            observed=observed[rows],
            below_limit=torch.zeros_like(observed)[rows],
            queried=torch.zeros_like(observed)[rows],
        )
    people = torch.tensor([0, 0, 1, 2, 3, 4, 0, 5, 6])
    return Batch(
        participant=people[rows],
        time_days=torch.zeros(len(rows)),
        row=torch.tensor(rows, dtype=torch.long),
        measurements=measurements,
        outcomes={},
    )


def loss_and_gradient(rows: list[int]) -> tuple[float, list[float]]:
    """Of the visits at ``rows``, as one rank of however many there are sees them."""
    model, objective = problem()
    loss = objective(model, batch(rows)).total
    loss.backward()
    parameters = [*objective.parameters(), *model.parameters()]
    gradient = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
    return loss.item(), torch.cat(gradient).tolist()


def together(rank: int, folder: str) -> None:
    """One of two processes: the ranks' averages, as DDP would take them."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for share, rows in SHARES.items():
        with distributed.sharing():
            loss, gradient = loss_and_gradient(rows[rank])
        averaged = torch.tensor([loss, *gradient])
        torch.distributed.all_reduce(averaged)
        found[share] = (averaged / 2).tolist()
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """By share of the visits: loss and gradient of two processes."""
    folder = tmp_path_factory.mktemp("contrast")
    script = f"import runpy, sys; runpy.run_path({__file__!r})['together'](int(sys.argv[1]), {str(folder)!r})"
    runs.finish(*[runs.start(sys.executable, "-c", script, str(rank)) for rank in (0, 1)])
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("share", SHARES)
def test_two_ranks_have_the_loss_and_gradient_of_one(share: str, found: dict[str, list[float]]) -> None:
    """The temperature's too. A contrast within each rank would miss the other's negatives."""
    loss, gradient = loss_and_gradient(list(range(VISITS)))
    assert abs(loss) > 1e-3
    torch.testing.assert_close(torch.tensor(found[share]), torch.tensor([loss, *gradient]), rtol=1e-5, atol=1e-6)
