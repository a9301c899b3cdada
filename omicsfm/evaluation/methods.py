"""Methods of prediction by name: what a benchmark compares, on identical folds.

    linear                all modalities and the covariates side by side, ridge-penalised
    linear[proteome]      any method may be held to some of them: name[modality+modality]
    linear[clinical]      what a clinician knows alone: age and sex, or what the cohort lists
    late_fusion           one linear model a modality, averaged
    shared_linear         within strata: one linear model of all of them, each with its own intercept or baseline hazard
    boosting, forest      gradient-boosted trees, random forest

To add a baseline: one file in ``omicsfm/baselines`` and a line in ``_MAKERS``. Any other method is an object that keeps
the ``Method`` protocol.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from omicsfm.baselines.base import Baseline, Predicted
from omicsfm.baselines.boosting import Boosting
from omicsfm.baselines.forest import Forest
from omicsfm.baselines.late_fusion import LateFusion
from omicsfm.baselines.linear import Linear
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.shared_linear import NAME as SHARED_LINEAR
from omicsfm.evaluation.shared_linear import SharedLinear
from omicsfm.evaluation.task import Task

# positions in the task's rows: task.rows[positions] are store rows, task.target[positions] their truth
Train = Int[np.ndarray, " train"]
Test = Int[np.ndarray, " test"]


@runtime_checkable
class Method(Protocol):
    """Something that is fitted on the training visits of a fold and predicts its test visits."""

    @property
    def name(self) -> str:
        """What results call it."""
        ...

    @property
    def is_linear(self) -> bool:
        """Whether it is one of the plain linear models that others are compared with."""
        ...

    def config(self) -> Mapping[str, Any]:
        """Plain values that decide its predictions, besides task, fold and seed: part of the key of kept folds."""
        ...

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """Called once a fold, before ``fit_predict``, with the training visits of all strata: the place to pretrain."""
        ...

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Fit on ``train``, predict ``test``: class probabilities [test, classes], quantities or log hazards [test].

        Both are positions in the task's rows: ``task.rows[train]`` are store rows, ``task.target[train]`` their truth.
        Called once a fold, or once a fold and stratum. ``train`` is part of what ``begin_fold`` was given. The truth
        of ``test`` is in ``task`` and must not be looked at.
        """
        ...


@dataclass(frozen=True)
class BaselineMethod:
    """A baseline, held to ``modalities``."""

    name: str
    baseline: Baseline
    modalities: tuple[str, ...]
    is_linear: bool = False

    def config(self) -> Mapping[str, Any]:
        """The baseline's settings and the modalities it sees."""
        settings = asdict(self.baseline)  # type: ignore[call-overload]  # every baseline is a dataclass of its settings
        return {"baseline": type(self.baseline).__name__, "modalities": list(self.modalities), **settings}

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """A baseline has nothing to prepare."""

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Predictions from the chosen modalities."""
        table = task.table.only(self.modalities)
        return self.baseline.fit_predict(
            table[train].grouped(task.inner_groups(train)), task.target[train], table[test], seed=seed
        )


_MAKERS: dict[str, tuple[Callable[[], Baseline], bool]] = {
    "linear": (Linear, True),
    "late_fusion": (LateFusion, True),
    "boosting": (Boosting, False),
    "forest": (Forest, False),
}


def default_names(task: Task) -> list[str]:
    """Methods of a benchmark that names none: every baseline, and linear on each modality and on the covariates."""
    modalities = list(task.store.inputs)
    alone = [f"linear[{name}]" for name in modalities] if len(modalities) > 1 else []
    shared = [SHARED_LINEAR] if task.strata is not None else []
    names = ["linear", *alone, *(["late_fusion"] if alone else []), *shared]
    if task.outcome.kind == "competing_risks":  # trees know one event
        return names
    names.append("boosting")
    return [*names, "forest"] if task.outcome.kind != "survival" or _has_sksurv() else names


def baseline_methods(names: Sequence[str], task: Task, *, others: Sequence[str] = ()) -> list[Method]:
    """Methods by name.

    ``others`` are further names that the caller knows, for the message about an unknown one.

    Raises:
        InputError: A name or a modality is not known, or stands there twice.
    """
    methods: list[Method] = [
        SharedLinear() if name == SHARED_LINEAR else _baseline_method(name, task, others) for name in names
    ]
    for name in names:
        if list(names).count(name) > 1:
            raise InputError(f"--methods: '{name}' stands there twice.")
    return methods


def split_names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _baseline_method(name: str, task: Task, others: Sequence[str]) -> BaselineMethod:
    written = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]+)\])?", name)
    plain = written.group(1) if written else name
    if written is None or plain not in _MAKERS:
        raise InputError(f"--methods: '{name}' is not a method; {closest(plain, [*_MAKERS, SHARED_LINEAR, *others])}.")
    make, is_linear = _MAKERS[plain]
    return BaselineMethod(name, make(), asked_modalities(name, task), is_linear)


def asked_modalities(name: str, task: Task) -> tuple[str, ...]:
    """The inputs in the brackets of a method's name; all of the store where it has none.

    Raises:
        InputError: The store has no such input.
    """
    known, written = tuple(task.store.inputs), re.fullmatch(r"[^\[\]]+\[([^\[\]]+)\]", name)
    if written is None:
        return known
    asked = [part.strip() for part in written.group(1).split("+")]
    for modality in asked:
        if modality not in known:
            raise InputError(f"--methods: '{name}' asks for modality '{modality}'; {closest(modality, known)}.")
    return tuple(asked)


def _has_sksurv() -> bool:
    from importlib.util import find_spec

    return find_spec("sksurv") is not None
