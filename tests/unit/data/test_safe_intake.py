"""A file that reaches outside itself, or asks for more memory than it holds, is refused from its headers alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.hostile.hdf5_files import CRAFTED
from omicsfm.data.ingest import inflation
from omicsfm.data.ingest.cohort_source import read_cohort
from omicsfm.data.ingest.hdf5 import check_hdf5
from omicsfm.data.ingest.progress import key_of
from omicsfm.data.ingest.tables import header_of
from omicsfm.errors import InputError

SAID = {
    "external_storage": "/X is stored in another file",
    "external_link": "/X is a link to 'other.h5'",
    "declares_32_gb": "/X declares 32.0 GB",
    "soft_link": "/X is a link to '/obs'",
    "linked_group": "/obs is a link to 'other.h5ad'",
    "virtual_dataset": "/X is stored in another file",
    "vlen_numbers": "/X holds objects",
    "references": "/X holds objects",
    "opaque": "/X holds objects",
    "objects_in_records": "/obs holds objects",
    "one_huge_chunk": "/X declares 3.6 GB",
    "many_empty_layers": "the file declares",
    "one_layer_at_many_places": "the file declares",
    "group_in_itself": "/uns/again stands at two places",
    "doubling_groups": "stands at two places",
    "deep_groups": "lies more than 32 deep",
    "many_entries": "has 100,0",
    "edited_link": "/uns/elsewhere is a link to '../../etc/passwd'",
}


@pytest.mark.parametrize(("name", "craft"), CRAFTED.items())
def test_a_crafted_h5ad_is_refused_from_its_headers(name: str, craft: Callable[[Path], None], tmp_path: Path) -> None:
    craft(tmp_path / "x.h5ad")
    with pytest.raises(InputError) as caught:
        check_hdf5(tmp_path / "x.h5ad")
    assert SAID[name] in str(caught.value)
    assert "x.h5ad: " in str(caught.value)


def test_what_anndata_writes_passes(tmp_path: Path) -> None:
    obs = pd.DataFrame(
        {"c": pd.Categorical(["a", None, "b"]), "n": pd.array([1, None, 3]), "b": pd.array([True, None, False])},
        index=["r1", "r2", "r3"],
    )
    table = anndata.AnnData(sparse.csr_matrix(np.eye(3, dtype=np.float32)), obs, uns={"deep": {"er": np.arange(3)}})
    table.layers["dense"] = np.zeros((3, 3), bool)
    table.write(tmp_path / "x.h5ad", compression="gzip")
    check_hdf5(tmp_path / "x.h5ad")


def test_a_parquet_table_of_more_cells_than_its_bytes_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.DataFrame({"a": np.zeros(100_000)}).to_parquet(tmp_path / "m.parquet")
    assert header_of(tmp_path / "m.parquet") == ["a"]
    monkeypatch.setattr(inflation, "ALWAYS_FINE", 1000)
    monkeypatch.setattr(inflation, "MAX_INFLATION", 10)
    with pytest.raises(InputError, match=r"m\.parquet: the table declares"):
        header_of(tmp_path / "m.parquet")


@pytest.mark.parametrize("said", ["[" * 5000, "[" * 40 + "]" * 40, json.dumps([[0] * 1000] * 101)])
def test_a_mapping_inside_a_file_is_bounded_too(tmp_path: Path, said: str) -> None:
    obs = pd.DataFrame({"participant_id": ["a"], "visit": ["1"], "time_days": [0.0]}, index=["r"])
    anndata.AnnData(np.ones((1, 1), np.float32), obs, uns={"omicsfm": said}).write(tmp_path / "x.h5ad")
    with pytest.raises(InputError, match=r"x\.h5ad: \.uns\['omicsfm'\]"):
        read_cohort(tmp_path / "x.h5ad")


def test_a_file_that_carries_its_mapping_names_no_other_file(tmp_path: Path) -> None:
    obs = pd.DataFrame({"participant_id": ["a"], "visit": ["1"], "time_days": [0.0]}, index=["r"])
    said = {"modalities": {"proteome": {"namespace": "local", "scale": "log2", "path": "/etc/passwd"}}}
    anndata.AnnData(np.ones((1, 1), np.float32), obs, uns={"omicsfm": json.dumps(said)}).write(tmp_path / "x.h5ad")
    with pytest.raises(InputError, match="found path '/etc/passwd' in a file that holds its own mapping"):
        read_cohort(tmp_path / "x.h5ad")


def test_a_zarr_folder_is_told_how_to_become_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"read_zarr\(FOLDER\)\.write_h5ad\(FILE\)"):
        read_cohort(tmp_path / "x.zarr")
    (tmp_path / "m.zarr").mkdir()
    with pytest.raises(InputError, match=r"m\.zarr: is a folder.*read_zarr\(FOLDER\)\.write_h5ad\(FILE\)"):
        key_of("", [tmp_path / "m.zarr"])


CHILD = """
import os, signal, sys
from pathlib import Path
from omicsfm.data.ingest import rehearsal
from omicsfm.errors import InputError

def crash(path): os.kill(os.getpid(), signal.SIGSEGV)
def hang(path):
    while True: pass

rehearsal.check_hdf5 = {"crash": crash, "hang": hang}.get(sys.argv[2], rehearsal.check_hdf5)
rehearsal.SECONDS = 3
try:
    rehearsal.rehearse(Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("how", "expected"), [("crash", "crashed (signal 11)"), ("hang", "did not end within 3 s of work"), ("read", "")]
)
def test_a_library_that_crashes_or_hangs_on_a_file_is_a_message(tmp_path: Path, how: str, expected: str) -> None:
    anndata.AnnData(np.ones((2, 2), np.float32)).write(tmp_path / "x.h5ad")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "x.h5ad"), how]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    assert expected in said
    assert bool(said) == bool(expected)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the bound is Linux's")
@pytest.mark.parametrize("name", ["external_storage", "external_link", "declares_32_gb"])
def test_the_console_script_refuses_a_crafted_file_within_200_mb(name: str, tmp_path: Path) -> None:
    CRAFTED[name](tmp_path / "x.h5ad")
    bounded = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (200_000_000, 200_000_000)); "
        "from omicsfm.cli import main; main(['prepare', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", bounded, str(tmp_path / "x.h5ad"), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: x.h5ad: ")
    assert SAID[name] in done.stderr
    assert not (tmp_path / "store").exists()
