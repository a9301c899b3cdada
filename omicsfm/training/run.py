"""A resolved config -> a finished run folder: what train.py does after Hydra has stepped back."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from omicsfm import distributed
from omicsfm.checkpoint import Checkpoint, load_checkpoint
from omicsfm.data.folds import make_split
from omicsfm.data.groups import families_in
from omicsfm.data.identifiers.bridge import with_mapping
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.data.stratify import outcome_labels
from omicsfm.data.union import alike, open_stores, training_rows
from omicsfm.errors import InputError
from omicsfm.training.lost_process import naming_a_lost_process
from omicsfm.training.preemption import stop_request
from omicsfm.training.pretrain import pretrain
from omicsfm.training.promotion import obeying_the_gate

Config = Mapping[str, Any]
MAY_CHANGE = ("trainer", "layers", "logger", "resume", "run_dir")
"""Parts of a config that another start of the same run may change: they do not change the result."""


def run(config: Config) -> Path:
    """Pretrain or fine-tune as configured; returns the exported checkpoint's folder.

    A second start with the same ``run_dir`` resumes an unfinished run and leaves a finished one as it is.

    Raises:
        InputError: The config, the store, the split or the checkpoint is at fault, or another process of the run died.
        ToBeContinued: A signal or a time limit asked it to stop, and its state is saved.
    """
    listening = stop_request.listening(stop_after_minutes=config["resume"]["stop_after_minutes"])
    with listening, naming_a_lost_process(Path(config["run_dir"])):
        return _run(config)


def _run(config: Config) -> Path:
    task = config["task"]["name"]
    run_dir = Path(config["run_dir"])
    checkpoint = run_dir / "checkpoint"
    store = open_stores(config["data"]["store"], config["data"]["weights"])
    home = store.stores[0]
    if distributed.is_first():
        for warning in alike(store.stores):
            print(f"warning: {warning}", file=sys.stderr)
    if task == "finetune" and not config["outcome"]:
        raise InputError(f"task=finetune needs outcome=NAME; {home.path} has: {', '.join(home.outcome_specs)}.")
    claim(run_dir, config)
    if (run_dir / "finished.json").exists():
        if distributed.is_first():
            print(f"{run_dir}: this run is finished; its checkpoint is {checkpoint}")
        return checkpoint
    train, test, record = training_visits(store, config, run_dir)
    if task == "pretrain":
        best = pretrain(store, rows=train, config=config, directory=checkpoint, run_dir=run_dir, split_record=record)
        report = {"best epoch": best.epoch + 1, "validation loss": best.loss}
    else:
        from omicsfm.training.finetune import finetune  # with scipy's optimisers, which pretraining does without

        source = config["checkpoint"] or _pretrain_first(store, train, config, run_dir, record)
        opened = load_checkpoint(source)
        judge_seen(opened, home, test, record, allowed=config["data"]["allow_seen"])
        named = config["data"]["mapping"] or []
        config = obeying_the_gate(config, home)
        report = finetune(
            with_mapping(home, [Path(file) for file in ([named] if isinstance(named, str) else named)]),
            checkpoint=opened,
            outcome=home.outcome(config["outcome"]),
            rows=train[train < len(home)],
            config=config,
            directory=checkpoint,
            run_dir=run_dir,
            split_record=record,
        )
    if distributed.is_first():
        _write(run_dir / "finished.json", json.dumps(report, indent=1))
        shutil.rmtree(run_dir / "resume", ignore_errors=True)  # last: half removed and not finished it could not go on
        if config["gate"]:
            print(config["gate"]["said"])
        print(f"{task}: done, {', '.join(f'{k} {v:.4g}' for k, v in report.items())}; checkpoint {checkpoint}")
    return checkpoint


def claim(run_dir: Path, config: Config) -> None:
    """Write the config into a new run folder, or check that an old one holds the same run.

    Raises:
        InputError: The folder holds a run of another config; the message names the first key that differs.
    """
    file = run_dir / "config.yaml"
    plain = json.loads(json.dumps(config))
    if file.exists():
        earlier = yaml.safe_load(file.read_text())
        for key, was, now in _differences(earlier, plain):
            raise InputError(
                f"{run_dir}: holds a run whose {key} is {was!r}; this start has {now!r}. Choose another run_dir, or "
                "delete that folder."
            )
    elif distributed.is_first():
        run_dir.mkdir(parents=True, exist_ok=True)
        _write(file, yaml.safe_dump(plain, sort_keys=False))


def training_visits(store: OmicsStore, config: Config, run_dir: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Store rows that training may read, those kept for testing, and what to record of the split.

    Of several stores the outcome and the split are the first one's; one of the same people obeys the split too, and
    every other is read whole. With ``data.split`` these are the training participants of (repeat, fold). Without one,
    pretraining reads everybody, and fine-tuning keeps a fifth of the participants aside for evaluation, named in
    RUN/split.csv.
    """
    data, home = config["data"], store.stores[0]
    repeat, fold = data["repeat"], data["fold"]
    if data["split"]:
        split = Split.read(data["split"])
    elif config["task"]["name"] == "finetune":
        outcome = home.outcome(config["outcome"])
        known = np.flatnonzero(home.outcome_observed(outcome.name))
        split = make_split(
            home.visits.iloc[known],
            labels=outcome_labels(home, outcome)[known],
            repeats=1,
            folds=5,
            seed=config["seed"],
        )
        repeat, fold = 0, 0
        if distributed.is_first():
            split.write(run_dir / "split.csv")
    else:
        everybody = np.arange(len(store))
        return everybody, everybody[:0], {"kept_together": list(families_in(store.visits))}
    train, test = (np.flatnonzero(mask) for mask in split.masks(home.visits, repeat, fold))
    tested = home.visits["participant_id"].astype(str).to_numpy()[test]
    train = training_rows(store, train, tested, split.readable)
    together = list(split.together_in(store.visits))
    return train, test, {"sha256": split.sha256, "repeat": repeat, "fold": fold, "kept_together": together}


def judge_seen(
    checkpoint: Checkpoint, store: OmicsStore, test: np.ndarray, record: Config, *, allowed: bool = False
) -> None:
    """Refuse a checkpoint whose transforms and weights were fitted to people this run keeps for testing, or where that
    is ``allowed`` say so on stderr.

    Raises:
        InputError: It saw some of them, or of those who must stay on one side with them.
    """
    people = store.visits["participant_id"].iloc[test]
    known = people[~checkpoint.untouched(store.visits, record["kept_together"], store.people)[test]].nunique()
    if not known:
        return
    said = (
        f"it was pretrained on {known:,} of the {people.nunique():,} participants kept for testing, or on their "
        "families or groups: it knows their measurements."
    )
    if not allowed:
        raise InputError(
            f"checkpoint: {said} For a clean test pretrain with the same data.split, or leave checkpoint= out to "
            "pretrain on this run's training participants; to go on all the same: data.allow_seen=true."
        )
    if distributed.is_first():
        print(f"warning: checkpoint: {said} A test on them flatters it.", file=sys.stderr)


def _pretrain_first(store: OmicsStore, train: np.ndarray, config: Config, run_dir: Path, record: Config) -> Path:
    task = config["task"]
    first = {
        **config,
        "task": {**task, "name": "pretrain", "epochs": task["pretrain_epochs"], "patience": task["pretrain_patience"]},
    }
    directory = run_dir / "pretrain" / "checkpoint"
    if not (run_dir / "pretrain" / "finished.json").exists():
        (run_dir / "pretrain").mkdir(exist_ok=True)
        best = pretrain(
            store, rows=train, config=first, directory=directory, run_dir=run_dir / "pretrain", split_record=record
        )
        if distributed.is_first():
            _write(run_dir / "pretrain" / "finished.json", json.dumps({"validation loss": best.loss}))
    return directory


def _differences(earlier: Any, now: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*earlier, *now}):
        if not prefix and key in MAY_CHANGE:
            continue
        was, is_ = earlier.get(key), now.get(key)
        if isinstance(was, Mapping) and isinstance(is_, Mapping):
            found += _differences(was, is_, f"{prefix}{key}.")
        elif was != is_:
            found.append((f"{prefix}{key}", was, is_))
    return found


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text)
    partial.rename(file)
