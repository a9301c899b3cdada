"""SUITE=scaling: what more parameters and more participants buy in pretraining, as a curve.

Every point trains the same number of steps with the configured objectives and is scored on the same held-out
participants; transforms are those of all training participants, so that all points are in one unit. The best epoch is
chosen on the held-out participants, alike for all points. Writes scaling/curve.csv and scaling/report.html into the
cache folder.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.goal import Goal
from benchmarks.page import by_size, page
from benchmarks.peers import cache_folder
from omicsfm.data.collate import BatchReader
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.data.synthetic import simulate
from omicsfm.paths import configs_dir
from omicsfm.report.section import section
from omicsfm.report.style import SERIES, draw
from omicsfm.training.assemble import backbone_spec, build_model, fitted_transforms, objectives
from omicsfm.training.fit import Rows, fit
from omicsfm.training.main import compose
from omicsfm.training.pretrain import hold_out

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Of the training participants, all with the small model."""
COHORTS = ("covid_su",)
"""Shared cohorts beside the simulated one."""


def run(small: bool) -> list[Goal]:
    """Sizes on all participants, and the small model on fewer; the small form leaves out the base size."""
    sizes, steps = (("tiny", "small"), 60) if small else (("tiny", "small", "base"), 300)
    stores = [_simulated(200 if small else 800)]
    stores += [_shared(name) for name in COHORTS] if "OMICSFM_SHARED" in os.environ else []
    points = pd.DataFrame([point for store in stores for point in _curve(store, sizes, steps)])
    folder = cache_folder() / "scaling"
    folder.mkdir(parents=True, exist_ok=True)
    points.to_csv(folder / "curve.csv", index=False, float_format="%.5g")
    print(points.to_string(index=False))
    print(f"report: {_report(points, folder)}")
    return [goal for cohort, own in points.groupby("cohort", sort=False) for goal in _goals(str(cohort), own)]


def _curve(store: OmicsStore, sizes: tuple[str, ...], steps: int) -> list[dict[str, Any]]:
    rows = hold_out(store, np.arange(len(store)), share=0.25, seed=0)
    config = compose(["task=pretrain", "logger=none", f"data.store={store.path}", "run_dir=none"])
    transforms = fitted_transforms(store, rows.train, config)
    people = store.visits["participant_id"].astype(str).to_numpy(dtype=str)
    drawn = np.random.default_rng(0).permutation(np.unique(people[rows.train]))
    points = []
    for size, share in [*((size, 1.0) for size in sizes), *(("small", share) for share in SHARES[:-1])]:
        kept = drawn[: max(8, round(share * len(drawn)))]
        train = rows.train[np.isin(people[rows.train], kept)]
        point = _point(store, transforms, Rows(train, rows.validation), size, steps)
        points.append({"cohort": store.name, "size": size, "participants": len(kept), **point})
        print(points[-1], flush=True)
    return points


def _point(store: OmicsStore, transforms: Any, rows: Rows, size: str, steps: int) -> dict[str, float]:
    config = compose(["task=pretrain", f"model={size}", "logger=none", f"data.store={store.path}", "run_dir=none"])
    features = {name: matrix.features for name, matrix in store.inputs.items()}
    model = build_model(backbone_spec(config, features), seed=0, purpose="initial weights")
    epochs = max(1, round(steps * config["data"]["batch_size"] / len(rows.train)))
    reader = BatchReader(store, features=features, transforms=transforms, max_features=config["data"]["max_features"])
    started = time.process_time()
    best = fit(
        model=model,
        objectives=objectives(config, features),
        reader=reader,
        rows=rows,
        config=config,
        epochs=epochs,
        patience=epochs,
        title="scaling",
    )
    cpu = time.process_time() - started
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "validation_loss": best.loss,
        "cpu_s": round(cpu, 1),
    }


def _goals(cohort: str, points: pd.DataFrame) -> list[Goal]:
    """Fewer nats than from the fewest participants, and than of the smallest model."""
    people = points[points["size"] == "small"].sort_values("participants")["validation_loss"]
    sizes = points[points["participants"] == points["participants"].max()].sort_values("parameters")["validation_loss"]
    return [
        Goal(
            f"{cohort}: nats gained by all participants", float(people.iloc[0] - people.iloc[-1]), "nats", at_least=0.0
        ),
        Goal(f"{cohort}: nats gained by the larger model", float(sizes.iloc[0] - sizes.iloc[-1]), "nats", at_least=0.0),
    ]


def _report(points: pd.DataFrame, folder: Path) -> Path:
    def paint(column: str) -> Any:
        def onto(figure: Any) -> None:
            axes, shown = figure.subplots(), []
            for colour, (cohort, own) in zip(SERIES, points.groupby("cohort", sort=False), strict=False):
                least = own["participants"].max()
                own = own[own["size"] == "small"] if column == "participants" else own[own["participants"] == least]
                own = own.sort_values(column)
                shown += own[column].tolist()
                axes.plot(own[column], own["validation_loss"], "o-", color=colour, label=cohort)
            by_size(axes, shown, xlabel=column.capitalize(), ylabel="Validation loss (nats a value, weighted)")

        return onto

    figures = [
        {"svg": draw(paint(column), alt=f"Validation loss by {column}.", name=column, width=5.2), "caption": caption}
        for column, caption in (
            ("participants", "The small model, trained on part of the participants, in the same number of steps."),
            ("parameters", "Every size, trained on all participants."),
        )
    ]
    lead = "Loss of pretraining on held-out participants, the same for every point of a cohort; lower is better."
    found = section("What do more participants and more parameters buy?", lead, figures=figures)
    return page(folder, found, suite="scaling", headline="How pretraining scales")


def _simulated(participants: int) -> OmicsStore:
    folder = cache_folder() / "scaling" / f"simulated-{participants}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cohort = simulate(folder / "cohort.h5mu", participants=participants, visits=2, seed=1, genes=300, proteins=150)
    return prepare(cohort, folder / "store")


def _shared(name: str) -> OmicsStore:
    store = cache_folder() / "scaling" / name
    shutil.rmtree(store, ignore_errors=True)
    return prepare(configs_dir() / "cohort" / f"{name}.yaml", store)
