"""Pretraining steps on visits of one modality in memory; prints what they took as JSON.

Arguments: features, visits, processes, then overrides of the config. With several processes each takes that many
visits and they average their gradients over gloo; every other step skips that, to tell what it costs.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from omicsfm.build import build
from omicsfm.contracts import Batch, Measurement
from omicsfm.features import FeatureSpace
from omicsfm.training.assemble import backbone_spec, build_model, objectives
from omicsfm.training.host_memory import kept_between_steps
from omicsfm.training.main import compose

MODALITY = "proteome"


class Step(nn.Module):
    """The model and what it minimises: the sum of the configured objectives of a batch."""

    def __init__(self, features: Mapping[str, int], overrides: Sequence[str]) -> None:
        """So many ``features`` of each modality."""
        super().__init__()
        self.config = compose(["task=pretrain", "data.store=none", "run_dir=none", *overrides])
        spaces = {
            name: FeatureSpace(name, tuple(f"f{number}" for number in range(count))) for name, count in features.items()
        }
        self.model = build_model(backbone_spec(self.config, spaces), seed=0, purpose="initial weights")
        self.terms = nn.ModuleDict(objectives(self.config, spaces))

    def forward(self, batch: Batch) -> torch.Tensor:
        return torch.stack([term(self.model, batch).total for term in self.terms.values()]).sum()


def batch_of(features: int, visits: int, seed: int = 0) -> Batch:
    """Visits with every feature measured."""
    draw = torch.Generator().manual_seed(seed)
    shape = (visits, features)
    measured = Measurement(
        feature_ids=torch.arange(features).expand(shape),
        values=torch.randn(shape, generator=draw),
        observed=torch.ones(shape, dtype=torch.bool),
        below_limit=torch.zeros(shape, dtype=torch.bool),
        queried=torch.zeros(shape, dtype=torch.bool),
    )
    numbers = torch.arange(visits)
    return Batch(
        participant=numbers,
        time_days=torch.zeros(visits),
        row=numbers,
        measurements={MODALITY: measured},
        outcomes={},
        seed=seed,
    )


def steps(rank: int, features: int, visits: int, processes: int, overrides: list[str], address: str) -> None:
    """Eleven steps, of which the first is not counted."""
    torch.set_num_threads(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step: Any = Step({MODALITY: features}, overrides)
    optimizer = build(step.config["optimizer"])(step)
    if processes > 1:
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=processes)
        step = DistributedDataParallel(step)
    batch = batch_of(features, visits, seed=rank)
    taken: dict[str, list[float]] = {"together": [], "alone": []}
    with kept_between_steps():
        for number in range(11 if processes == 1 else 21):
            how = "alone" if number % 2 and processes > 1 else "together"
            began, busy = time.perf_counter(), time.thread_time()
            with step.no_sync() if how == "alone" else nullcontext():
                step(batch).backward()
            optimizer.step()
            optimizer.zero_grad()
            now = time.thread_time() - busy if processes == 1 else time.perf_counter() - began
            if number > 1:
                taken[how].append(now)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if rank == 0:
        found = {name: statistics.median(times) for name, times in taken.items() if times}
        parameters = sum(p.numel() for p in step.parameters())
        print(json.dumps({"seconds": found, "mb": (peak - before) / 1024, "parameters": parameters}))
    if processes > 1:
        dist.destroy_process_group()


def main() -> None:
    features, visits, processes = map(int, sys.argv[1:4])
    if processes == 1:
        steps(0, features, visits, 1, sys.argv[4:], "")
        return
    address = "tcp://127.0.0.1:29461"
    spawn(steps, args=(features, visits, processes, sys.argv[4:], address), nprocs=processes)


if __name__ == "__main__":
    main()
