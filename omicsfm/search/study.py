"""The search: Optuna proposes a config, inner folds of the training participants score it."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omicsfm.errors import InputError
from omicsfm.evaluation.crossval import cross_validate
from omicsfm.evaluation.pretrained import NAME, pretrained_methods
from omicsfm.evaluation.scoring import score_predictions
from omicsfm.evaluation.task import Task
from omicsfm.metrics import HEADLINE, REGISTRY
from omicsfm.search.space import Dimension, Value
from omicsfm.seeding import derive

log = logging.getLogger(__name__)
FIRST = "the config as it stands"


@dataclass(frozen=True)
class Trial:
    """One config and what it scored."""

    chosen: dict[str, Value]
    score: float
    seconds: float

    @property
    def overrides(self) -> list[str]:
        """As for train.py."""
        return [f"{key}={value}" for key, value in self.chosen.items()]


@dataclass(frozen=True)
class Found:
    """Every trial, the config as it stands first, in the metric by which they were compared."""

    metric: str
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The first of the best."""
        sign = 1 if _high_is_good(self.metric) else -1
        return max(self.trials, key=lambda trial: sign * trial.score)


def search(
    task: Task, space: Sequence[Dimension], *, trials: int, overrides: Sequence[str], seed: int, keep: Path
) -> Found:
    """Score the config as it stands and ``trials`` others, which a tree of Parzen estimators proposes (Bergstra et al.
    2011), on the task's own split. Finished folds are kept under ``keep``: the same search goes on where it stopped.

    Raises:
        InputError: Optuna is not installed, or a key or value of the space is not one of the training config.
    """
    optuna = _optuna()
    assert task.split is not None
    for dimension in space:  # before hours of training, not after
        for value in dimension.choices or (dimension.low, dimension.high):
            _method([*overrides, f"{dimension.key}={value}"])
    metric = HEADLINE[task.outcome.kind]
    study = optuna.create_study(
        direction="maximize" if _high_is_good(metric) else "minimize",
        sampler=optuna.samplers.TPESampler(seed=derive(seed, "search")),
    )
    done = [_score(task, {}, overrides, metric, seed, keep)]
    log.info("%s: %s %.4f", FIRST, metric, done[0].score)
    for number in range(1, trials + 1):
        asked = study.ask()
        chosen = {dimension.key: dimension.suggest(asked) for dimension in space}
        done.append(_score(task, chosen, overrides, metric, seed, keep))
        study.tell(asked, done[-1].score)
        log.info(
            "trial %d of %d: %s %.4f with %s", number, trials, metric, done[-1].score, ", ".join(done[-1].overrides)
        )
    return Found(metric, tuple(done))


def _score(task: Task, chosen: dict[str, Value], overrides: Sequence[str], metric: str, seed: int, keep: Path) -> Trial:
    started, method = time.perf_counter(), _method([*overrides, *(f"{k}={v}" for k, v in chosen.items())])
    assert task.split is not None
    predictions, _ = cross_validate(task, [method], task.split, seed=seed, keep=keep)
    scored = score_predictions(predictions, task.outcome, linear=(), seed=seed, resamples=1)
    return Trial(chosen, float(scored["methods"][NAME]["metrics"][metric]["value"]), time.perf_counter() - started)


def _method(overrides: Sequence[str]) -> Any:
    return pretrained_methods([NAME], overrides=overrides)[NAME]


def _high_is_good(metric: str) -> bool:
    return any(own[metric].best == "high" for own in REGISTRY.values() if metric in own)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise InputError(
            "a search needs optuna, which is not installed. Install it: pip install 'omicsfm[search]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
