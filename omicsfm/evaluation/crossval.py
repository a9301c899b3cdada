"""Every method on identical folds, each fold kept on disk as soon as it is done."""

import hashlib
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import omicsfm
from omicsfm.contracts import TIMED
from omicsfm.data.covariates import covariates
from omicsfm.data.splits import Split
from omicsfm.errors import InputError
from omicsfm.evaluation.methods import Method
from omicsfm.evaluation.predictions import prediction_rows, write_parquet
from omicsfm.evaluation.survival_curves import calibrated_curves, calibrated_incidence
from omicsfm.evaluation.task import Task
from omicsfm.metrics import SurvivalCurves
from omicsfm.metrics.registry import IncidenceCurves
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget
from omicsfm.seeding import derive

log = logging.getLogger(__name__)
SECONDS = "seconds"  # column of a kept fold; not part of predictions.parquet


def cross_validate(
    task: Task, methods: Sequence[Method], split: Split, *, seed: int, keep: Path
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Predictions of every method in every fold, and each method's wall time in seconds.

    A finished fold is kept under ``keep`` by store, task, method, seed and the participants of the fold, and read
    from there when the same is asked again: a run that was killed goes on where it stopped, and one that asks for more
    repeats computes only these. A fold's seconds are those of the run that computed it.

    Raises:
        InputError: The split does not fit the task, or a training fold lacks an outcome.
    """
    task = replace(task, split=split)
    folds = [(repeat, fold, *_positions(task, split, repeat, fold)) for repeat, fold in split.folds()]
    tables: list[pd.DataFrame] = []
    seconds: dict[str, float] = {}
    with _progress(len(folds) * len(methods)) as advance:
        for method in methods:
            folder = keep / _key(task, method, seed)
            for repeat, fold, train, test in folds:
                file = folder / f"repeat-{repeat}_fold-{fold}_{_people(task, train, test)}.parquet"
                rows = _kept(file)
                if rows is None:
                    rows = _run_fold(task, method, train, test, repeat=repeat, fold=fold, seed=seed)
                    write_parquet(rows, file)
                seconds[method.name] = seconds.get(method.name, 0.0) + float(rows[SECONDS].iloc[0])
                tables.append(rows.drop(columns=SECONDS))
                advance(f"{method.name}, repeat {repeat}, fold {fold}: {rows[SECONDS].iloc[0]:.1f} s")
    return pd.concat(tables, ignore_index=True), seconds


def _run_fold(
    task: Task, method: Method, train: np.ndarray, test: np.ndarray, *, repeat: int, fold: int, seed: int
) -> pd.DataFrame:
    fold_seed = derive(seed, "fold", repeat, fold)
    started = time.perf_counter()
    method.begin_fold(task, train, seed=fold_seed)
    tables = []
    for own_train, own_test in _strata(task, train, test):
        predicted = method.fit_predict(task, own_train, own_test, seed=fold_seed)
        _check(method.name, predicted.test, len(own_test), f"repeat {repeat}, fold {fold}")
        curves: SurvivalCurves | IncidenceCurves | None = predicted.curves
        if isinstance(task.target, SurvivalTarget):
            curves = curves or calibrated_curves(predicted, task.target[own_train], task.curve_days)
        elif isinstance(task.target, CompetingTarget):
            curves = calibrated_incidence(predicted, task.target[own_train], task.curve_days)
        where = {"method": method.name, "repeat": repeat, "fold": fold}
        tables.append(prediction_rows(task, own_test, predicted.test, curves=curves, **where))  # type: ignore[arg-type]
    rows = pd.concat(tables, ignore_index=True)
    return rows.assign(**{SECONDS: time.perf_counter() - started})


def _strata(task: Task, train: np.ndarray, test: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if task.strata is None:
        yield train, test
        return
    for stratum in np.unique(task.strata[test]):
        own_train, own_test = train[task.strata[train] == stratum], test[task.strata[test] == stratum]
        if len(np.unique(task.participant_ids[own_train])) < 2:
            raise InputError(
                f"{task.stratum_column} '{stratum}': {len(own_train)} training visits in a fold; a stratum needs "
                "participants in every training fold. Leave it out of the store, or use fewer folds."
            )
        yield own_train, own_test


def _positions(task: Task, split: Split, repeat: int, fold: int) -> tuple[np.ndarray, np.ndarray]:
    train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, repeat, fold))
    if isinstance(task.target, SurvivalTarget | CompetingTarget) and not task.target.event[train].any():
        raise InputError(
            f"outcome '{task.outcome.name}': no event in the training rows of repeat {repeat}, fold {fold}."
        )
    return train, test


def _check(name: str, prediction: np.ndarray, rows: int, where: str) -> None:
    if len(prediction) != rows or not np.isfinite(prediction).all():
        broken = int((~np.isfinite(prediction)).sum())
        raise RuntimeError(
            f"{name}, {where}: {len(prediction)} predictions for {rows} visits, {broken} of them not finite"
        )


def _key(task: Task, method: Method, seed: int) -> str:
    """A folder name that changes with anything but the fold that could change the predictions."""
    decides: dict[str, Any] = {
        "omicsfm": omicsfm.__version__,
        "store": task.store.fingerprint,
        "clinical": covariates(task.store),
        "outcome": asdict(task.outcome),
        "rows": _fingerprint(task),
        "within": task.stratum_column,
        "together": task.together,
        "method": method.name,
        "config": dict(method.config()),
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]
    safe = "".join(letter if letter.isalnum() else "-" for letter in method.name).strip("-")
    return f"{safe}-{digest}"


def _fingerprint(task: Task) -> str:
    """A name for what is predicted at which visits, and by when."""
    digest = hashlib.sha256(task.rows.astype(np.int64).tobytes())
    for part in (task.strata, getattr(task.target, "time_days", None)):
        digest.update(b"" if part is None else json.dumps(np.asarray(part).tolist()).encode())
    if task.outcome.kind in TIMED:
        digest.update(task.curve_days.astype(np.float64).tobytes())
    return digest.hexdigest()


def _people(task: Task, train: np.ndarray, test: np.ndarray) -> str:
    """A name for who is trained on and who is tested."""
    sides = [sorted(set(task.participant_ids[rows].tolist())) for rows in (train, test)]
    return hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:12]


def _kept(file: Path) -> pd.DataFrame | None:
    if not file.exists():
        return None
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s); the fold is computed again", file, error)
        return None


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on a terminal, a log line a fold elsewhere."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, unit="fold") as bar:

            def advance(text: str) -> None:
                bar.set_postfix_str(text, refresh=False)
                bar.update()

            yield advance
        return
    done = 0

    def advance_log(text: str) -> None:
        nonlocal done
        done += 1
        log.info("%d of %d: %s", done, total, text)

    yield advance_log
