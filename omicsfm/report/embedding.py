"""The map of the visits as the model sees them: two UMAP coordinates each, coloured by what we know of them.

``OUT/embedding.parquet`` has the columns participant_id, visit, umap_1, umap_2 and those to colour by, such as the
outcome and the site; ``write_embedding`` makes it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from omicsfm.report.read import write_table
from omicsfm.report.style import MUTED, PALE, SERIES, draw

FEWEST_FOR_UMAP = 10  # its neighbour graph has no meaning under that
PLACE = ("participant_id", "visit", "umap_1", "umap_2")


def umap_of(
    embedding: Float[np.ndarray, "visits embedding"] | Float32[np.ndarray, "visits embedding"], *, seed: int = 0
) -> Float[np.ndarray, "visits 2"]:
    """Two UMAP coordinates per visit, by scanpy; the two first principal components under ten visits."""
    embedding = np.asarray(embedding, dtype=np.float64)
    if len(embedding) < FEWEST_FOR_UMAP:
        centred = embedding - embedding.mean(axis=0)
        u, s, _ = np.linalg.svd(np.pad(centred, ((0, 2), (0, 2))), full_matrices=False)
        return (u[:, :2] * s[:2])[: len(embedding)]
    import warnings

    with warnings.catch_warnings():  # scanpy and umap warn of each other's coming changes and of running on one thread
        warnings.simplefilter("ignore")
        import anndata
        import scanpy

        cohort = anndata.AnnData(embedding.astype(np.float32))
        scanpy.pp.neighbors(cohort, n_neighbors=min(15, len(embedding) - 1), use_rep="X", random_state=seed)
        # spectral initialisation needs more points than it solves for
        start = "spectral" if len(embedding) >= 50 else "random"
        scanpy.tl.umap(cohort, random_state=seed, init_pos=start)
    return np.asarray(cohort.obsm["X_umap"], dtype=np.float64)


def embedding_table(
    embedding: Float[np.ndarray, "visits embedding"] | Float32[np.ndarray, "visits embedding"],
    *,
    visits: pd.DataFrame,
    colours: pd.DataFrame,
    seed: int = 0,
) -> pd.DataFrame:
    """The rows of ``embedding.parquet``; ``visits`` and ``colours`` are in the order of the embedding."""
    place = umap_of(embedding, seed=seed)
    table = visits[["participant_id", "visit"]].reset_index(drop=True)
    table["umap_1"], table["umap_2"] = place[:, 0], place[:, 1]
    return table.join(colours.reset_index(drop=True))


def write_embedding(
    out: Path,
    embedding: Float[np.ndarray, "visits embedding"] | Float32[np.ndarray, "visits embedding"],
    *,
    visits: pd.DataFrame,
    colours: pd.DataFrame,
    seed: int = 0,
) -> Path:
    """Write ``out/embedding.parquet`` and return its path; arguments as for ``embedding_table``."""
    table = embedding_table(embedding, visits=visits, colours=colours, seed=seed)
    return write_table(table, out / "embedding.parquet")


def embedding_plot(table: pd.DataFrame, column: str, *, least: int, name: str) -> str | None:
    """UMAP coloured by one column. Groups of fewer than ``least`` participants are drawn together as 'other'.

    None where fewer than ``least`` participants have a value, or no group is that large.
    """
    table = table.dropna(subset=[column])
    if table["participant_id"].nunique() < least:
        return None
    values = table[column]
    graded = pd.api.types.is_numeric_dtype(values) and values.nunique() > len(SERIES)
    if not graded:
        people = table.groupby(values.astype(str))["participant_id"].nunique().sort_values(ascending=False)
        named = sorted(label for label in people.index[: len(SERIES)] if people[label] >= least)
        if not named:
            return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        size = float(np.clip(9000 / len(table), 4, 26))
        if graded:
            low, high = np.quantile(values, [0.02, 0.98])  # the ends of the scale are no one person's values
            x, y = table["umap_1"], table["umap_2"]
            dots = axes.scatter(x, y, c=values, s=size, cmap="cividis", linewidths=0, vmin=low, vmax=high)
            figure.colorbar(dots, ax=axes, shrink=0.6, label=column).outline.set_visible(False)
        else:
            label = values.astype(str)
            rest = table[~label.isin(named)]
            if len(rest):
                axes.scatter(rest["umap_1"], rest["umap_2"], s=size, color=PALE, linewidths=0, label="other")
            for place, group in enumerate(named):
                own = table[label == group]
                x, y, colour = own["umap_1"], own["umap_2"], SERIES[place]
                axes.scatter(x, y, s=size, color=colour, alpha=0.75, linewidths=0, label=group)
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9.5, markerscale=1.8, handletextpad=0.1)
        axes.set_title(f"Coloured by {column}")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("UMAP 1", color=MUTED, fontsize=9, loc="left")
        axes.set_ylabel("UMAP 2", color=MUTED, fontsize=9, loc="bottom")
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)

    alt = f"Map (UMAP) of {len(table):,} visits as the model sees them, coloured by {column}."
    return draw(paint, alt=alt, name=name, width=5.4, height=4.0)
