"""What two processes compute together has the value and the gradient of one process."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from omicsfm import distributed
from omicsfm.contracts import ClassLabel, CompetingRisks, Outcome, Quantity, Survival
from omicsfm.heads.classification import ClassificationHead
from omicsfm.heads.competing_risks import CauseSpecificHead
from omicsfm.heads.cox import CoxHead
from omicsfm.heads.cox_efron import EfronCoxHead
from omicsfm.heads.discrete_hazard import DiscreteHazardHead
from omicsfm.heads.piecewise_hazard import PiecewiseHazardHead
from omicsfm.heads.regression import RegressionHead

pytestmark = pytest.mark.distributed
VISITS, EVIDENCE = 9, 4
CUTS = [15.0, 40.0, 80.0]
TIMED = {
    "survival": lambda: CoxHead(evidence_dim=EVIDENCE),
    "survival, efron": lambda: EfronCoxHead(evidence_dim=EVIDENCE),
    "survival, discrete": lambda: DiscreteHazardHead(evidence_dim=EVIDENCE, cut_days=CUTS),
    "survival, piecewise": lambda: PiecewiseHazardHead(evidence_dim=EVIDENCE, cut_days=CUTS),
    "competing risks": lambda: CauseSpecificHead(evidence_dim=EVIDENCE, num_causes=2),
}
KINDS = [*TIMED, "class", "quantity"]
SHARES = {
    "uneven": ([0, 1, 2, 3, 4, 5], [6, 7, 8]),
    "one rank has no visit": (list(range(9)), []),
    "one rank has no event and no known outcome": ([0, 1, 2, 3, 4, 5, 6], [7, 8]),
}


def problem(kind: str) -> tuple[torch.nn.Module, torch.Tensor, Outcome]:
    """A head with weights, evidence of nine visits, and an outcome that the last two do not have."""
    generator = torch.Generator().manual_seed(3)
    evidence = torch.randn(VISITS, EVIDENCE, generator=generator)
    observed = torch.arange(VISITS) < 7
    head: torch.nn.Module
    outcome: Outcome
    if kind in TIMED:
        head = TIMED[kind]()
        time_days = torch.tensor([50.0, 20.0, 20.0, 70.0, 10.0, 90.0, 20.0, 5.0, 30.0])
        event = torch.tensor([True, True, False, False, True, False, True, False, False])
        entry_days = torch.tensor([0.0, 0.0, 0.0, 15.0, 0.0, 45.0, 10.0, 0.0, 0.0])
        outcome = Survival(time_days, event, observed, entry_days)
        if kind == "competing risks":
            cause = torch.where(event, 1 + torch.arange(VISITS) % 2, 0)
            outcome = CompetingRisks(time_days, cause, observed, entry_days)
    elif kind == "class":
        head = ClassificationHead(evidence_dim=EVIDENCE, num_classes=3)
        outcome = ClassLabel(class_id=torch.arange(VISITS) % 3, observed=observed)
    else:
        head = RegressionHead(evidence_dim=EVIDENCE)
        outcome = Quantity(value=torch.randn(VISITS, generator=generator), observed=observed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return head, evidence, outcome


def loss_and_gradient(kind: str, rows: list[int]) -> tuple[float, list[float]]:
    """Of the visits at ``rows``, as one rank of however many there are sees them."""
    head, evidence, outcome = problem(kind)
    own = type(outcome)(**{name: value[rows] for name, value in vars(outcome).items()})
    loss = head.loss(head(evidence[rows]), own)  # type: ignore[operator]
    loss.backward()
    gradient = torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in head.parameters()]
    )
    return loss.item(), gradient.tolist()


def together(rank: int, folder: str) -> None:
    """One of two processes: what the ranks' averages are, as DDP would take them, for every share of the visits."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for share, rows in SHARES.items():
        for kind in KINDS:
            with distributed.sharing():
                loss, gradient = loss_and_gradient(kind, rows[rank])
            averaged = torch.tensor([loss, *gradient])
            torch.distributed.all_reduce(averaged)
            found[f"{kind}, {share}"] = (averaged / 2).tolist()
    outside = distributed.all_sum(torch.tensor(rank + 1.0))  # no collective: each process would have to take part
    assert (float(outside), distributed.world_size(), distributed.rank()) == (rank + 1.0, 1, 0)
    assert distributed.is_first() == (rank == 0)
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """By kind of outcome and share of the visits: loss and gradient of two processes."""
    folder = tmp_path_factory.mktemp("gather")
    script = f"import runpy, sys; runpy.run_path({__file__!r})['together'](int(sys.argv[1]), {str(folder)!r})"
    runs.finish(*[runs.start(sys.executable, "-c", script, str(rank)) for rank in (0, 1)])
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", SHARES)
def test_two_ranks_have_the_loss_and_gradient_of_one(kind: str, share: str, found: dict[str, list[float]]) -> None:
    """Within 1e-6; measured 2e-7. A partial likelihood per rank would miss it by the other rank's risk sets."""
    loss, gradient = loss_and_gradient(kind, list(range(VISITS)))
    torch.testing.assert_close(
        torch.tensor(found[f"{kind}, {share}"]), torch.tensor([loss, *gradient]), rtol=1e-6, atol=1e-6
    )
