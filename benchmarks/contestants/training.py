"""How long a training step of the small model waits for its batch: a plain loop over omicsfm's own loader."""

import time
from typing import Any

import numpy as np
import torch

from benchmarks.contestants.measure import run
from omicsfm.data.collate import BatchReader
from omicsfm.data.loader import make_loader
from omicsfm.data.sampling import expression_weights
from omicsfm.data.store import OmicsStore
from omicsfm.training.assemble import backbone_spec, build_model, fitted_transforms, objectives
from omicsfm.training.main import compose

FITTED = 400  # visits; the wait does not depend on how well the transforms are known


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(1)
    config = compose(["task=pretrain", "model=small", "logger=none", f"data.store={task['store']}", "run_dir=none"])
    store = OmicsStore.open(task["store"])
    rows = np.arange(FITTED)
    features = {name: matrix.features for name, matrix in store.modalities.items()}
    reader = BatchReader(
        store,
        features=features,
        transforms=fitted_transforms(store, rows, config),
        max_features=config["data"]["max_features"],
        weights={"transcriptome": expression_weights(store.modalities["transcriptome"], rows, seed=0)},
    )
    model = build_model(backbone_spec(config, features), seed=0, purpose="initial weights")
    goals, optimizer = objectives(config, features), torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    size, ahead = config["data"]["batch_size"], config["data"]["read_ahead"]
    batches = iter(make_loader(reader, np.arange(len(store)), batch_size=size, seed=0, shuffle=True, ahead=ahead))
    waits, steps = [], []
    for number in range(task["steps"] + 3):
        begun = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - begun
        sum(goal(model, batch).total for goal in goals.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        if number >= 3:  # the first ones compile and fill the queue
            waits.append(waited)
            steps.append(time.perf_counter() - begun)
    wait, step = float(np.median(waits)), float(np.median(steps))  # other work on the machine makes single ones long
    return {"share": wait / step, "wait_ms": 1e3 * wait, "step_ms": 1e3 * step, "visits": size}


if __name__ == "__main__":
    run(contestant)
