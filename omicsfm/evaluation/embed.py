"""Embeddings of every visit of a store as an AnnData file, for scanpy and whatever else reads one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import omicsfm
from omicsfm.checkpoint import Checkpoint
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.evaluation.matching import match_features
from omicsfm.inference import embed, reader_for
from omicsfm.origin import code_commit

KEY = "omicsfm"  # of .uns, by which a file of ours is known


def require_writable(out: Path) -> None:
    """Refuse an ``out`` that is no .h5ad name, or an existing file that is no embedding of ours.

    Raises:
        InputError: Which of the two.
    """
    if out.suffix != ".h5ad":
        raise InputError(f"--out {out}: an embedding is written as .h5ad. Give a name that ends so.")
    if out.exists() and not holds(out, KEY):
        raise InputError(
            f"--out {out}: exists and is not an embedding by omicsfm; it is left alone. Name another file."
        )


def embedding_data(checkpoint: Checkpoint, store: OmicsStore) -> Any:
    """AnnData: X is the embedding [visits, embedding], obs the store's visits, uns where both came from.

    ``obs`` also says of each visit which modalities were measured (``measured_<modality>``), and whether the
    checkpoint saw the participant in training (``seen_in_training``). A visit with nothing measured has the
    embedding of nothing.

    Raises:
        InputError: The store shares no modality with the checkpoint, or too few features.
    """
    from anndata import AnnData

    features = match_features(checkpoint, store)
    rows = np.arange(len(store))
    embedding = embed(checkpoint.model, reader_for(checkpoint, store), rows)
    obs = visit_table(checkpoint, store)
    origin = {
        "checkpoint": checkpoint.provenance["digest"],
        "store": store.name,
        "store_fingerprint": store.fingerprint,
        "omicsfm": omicsfm.__version__,
        "commit": code_commit() or "unknown",
        "features": {name: {key: float(value) for key, value in entry.items()} for name, entry in features.items()},
    }
    var = pd.DataFrame(index=[f"embedding_{place}" for place in range(embedding.shape[1])])
    return AnnData(X=embedding.astype(np.float32), obs=obs, var=var, uns={KEY: origin})


def visit_table(checkpoint: Checkpoint, store: OmicsStore) -> pd.DataFrame:
    """The store's visits as annotated data keeps them, with what was measured and whether training saw the person."""
    obs = pd.DataFrame({str(name): _writable(column) for name, column in store.visits.items()})
    for name in checkpoint.features:
        measured = store.inputs[name].rows if name in store.inputs else np.zeros(0, dtype=np.int64)
        obs[f"measured_{name}"] = np.isin(np.arange(len(store)), measured)
    ids = obs["participant_id"].astype(str)
    people = ids.unique()
    saw = dict(zip(people, checkpoint.saw(people.tolist(), store.people), strict=True))
    obs["seen_in_training"] = ids.map(saw).to_numpy(dtype=bool)
    obs.index = pd.Index(ids + "/" + obs["visit"].astype(str), name="participant_visit")
    return obs


def write_embeddings(checkpoint: Checkpoint, store: OmicsStore, out: Path) -> tuple[int, int]:
    """Write ``embedding_data`` to ``out`` under a temporary name, then rename it; returns visits and dimensions."""
    require_writable(out)
    data = embedding_data(checkpoint, store)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    try:
        data.write_h5ad(partial)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return data.n_obs, data.n_vars


def _writable(column: pd.Series) -> pd.Series:
    """Text as anndata writes it with gaps: categories of a column, plain text of a key."""
    if column.name in ("participant_id", "visit"):
        return column.astype(str)
    if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        text = column.astype(object).where(column.notna(), None).map(str, na_action="ignore")
        return text.astype("category")
    return column


def holds(file: Path, key: str) -> bool:
    """Whether it is annotated data with this entry in ``uns``, which says that we wrote it."""
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            return f"uns/{key}" in opened
    except OSError:
        return False
