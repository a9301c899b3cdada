"""Pretraining steps of one size of model on this machine's GPU, or in small on its CPU; prints what they took as JSON.

The argument is JSON: overrides of the config, features of each modality, tokens of a visit and modality at most, visits
of a step, how to compile, steps of a round. Each step is one of four batches of unlike length. The peak is a product of
random square matrices between the rounds.
"""

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.contestants.step import Step
from omicsfm.build import build
from omicsfm.contracts import Batch, Measurement
from omicsfm.training.arithmetic import Arithmetic
from omicsfm.training.host_memory import kept_between_steps
from omicsfm.training.layers import set_layers
from omicsfm.training.speed import peak_memory

BATCHES, ROUNDS = 4, 5
MISSING, LEAST = 0.2, 0.7
"""Share of the modalities that a visit lacks, and the least share of a panel that is measured in one it has."""


def batch_of(task: dict[str, Any], seed: int) -> Batch:
    """Visits that lack modalities and values, padded as the loader gives them."""
    draw, visits, tokens = torch.Generator().manual_seed(seed), task["visits"], task["tokens"]
    measurements = {}
    for name, features in task["features"].items():
        first = torch.randint(0, features - tokens + 1, (visits, 1), generator=draw)
        there = torch.rand(visits, 1, generator=draw) >= MISSING
        filled = LEAST + (1 - LEAST) * torch.rand(visits, 1, generator=draw)
        observed = there & (torch.arange(tokens) < tokens * filled)
        measurements[name] = Measurement(
            feature_ids=first + torch.arange(tokens),
            values=torch.randn(visits, tokens, generator=draw),
            observed=observed,
            below_limit=torch.zeros_like(observed),
            queried=torch.zeros_like(observed),
        )
    number = torch.arange(visits)
    return Batch(
        participant=number,
        time_days=torch.zeros(visits),
        row=number,
        measurements=measurements,
        outcomes={},
        seed=seed,
    )


def pad(model: Any) -> None:
    """Show the encoder every place of a batch, as if nothing were packed: it computes as much for padding."""
    tokenize = model.tokenize

    def padded(batch: Batch) -> Any:
        whole = copy.copy(batch)
        whole.measurements = {
            name: replace(m, observed=torch.ones_like(m.observed), queried=torch.zeros_like(m.queried))
            for name, m in batch.measurements.items()
        }
        return tokenize(whole)

    model.tokenize = padded


def losses(task: dict[str, Any], device: torch.device, dtype: torch.dtype | None) -> list[float]:
    """Of a few steps from the same weights, in float32 or under autocast."""
    step, batch, found = Step(task["features"], task["overrides"]).to(device), batch_of(task, 0).to(device), []
    optimizer = build(step.config["optimizer"])(step)
    for _ in range(5):
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            loss = step(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    return found


def rounds(device: torch.device, run: Callable[[Batch], None], batches: list[Batch], steps: int, side: int) -> Any:
    """Seconds of a step, and the operations per second of the products beside them."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds, products = [], []
    for number in range(ROUNDS + 1):  # the first warms up, and compiles
        finish()
        began = time.perf_counter()
        for place in range(max(steps, BATCHES)):
            run(batches[place % BATCHES])
        finish()
        took = (time.perf_counter() - began) / max(steps, BATCHES)
        began = time.perf_counter()
        for _ in range(10):
            a @ b
        finish()
        if number:
            seconds.append(took)
            products.append(10 * 2 * side**3 / (time.perf_counter() - began))
    return statistics.median(seconds), max(products)


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = Step(task["features"], task["overrides"]).to(device)
    batches = [batch_of(task, seed).to(device) for seed in range(BATCHES)]
    optimizer = build(step.config["optimizer"])(step)

    def run(batch: Batch) -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = step(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    with Arithmetic() as counted:
        for batch in batches:
            run(batch)
    flops, tokens = counted.flops / BATCHES, _tokens(batches)
    set_layers(step.model, recompute=False, compile=task["compile"])
    found: dict[str, Any] = {"parameters": sum(p.numel() for p in step.parameters()), "visits": task["visits"]}
    for how in ("packed", "padded"):
        if how == "padded":
            pad(step.model)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds, product = rounds(device, run, batches, task["steps"], task["side"])
        found[how] = {
            "ms": 1e3 * seconds,
            "visits_per_second": task["visits"] / seconds,
            "tokens_per_second": tokens / seconds,
            "flops": flops / seconds,
            "product": product,
            "mfu": flops / seconds / product,
            "gb": peak_memory(device),
        }
    return found


def _tokens(batches: list[Batch]) -> float:
    return sum(int(m.observed.sum()) for batch in batches for m in batch.measurements.values()) / len(batches)


def main() -> None:
    task = json.loads(sys.argv[1])
    if task.get("equal"):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        found: Any = {
            "cpu": losses(task, torch.device("cpu"), None),
            "float32": losses(task, device, None),
            "bfloat16": losses(task, device, torch.bfloat16),
        }
    else:
        with kept_between_steps():
            found = contestant(task)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
