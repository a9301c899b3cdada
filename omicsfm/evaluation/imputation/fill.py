"""A store's visits with every value that a checkpoint knows of, measured or imputed, as one .h5mu.

.obs                            the store's visits, as in an embedding
.mod[NAME].X                    every visit, on the model's scale (a logarithm, then a robust z): the measured value,
                                or the mean of what the model says of it; NaN for a visit without any measurement
.mod[NAME].layers["imputed"]    where the value was not measured
.uns["omicsfm_imputation"]      checkpoint, store and how much was imputed
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

import omicsfm
from omicsfm.checkpoint import Checkpoint
from omicsfm.data.collate import BatchReader
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.evaluation.embed import holds, visit_table
from omicsfm.evaluation.matching import match_features
from omicsfm.inference import reader_for
from omicsfm.origin import code_commit

KEY = "omicsfm_imputation"
BATCH = 64


def write_filled(checkpoint: Checkpoint, store: OmicsStore, out: Path) -> dict[str, float]:
    """Write ``out`` under a temporary name, then rename it; returns the share of each modality that was imputed.

    Raises:
        InputError: ``out`` exists and is none of ours, or the store shares too little with the checkpoint.
    """
    if out.exists() and not holds(out, KEY):
        raise InputError(f"--out {out}: exists and is no imputation by omicsfm; it is left alone. Name another file.")
    data, shares = filled_data(checkpoint, store)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.stem}.partial.h5mu")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mudata's advice to its own users
            data.write_h5mu(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return shares


def filled_data(checkpoint: Checkpoint, store: OmicsStore) -> tuple[Any, dict[str, float]]:
    """MuData as the module says, and the share of each modality's values that was imputed."""
    import anndata
    import mudata
    import pandas as pd

    match_features(checkpoint, store)
    obs, reader = visit_table(checkpoint, store), reader_for(checkpoint, store)
    rows = np.arange(len(store))
    inputs = [store.inputs[name].rows for name in checkpoint.features if name in store.inputs]
    known = np.isin(rows, np.concatenate(inputs))
    modalities, shares = {}, {}
    for name, space in checkpoint.features.items():
        values = np.full((len(rows), len(space)), np.nan, dtype=np.float32)
        if name in store.inputs:
            values = reader.values(name, rows)[0]
        missing = np.isnan(values)
        values = np.where(missing, _said(checkpoint, reader, name, rows), values)
        values[~known] = np.nan
        modalities[name] = anndata.AnnData(
            X=values.astype(np.float32),
            obs=pd.DataFrame(index=obs.index),
            var=pd.DataFrame(index=pd.Index(space.ids, name="feature_id").astype(str)),
            layers={"imputed": missing & known[:, None]},
        )
        shares[name] = float((missing & known[:, None]).mean())
    with warnings.catch_warnings(), mudata.set_options(pull_on_update=False):
        warnings.simplefilter("ignore")
        data = mudata.MuData(modalities)
        data.obs = obs
    data.uns[KEY] = {
        "checkpoint": checkpoint.provenance["digest"],
        "store": store.name,
        "store_fingerprint": store.fingerprint,
        "omicsfm": omicsfm.__version__,
        "commit": code_commit() or "unknown",
        "imputed": shares,
    }
    return data, shares


@torch.inference_mode()
def _said(
    checkpoint: Checkpoint, reader: BatchReader, modality: str, rows: np.ndarray
) -> Float[np.ndarray, "visits features"]:
    """The model's mean for every feature of the modality, from everything measured at the visit."""
    model, parts = checkpoint.model.eval(), []
    features = torch.arange(len(checkpoint.features[modality]))
    for start in range(0, len(rows), BATCH):
        batch = reader.read(rows[start : start + BATCH])
        said = model.decode(model.encode(batch), modality, features.expand(len(batch), -1))
        parts.append(said.mean.float().numpy())
    return np.concatenate(parts)
