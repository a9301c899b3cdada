"""Fine-tune a pretrained encoder to an outcome of a store."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.build import build
from omicsfm.checkpoint import Checkpoint, save_checkpoint
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.collate import BatchReader
from omicsfm.data.groups import inner_groups
from omicsfm.data.store import OmicsStore
from omicsfm.data.stratify import outcome_labels
from omicsfm.features import FeatureSpace
from omicsfm.inference import reader_for
from omicsfm.seeding import derive
from omicsfm.training.adaptations import Adapted, TuningTask
from omicsfm.training.assemble import build_model, head_spec, require_trainable
from omicsfm.training.pooling import Pool
from omicsfm.training.pretrain import hold_out, provenance


def finetune(
    store: OmicsStore,
    *,
    checkpoint: Checkpoint,
    outcome: OutcomeSpec,
    rows: np.ndarray,
    config: Mapping[str, Any],
    directory: Path,
    run_dir: Path | None = None,
    split_record: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Adapt the checkpoint's model to ``outcome`` on the training visits ``rows``; write it to ``directory``.

    Returns what the adaptation chose and measured on training participants.

    Raises:
        InputError: The outcome cannot be learnt from these visits, or store and checkpoint share too few features.
    """
    rows = rows[store.outcome_observed(outcome.name)[rows]]
    reader = reader_for(checkpoint, store, outcome=outcome)
    together = (split_record or {}).get("kept_together", ())
    model, spec, adapted = adapt(reader, checkpoint, outcome, rows, config, run_dir=run_dir, together=together)
    merged = provenance(store, rows, config, split_record, used_for=f"fine-tuning to {outcome.name}")
    merged["stores"] = [*checkpoint.provenance["stores"], *merged["stores"]]
    merged["participants"] = [*checkpoint.provenance["participants"], *merged["participants"]]
    if config["gate"]:
        merged["gate"] = config["gate"]
    save_checkpoint(
        directory,
        model=model,
        model_spec=spec,
        features={name: _as_measured(space, store) for name, space in checkpoint.features.items()},
        transforms=checkpoint.transforms,
        outcomes=(outcome,),
        provenance={**merged, "metrics": adapted.chosen, "pretrained from": checkpoint.provenance["digest"]},
    )
    return adapted.chosen


def adapt(
    reader: BatchReader,
    checkpoint: Checkpoint,
    outcome: OutcomeSpec,
    rows: np.ndarray,
    config: Mapping[str, Any],
    *,
    run_dir: Path | None = None,
    together: Sequence[str] = (),
    pool: Pool | None = None,
) -> tuple[Any, dict[str, Any], Adapted]:
    """A copy of the checkpoint's model with a head fitted to ``outcome`` on training visits that have it; its spec;
    and what the configured adaptation chose. ``reader`` reads their store as the checkpoint's model expects. Inner
    folds do not tear apart what shares a value of a column in ``together``. ``pool`` holds the training visits of all
    strata where ``rows`` are those of one.

    Raises:
        InputError: The outcome cannot be learnt from these visits, or store and checkpoint share too few features.
    """
    store = reader.store
    require_trainable(store, outcome, rows)
    head = head_spec(config, store, outcome, rows, checkpoint.model.evidence_dim)
    model, spec = with_head(checkpoint, head, outcome, config["seed"])
    share, seed = config["task"]["validation_fraction"], derive(config["seed"], "validation", outcome.name)
    labels = outcome_labels(store, outcome)[rows]
    task = TuningTask(
        outcome=outcome,
        reader=reader,
        rows=rows,
        groups=pd.factorize(inner_groups(store.visits, together, train=rows))[0],
        cut=partial(hold_out, store, rows, share=share, seed=seed, labels=labels, together=together),
        config=config,
        run_dir=run_dir,
        pool=pool,
    )
    return model, spec, build(config["adaptation"]).fit(model, task)


def _as_measured(space: FeatureSpace, store: OmicsStore) -> FeatureSpace:
    """The space with the panel of the store that the head learnt from: a cohort to predict must have half of that."""
    return space.with_panel(store.inputs[space.modality].features) if space.modality in store.inputs else space


def with_head(
    checkpoint: Checkpoint, head: Mapping[str, Any], outcome: OutcomeSpec, seed: int
) -> tuple[Any, dict[str, Any]]:
    """A copy of the checkpoint's model with one new head, and its spec."""
    spec = {**checkpoint.model_spec, "heads": {outcome.name: dict(head)}}
    model = build_model(spec, seed=seed, purpose=f"head {outcome.name}")
    pretrained = {n: t for n, t in checkpoint.model.state_dict().items() if not n.startswith("heads.")}
    model.load_state_dict({**model.state_dict(), **pretrained})
    return model, spec
