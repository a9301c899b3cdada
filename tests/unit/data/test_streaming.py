"""Intake in blocks: the same store whatever their size, after a kill too, in memory that does not grow."""

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from omicsfm.data.ingest import attempt, hdf5_matrix, matrix_parts, progress, tables, tabular
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_writer import MatrixWriter
from omicsfm.errors import InputError

FEATURES = [f"F{n}" for n in range(7)]
N = 40


def values() -> np.ndarray:
    """Small whole numbers, many of them zero."""
    return np.random.default_rng(2).poisson(0.7, (N, len(FEATURES))).astype(np.float32)


def as_h5ad(kind: Callable[[np.ndarray], object]) -> Callable[[Path], dict]:
    def write(folder: Path) -> dict:
        obs = pd.DataFrame(index=[f"s{n:02d}" for n in ORDER])
        anndata.AnnData(kind(values()), obs, pd.DataFrame(index=FEATURES)).write_h5ad(folder / "m.h5ad")
        return {"path": "m.h5ad"}

    return write


def table() -> pd.DataFrame:
    return pd.DataFrame(values(), columns=FEATURES).assign(sample=[f"s{n:02d}" for n in ORDER])


def with_limits(frame: pd.DataFrame) -> pd.DataFrame:
    """One feature is below an unknown limit until the last rows, and one row holds nothing else."""
    frame = frame.astype({"F2": object})
    frame.loc[: N - 3, "F2"] = "<LOD"
    frame.loc[5, [name for name in FEATURES if name != "F2"]] = np.nan
    return frame


def as_csv(folder: Path) -> dict:
    with_limits(table()).to_csv(folder / "m.csv", index=False)
    return {"path": "m.csv", "below_limit": "<LOD"}


def as_parquet(folder: Path) -> dict:
    table().to_parquet(folder / "m.parquet", row_group_size=9)
    return {"path": "m.parquet"}


def as_columns(folder: Path) -> dict:
    with_limits(table()).set_index("sample").T.to_csv(folder / "m.tsv", sep="\t")
    return {"path": "m.tsv", "layout": "columns_are_visits", "below_limit": "<LOD"}


def as_parts(folder: Path) -> dict:
    table()[:15].drop(columns="F1").to_csv(folder / "a.csv", index=False)
    table()[15:].to_csv(folder / "b.csv", index=False)
    return {"path": ["a.csv", "b.csv"]}


ORDER = np.random.default_rng(5).permutation(N)
"""The matrices' rows stand in another order than the visits."""
FORMATS = {
    "csr": as_h5ad(sparse.csr_matrix),
    "csc": as_h5ad(sparse.csc_matrix),
    "dense": as_h5ad(np.asarray),
    "csv": as_csv,
    "parquet": as_parquet,
    "columns": as_columns,
    "parts": as_parts,
}


def write_cohort(folder: Path, modality: dict) -> Path:
    visits = pd.DataFrame({"sample": [f"s{n:02d}" for n in range(N)], "ill": np.arange(N) % 3 == 0})
    visits.to_csv(folder / "visits.csv", index=False)
    said = {
        "name": "small",
        "visits": {"path": "visits.csv", "key": "sample", "participant_id": "sample"},
        "modalities": {"assay": {"namespace": "local", "scale": "counts", **modality}},
        "outcomes": {"ill": {"kind": "class", "column": "ill", "level": "visit"}},
    }
    (folder / "COHORT.yaml").write_text(yaml.safe_dump(said))
    return folder / "COHORT.yaml"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of some three rows, transposed tables turned on disk, and everything remembered at once."""
    for module in (hdf5_matrix, tabular, matrix_parts):
        monkeypatch.setattr(module, "CELLS", 20)
    for module, name in ((hdf5_matrix, "GATHERED"), (tabular, "IN_MEMORY"), (tables, "CHUNK_CELLS")):
        monkeypatch.setattr(module, name, 20)
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0.0)
    for name in ("fsync", "fdatasync"):  # no test pulls the plug
        monkeypatch.setattr(os, name, lambda file: None)


@pytest.fixture(params=FORMATS)
def cohort(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_cohort(tmp_path, FORMATS[request.param](tmp_path))


def test_blocks_of_any_size_and_order_give_the_same_store(cohort: Path, request: pytest.FixtureRequest) -> None:
    whole = prepare(cohort, cohort.parent / "whole")
    request.getfixturevalue("small_blocks")
    blocks = prepare(cohort, cohort.parent / "blocks")
    assert blocks.fingerprint == whole.fingerprint
    assert blocks.manifest["modalities"] == whole.manifest["modalities"]
    assert blocks.manifest["source"] == whole.manifest["source"]
    read = whole.modalities["assay"].read(np.arange(N))[0]
    expected = pd.DataFrame(values(), index=ORDER).sort_index().to_numpy()
    plain = [n for n in range(7) if n not in (1, 2)]  # features that no format spoils
    read = read[:, [whole.modalities["assay"].features.index[FEATURES[n]] for n in plain]]
    measured = ~np.isnan(read)
    np.testing.assert_array_equal(read[measured], expected[:, plain][measured])
    assert measured.all(axis=1).sum() >= N - 1
    assert not [file for file in cohort.parent.iterdir() if file.name.startswith(".")]


def test_a_row_below_unknown_limits_only_counts_as_measured_once_a_limit_is_known(
    tmp_path: Path, small_blocks: None
) -> None:
    store = prepare(write_cohort(tmp_path, as_csv(tmp_path)), tmp_path / "store")
    read, below = store.modalities["assay"].read(np.array([int(ORDER[5])]))
    assert np.flatnonzero(below[0]).tolist() == [2]
    assert read[0, 2] == values()[-2:, 2].min()


@pytest.mark.parametrize("stop_at", [4, 12])
@pytest.mark.parametrize("kind", ["csr", "columns", "parts"])
def test_the_same_command_goes_on_where_it_was_stopped(
    tmp_path: Path, kind: str, small_blocks: None, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    cohort = write_cohort(tmp_path, FORMATS[kind](tmp_path))
    whole = prepare(cohort, cohort.parent / "whole")
    saves = 0
    save = progress.Progress.save

    def stopping(self: progress.Progress, step: str, arrays: dict[str, np.ndarray]) -> None:
        nonlocal saves
        saves += 1
        save(self, step, arrays)
        if saves == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "save", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare(cohort, cohort.parent / "store")
    assert not (cohort.parent / "store").exists()
    assert (cohort.parent / ".store.partial").exists()
    again = prepare(cohort, cohort.parent / "store")
    assert again.fingerprint == whole.fingerprint
    assert again.manifest["modalities"] == whole.manifest["modalities"]
    assert not (cohort.parent / ".store.partial").exists()


def test_what_was_written_is_not_written_again(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = write_cohort(tmp_path, FORMATS["csr"](tmp_path))
    written: list[int] = []
    write = MatrixWriter.write

    def counting(self: MatrixWriter, places: np.ndarray, *rest: object) -> None:
        if sum(written) >= N // 2 and len(written) < 1000:
            written.extend([0] * 1000)
            raise KeyboardInterrupt
        write(self, places, *rest)  # type: ignore[arg-type]
        written.append(len(places))

    monkeypatch.setattr(MatrixWriter, "write", counting)
    with pytest.raises(KeyboardInterrupt):
        prepare(cohort, tmp_path / "store")
    prepare(cohort, tmp_path / "store")
    assert sum(written) == N


def interrupt(writer: MatrixWriter) -> None:
    raise KeyboardInterrupt


def test_changed_inputs_start_over(tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = write_cohort(tmp_path, FORMATS["csv"](tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(MatrixWriter, "flush", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare(cohort, tmp_path / "store")
    changed = table()
    changed[FEATURES] += 1
    changed.to_csv(tmp_path / "m.csv", index=False)
    store = prepare(cohort, tmp_path / "store")
    assert store.fingerprint == prepare(cohort, tmp_path / "fresh").fingerprint


def test_a_refusal_after_a_while_leaves_nothing_behind(tmp_path: Path, small_blocks: None) -> None:
    spoiled = table()
    spoiled.loc[N - 1, "F3"] = -1.0
    spoiled.to_csv(tmp_path / "m.csv", index=False)
    cohort = write_cohort(tmp_path, {"path": "m.csv"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="1 of 280 values are negative"):
        prepare(cohort, tmp_path / "out" / "store")
    assert sorted(tmp_path.rglob("*")) == before


def test_two_commands_do_not_write_one_store(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path, FORMATS["csr"](tmp_path))
    first = progress.Progress(tmp_path / ".store.partial", "of another command")
    first.save("step", {})
    with pytest.raises(InputError, match="another omicsfm prepare is writing this store"):
        prepare(cohort, tmp_path / "store")
    assert first.saved("step") == {}
    first.release()
    prepare(cohort, tmp_path / "store")


def test_a_disk_that_is_too_small_is_noticed_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = write_cohort(tmp_path, FORMATS["dense"](tmp_path))
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr(
        attempt.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 100, "total": usage.f_blocks})
    )
    with pytest.raises(InputError, match=r"may take .* GB, but .* has 0\.0 GB free.*Make room"):
        prepare(cohort, tmp_path / "store")


def test_a_disk_that_fills_up_keeps_what_was_done(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = write_cohort(tmp_path, FORMATS["csr"](tmp_path))
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(MatrixWriter, "write", full)
        with pytest.raises(InputError, match=r"No space left on device.*run the same command again"):
            prepare(cohort, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    assert len(prepare(cohort, tmp_path / "store")) == N


def test_a_killed_process_leaves_nothing_at_the_final_name_and_the_next_one_goes_on(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path, FORMATS["csr"](tmp_path))
    slow = (
        "import sys, time; from pathlib import Path\n"
        "from omicsfm.data.ingest import hdf5_matrix, progress; from omicsfm.data.ingest.prepare import prepare\n"
        "from omicsfm.data.store_writer import MatrixWriter\n"
        "hdf5_matrix.CELLS = 20; progress.SAVE_SECONDS = 0.0\n"
        "write = MatrixWriter.write\n"
        "MatrixWriter.write = lambda *given: (time.sleep(0.2), write(*given))\n"
        f"prepare(Path({str(cohort)!r}), Path({str(tmp_path / 'store')!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", slow])
    begun = tmp_path / ".store.partial" / "progress" / "assay.write.npz"
    while not begun.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert begun.exists()
    assert not (tmp_path / "store").exists()
    assert prepare(cohort, tmp_path / "store").fingerprint == prepare(cohort, tmp_path / "fresh").fingerprint


def test_preparing_a_cohort_loads_neither_torch_nor_a_compiler() -> None:
    code = (
        "import sys, omicsfm.data.ingest.prepare, omicsfm.data.leakage.look\n"
        "print(sorted({'torch', 'numba', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_matrix, "CELLS", 100_000)
    rng = np.random.default_rng(0)

    def peak(rows: int) -> int:
        folder = tmp_path / str(rows)
        folder.mkdir()
        matrix = sparse.random_array((rows, 3000), density=0.1, format="csr", dtype=np.float32, rng=rng)
        matrix.data[:] = np.ceil(matrix.data * 9)
        names = [f"s{n:05d}" for n in range(rows)]
        anndata.AnnData(
            matrix, pd.DataFrame(index=names), pd.DataFrame(index=[f"g{n}" for n in range(3000)])
        ).write_h5ad(folder / "m.h5ad")
        del matrix
        cohort = write_cohort(folder, {"path": "m.h5ad"})
        pd.DataFrame({"sample": names, "ill": np.arange(rows) % 3 == 0}).to_csv(folder / "visits.csv", index=False)
        tracemalloc.start()
        prepare(cohort, folder / "store")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(100)  # what is made once
    small, large = peak(6000), peak(18_000)  # more visits than the search for leaks looks at
    visits = 12_000 * 1200  # bytes that their table may take while it is read; their part of the matrix is twice that
    assert large < small + visits, (small, large)


def test_a_log_line_says_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    prepare(write_cohort(tmp_path, FORMATS["csr"](tmp_path)), tmp_path / "store")
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("check assay: ")
    assert said[-1] == f"write assay: {2 * N} of {2 * N} rows"


def test_a_store_opens_with_its_kinds_of_arrays(tmp_path: Path) -> None:
    store = OmicsStore.open(prepare(write_cohort(tmp_path, FORMATS["csr"](tmp_path)), tmp_path / "store").path)
    indices = np.load(store.path / "modalities" / "assay" / "indices.npy", mmap_mode="r")
    assert indices.dtype == np.uint16  # seven features fit in two bytes
