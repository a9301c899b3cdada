"""omicsfm as a method of a benchmark: pretrained inside each training fold, or opened from a checkpoint.

omicsfm           the configured adaptation (configs/train.yaml)
omicsfm[probe]    any adaptation of configs/adaptation by name; folds share their pretrained encoders
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from jaxtyping import Shaped

from omicsfm.baselines.base import Predicted, held_out_of
from omicsfm.checkpoint import Checkpoint, load_checkpoint
from omicsfm.data.collate import BatchReader
from omicsfm.data.store import OmicsStore
from omicsfm.data.union import together_with, training_rows
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.cut_visits import CutVisits
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.task import Task
from omicsfm.inference import predict, reader_for
from omicsfm.paths import configs_dir

if TYPE_CHECKING:
    from omicsfm.training.pooling import Pool

NAME = "omicsfm"
WITHOUT_ENCODER = f"{NAME}[without_encoder]"
"""The same without what pretraining gave."""


class Encoders:
    """The pretrained encoder of each fold, made once and shared by the adaptations that are compared."""

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        checkpoint: Path | None = None,
        beside: Sequence[OmicsStore] = (),
        untrained: bool = False,
        blind: bool = False,
    ) -> None:
        """``config`` is a resolved training config. Without a ``checkpoint`` each fold pretrains on all visits of its
        training participants, whether their outcome is known or not, and on the stores ``beside``. With ``untrained``
        weights stay as they begin. With ``blind`` no outcome of the task's people is shown to an objective that
        foretells some, so that what few labels are worth can be told.
        """
        self.blind = blind
        self.config = dict(config)
        if untrained:
            self.config["task"] = {**self.config["task"], "epochs": 0}
        self.beside = tuple(beside)
        self.checkpoint = None if checkpoint is None else load_checkpoint(checkpoint)
        self._made: dict[tuple[int, bytes], Checkpoint] = {}
        self._pools: dict[tuple[int, bytes], tuple[OmicsStore, "Pool"]] = {}

    def of_fold(self, task: CutVisits, train: Train, *, seed: int) -> Checkpoint:
        """The encoder that may be used where ``train`` are the training visits."""
        if self.checkpoint is not None:
            return self.checkpoint
        key = (seed, train.tobytes())
        if key not in self._made:
            from omicsfm.training.quick_start import import_lightning

            import_lightning()
            from omicsfm.training.pretrain import pretrain

            tested = np.setdiff1d(task.participant_ids, task.participant_ids[train])
            own = np.flatnonzero(task.readable(task.store.visits, tested))
            first = without_outcomes(task.store, task.participant_ids) if self.blind else task.store
            store = together_with(first, self.beside, self.config["data"]["weights"])
            rows = training_rows(store, own, tested, task.readable)
            record = {"kept_together": [name for name in task.together if name in store.visits]}
            with tempfile.TemporaryDirectory() as folder:
                directory = Path(folder) / "checkpoint"
                config = {**self.config, "seed": seed}
                pretrain(store, rows=rows, config=config, directory=directory, split_record=record)
                self._made[key] = load_checkpoint(directory)
        return self._made[key]

    def pool_of_fold(self, task: Task, train: Train, reader: BatchReader, *, seed: int) -> "Pool | None":
        """What the strata of the training visits share, fitted once for all adaptations; None where there are none."""
        if task.strata is None:
            return None
        from omicsfm.training.pooling import Pool

        key = (seed, train.tobytes())
        if key not in self._pools or self._pools[key][0] is not task.store:  # an ablation may change its outcomes
            groups = task.inner_groups(train)
            rows, strata = task.rows[train], task.strata[train]
            pool = Pool(reader, task.outcome, rows=rows, strata=strata, groups=groups, seed=seed)
            self._pools[key] = task.store, pool
        return self._pools[key][1]


def without_outcomes(store: OmicsStore, people: Shaped[np.ndarray, " rows"]) -> OmicsStore:
    """The store as if nothing had become known of these participants."""
    theirs = store.visits["participant_id"].astype(str).isin(people).to_numpy()
    hidden = np.broadcast_to(theirs[:, None], store.outcomes.shape)
    return replace(store, outcomes=store.outcomes.mask(hidden))


class Pretrained:
    """A pretrained encoder, adapted to the outcome on the training visits of each fold and stratum."""

    is_linear = False

    def __init__(self, *, name: str, encoders: Encoders, adaptation: Mapping[str, Any]) -> None:
        self.name = name
        self._encoders = encoders
        self._adaptation = dict(adaptation)
        self._opened: Checkpoint | None = None
        self._reader: BatchReader | None = None  # one for all strata of a fold: it keeps the transformed values
        self._pool: "Pool | None" = None

    def config(self) -> Mapping[str, Any]:
        """The training config, the adaptation, the checkpoint's digest, and what each fold is also pretrained on."""
        opened = self._encoders.checkpoint
        digest = None if opened is None else opened.provenance["digest"]
        beside = {"pretrained_beside": {s.name: s.fingerprint for s in self._encoders.beside}}
        own = {"adaptation": self._adaptation, "checkpoint": digest, **(beside if self._encoders.beside else {})}
        return {**self._encoders.config, **own}

    def notes(self, task: Task) -> list[str]:
        """What must be known of its score: on which other cohorts it was pretrained, whom of the tested it saw."""
        said, opened = [], self._encoders.checkpoint
        if names := [store.name for store in self._encoders.beside]:
            said.append(
                f"{self.name} was pretrained in each fold on its training participants and on all of "
                f"{' and '.join(names)}."
            )
        if opened is not None and (seen := self._seen(opened, task, np.arange(len(task)))):
            said.append(
                f"The checkpoint of {self.name} was trained on the measurements of {seen:,} of the people tested here, "
                "or of their families or groups: what it scores on strangers may be lower."
            )
        return said

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """Pretrain on the fold's training participants, of every stratum."""
        self._opened = self._encoders.of_fold(task, train, seed=seed)
        self._reader = reader_for(self._opened, task.store, outcome=task.outcome)
        self._pool = self._encoders.pool_of_fold(task, train, self._reader, seed=seed)

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Adapt to the outcome on ``train``, predict ``test``."""
        assert self._opened is not None, "begin_fold comes first"
        if not self._encoders.config["data"]["allow_seen"]:
            self._refuse_seen(self._opened, task, test)
        model, reader, adapted = self.fitted(task, train, seed=seed)
        predicted = predict(model, reader, task.rows[test], head=task.outcome.name).numpy().astype(np.float64)
        held_out = None if adapted.held_out is None else held_out_of(task.target, adapted.held_out)
        return Predicted(predicted, held_out)

    def fitted(self, task: Task, train: Train, *, seed: int) -> tuple[Any, BatchReader, Any]:
        """The model adapted to the outcome on ``train``, what reads its visits, and what the adaptation chose."""
        from omicsfm.training.finetune import adapt

        assert self._opened is not None, "begin_fold comes first"
        assert self._reader is not None, "begin_fold comes first"
        config = {**self._encoders.config, "adaptation": self._adaptation, "seed": seed}
        model, _, adapted = adapt(
            self._reader,
            self._opened,
            task.outcome,
            task.rows[train],
            config,
            together=task.together,
            pool=self._pool,
        )
        return model, self._reader, adapted

    def _refuse_seen(self, opened: Checkpoint, task: Task, test: Test) -> None:
        if seen := self._seen(opened, task, test):
            tested = len(np.unique(task.participant_ids[test]))
            raise InputError(
                f"{self.name}: the checkpoint was trained on {seen:,} of {tested:,} "
                "participants whom this fold tests, or on their families or groups. Leave --checkpoint out to pretrain "
                "inside each fold, give the --split whose fold it was trained for, or go on all the same with --set "
                "data.allow_seen=true."
            )

    def _seen(self, opened: Checkpoint, task: Task, test: Test) -> int:
        """How many of the people at these rows the checkpoint was trained on, or on somebody of their group."""
        touched = ~opened.untouched(task.store.visits, task.together, task.store.people)[task.rows[test]]
        return len(np.unique(task.participant_ids[test][touched]))


def pretrained_methods(
    names: Sequence[str],
    *,
    checkpoint: Path | None = None,
    overrides: Sequence[str] = (),
    beside: Sequence[OmicsStore] = (),
) -> dict[str, Pretrained]:
    """The methods among ``names`` that are omicsfm's, by name; ``overrides`` are key=value of the training config,
    ``beside`` are stores that every fold pretrains on too.

    Raises:
        InputError: An adaptation is not known, the checkpoint does not open, or an override names no key.
    """
    written = {name: re.fullmatch(rf"{NAME}(?:\[(\w+)\])?", name) for name in names}
    asked = {name: match[1] for name, match in written.items() if match}
    if not asked:
        return {}
    encoders = make_encoders(overrides, checkpoint=checkpoint, beside=beside)
    usual = encoders.config["adaptation"]
    return {
        name: Pretrained(name=name, encoders=encoders, adaptation=usual if which is None else adaptation_named(which))
        for name, which in asked.items()
    }


def make_encoders(
    overrides: Sequence[str], *, checkpoint: Path | None = None, beside: Sequence[OmicsStore] = ()
) -> Encoders:
    """The encoders of folds, pretrained as the training config with these ``overrides`` says.

    Raises:
        InputError: The checkpoint does not open, or an override names no key.
    """
    from omicsfm.training.main import compose

    config = compose(["run_dir=none", "data.store=none", "task=finetune", *overrides])
    pretraining = compose(["run_dir=none", "data.store=none", "task=pretrain", *overrides])["task"]
    return Encoders(_for_folds(config, pretraining), checkpoint=checkpoint, beside=beside)


def _for_folds(config: Mapping[str, Any], pretraining: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the predictions; run folder, seed and the like are left out."""
    left_out = ("run_dir", "checkpoint", "outcome", "seed", "task")
    kept = {key: value for key, value in config.items() if key not in left_out}
    return {**kept, "task": {**config["task"], **pretraining}}


def adaptation_named(name: str) -> Mapping[str, Any]:
    """A config of configs/adaptation.

    Raises:
        InputError: There is none of that name.
    """
    file = configs_dir() / "adaptation" / f"{name}.yaml"
    if not file.exists():
        known = [other.stem for other in file.parent.glob("*.yaml")]
        raise InputError(
            f"--methods: {NAME}[{name}] asks for an adaptation that does not exist; {closest(name, known)}."
        )
    return dict(yaml.safe_load(file.read_text()))
