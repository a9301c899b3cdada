"""A large sparse cohort on disk, generated block by block: an .h5ad of counts, a table of visits and a COHORT.yaml."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import sparse

GENES = 20_000
STORED = 1_525
"""Mean non-zero genes of a visit, as in shallow single-cell data."""
BLOCK = 10_000  # visits
VISITS_EACH = 5
TICKETS = 1 << 20
"""Draws of a gene are from so many tickets, which popular genes hold more of."""

YAML = """\
name: sparse
visits: {{path: visits.csv, key: sample, participant_id: participant, visit: visit, time_days: day}}
modalities:
  transcriptome: {{path: {matrix}, namespace: ensembl_gene, scale: counts}}
outcomes:
  ill: {{kind: class, column: ill, level: visit}}
"""


def write_cohort(folder: Path, visits: int, *, compression: str | None = None, seed: int = 0) -> Path:
    """Write the cohort into ``folder`` and return its COHORT.yaml. Memory does not grow with ``visits``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    _write_visits(folder / "visits.csv", visits, rng)
    _write_matrix(folder / "counts.h5ad", visits, compression, rng)
    cohort = folder / "COHORT.yaml"
    cohort.write_text(YAML.format(matrix="counts.h5ad"))
    return cohort


def blocks(visits: int, rng: np.random.Generator) -> Iterator[sparse.csr_matrix]:
    """Counts of consecutive visits: power-law popularity of genes, log-normal depth of visits."""
    popularity = rng.permutation(np.arange(1, GENES + 1) ** -0.6)
    ends = np.rint(np.cumsum(popularity) / popularity.sum() * TICKETS).astype(np.int64)
    tickets = np.repeat(np.arange(GENES, dtype=np.int32), np.diff(ends, prepend=0))
    for start in range(0, visits, BLOCK):
        rows = min(BLOCK, visits - start)
        # Draws with replacement repeat popular genes: 1.167 draws for each gene that is left.
        draws = np.maximum(1, rng.lognormal(-0.125, 0.5, size=rows) * STORED * 1.167).astype(int)
        genes = tickets[rng.integers(TICKETS, size=draws.sum(), dtype=np.int32)]
        ends_of_rows = np.concatenate([[0], np.cumsum(draws)]).astype(np.int32)
        block = sparse.csr_matrix((np.ones(len(genes), np.float32), genes, ends_of_rows), shape=(rows, GENES))
        block.sum_duplicates()
        block.data[:] = rng.geometric(0.6, size=block.nnz)
        yield block


def _write_visits(path: Path, visits: int, rng: np.random.Generator) -> None:
    with path.open("w") as stream:
        stream.write("sample,participant,visit,day,ill\n")
        for number in range(visits):
            person, visit = divmod(number, VISITS_EACH)
            stream.write(f"S{number:08d},P{person:07d},V{visit},{visit * 1825},{rng.random() < 0.3:d}\n")


def _write_matrix(path: Path, visits: int, compression: str | None, rng: np.random.Generator) -> None:
    import anndata
    import h5py
    import pandas as pd

    names = pd.Index([f"S{number:08d}" for number in range(visits)])
    genes = pd.Index([f"ENSG{number:011d}" for number in range(1, GENES + 1)])
    empty = sparse.csr_matrix((visits, GENES), dtype=np.float32)
    anndata.AnnData(empty, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes)).write_h5ad(path)
    with h5py.File(path, "a") as file:
        group = file["X"]
        for name in ("data", "indices", "indptr"):
            del group[name]
        growing = {"maxshape": (None,), "chunks": (1 << 18,), "compression": compression}
        data = group.create_dataset("data", (0,), "f4", **growing)
        indices = group.create_dataset("indices", (0,), "i4", **growing)
        bounds = [np.zeros(1, np.int64)]
        for block in blocks(visits, rng):
            end = len(data) + block.nnz
            for array, new in ((data, block.data), (indices, block.indices)):
                array.resize((end,))
                array[end - block.nnz :] = new
            bounds.append(end - block.nnz + block.indptr[1:].astype(np.int64))
        group.create_dataset("indptr", data=np.concatenate(bounds))
