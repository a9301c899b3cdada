"""The matrices of the loader suite, made once and kept: ``python -m benchmarks.loader_data FOLDER VISITS``.

20,000 genes whose popularity follows a power law, cells whose depth is log-normal: 1,540 values above zero in the mean
(1 % below 590, 99 % below 3,370), as counts. Half as many visits have a proteome of 3,000 values.
"""

import shutil
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from numba import njit
from scipy import sparse

from omicsfm.data.store import Matrix, write_store
from omicsfm.features import FeatureSpace

GENES, PROTEINS = 20_000, 3_000
DEPTH, SPREAD, STEEPNESS = 1820.0, 0.42, -0.8
SEED = 0


@njit(cache=True)
def _draw(chance, depth, indices, data, counts):  # type: ignore[no-untyped-def]
    """Fill ``indices`` and ``data`` row after row; a gene is above zero with probability chance x depth."""
    place = 0
    for row in range(len(depth)):
        state = np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(29)
        for gene in range(len(chance)):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            draw = np.float32(state >> np.uint64(40)) * np.float32(2**-24)
            expected = chance[gene] * depth[row]
            if draw < min(expected, np.float32(0.98)):
                indices[place] = gene
                data[place] = 1 + np.int64(expected) + np.int64(state >> np.uint64(61))
                place += 1
        counts[row] = place
    return place


def counts(visits: int) -> sparse.csr_matrix:
    """The transcriptome."""
    generator = np.random.default_rng(SEED)
    chance = generator.permutation(np.arange(1, GENES + 1) ** STEEPNESS)
    chance = (chance / chance.sum() * DEPTH).astype(np.float32)
    depth = generator.lognormal(0, SPREAD, visits).astype(np.float32)
    room = visits * 1_800
    indices, data, bounds = np.empty(room, np.int32), np.empty(room, np.float32), np.zeros(visits + 1, np.int64)
    stored = _draw(chance, depth, indices, data, bounds[1:])
    return sparse.csr_matrix((data[:stored], indices[:stored], bounds), shape=(visits, GENES))


def make(folder: Path, visits: int) -> None:
    """Write ``cells.h5ad``, the stores ``all`` and ``quarter``, and checksums of their rows."""
    table = counts(visits)
    proteins = np.random.default_rng(SEED).standard_normal((visits // 2, PROTEINS), dtype=np.float32)
    _h5ad(folder / "cells.h5ad", table)
    _store(folder / "all", table, proteins)
    _store(folder / "quarter", table[: visits // 4], proteins[: visits // 8])
    weighted = table.data.astype(np.float64) * (table.indices + 1.0)
    np.save(folder / "transcriptome.npy", np.add.reduceat(weighted, table.indptr[:-1]))
    blocks = np.array_split(proteins, 50)
    np.save(folder / "proteome.npy", np.concatenate([block @ np.arange(1.0, PROTEINS + 1) for block in blocks]))


def _h5ad(path: Path, table: sparse.csr_matrix) -> None:
    obs = pd.DataFrame(index=[f"C{row}" for row in range(table.shape[0])])
    anndata.AnnData(table, obs=obs, var=pd.DataFrame(index=_ids("G", table.shape[1]))).write_h5ad(path)


def _store(path: Path, table: sparse.csr_matrix, proteins: np.ndarray) -> None:
    visits = table.shape[0]
    genes = FeatureSpace("transcriptome", tuple(_ids("G", GENES)), "local", "counts")
    proteome = FeatureSpace("proteome", tuple(_ids("P", PROTEINS)), "local", "log2")
    write_store(
        path,
        name="benchmark",
        visits=pd.DataFrame({"participant_id": _ids("S", visits), "visit": "1", "time_days": 0.0}),
        outcomes=pd.DataFrame(index=range(visits)),
        outcome_specs={},
        matrices={
            "transcriptome": Matrix(genes, np.arange(visits), table),
            "proteome": Matrix(proteome, np.arange(len(proteins)), proteins),
        },
    )


def _ids(letter: str, number: int) -> list[str]:
    return [f"{letter}{i}" for i in range(number)]


if __name__ == "__main__":
    target = Path(sys.argv[1])
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    make(partial, int(sys.argv[2]))
    partial.rename(target)
