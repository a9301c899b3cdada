"""omicsfm on one fold: pretrain, adapt and predict in a process of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contestants.measure import run
from benchmarks.flexynesis_data import positions
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.evaluation.predictions import prediction_rows, write_parquet
from omicsfm.evaluation.pretrained import NAME, pretrained_methods
from omicsfm.evaluation.task import make_task
from omicsfm.seeding import derive


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    repeat, fold, split = task["repeat"], task["fold"], Split.read(task["split"])
    own = replace(make_task(OmicsStore.open(task["store"]), task["outcome"]), split=split)
    method = pretrained_methods([NAME], overrides=task["set"])[NAME]
    train, test = positions(own, split, repeat, fold)
    seed = derive(task["seed"], "fold", repeat, fold)
    method.begin_fold(own, train, seed=seed)
    predicted = method.fit_predict(own, train, test, seed=seed).test
    rows = prediction_rows(own, test, predicted, method=NAME, repeat=repeat, fold=fold)
    write_parquet(rows, Path(task["out"]))
    return {"train": len(train), "test": len(test)}


if __name__ == "__main__":
    run(contestant)
