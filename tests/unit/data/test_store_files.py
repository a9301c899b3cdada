"""A store that was edited by hand is noticed: what is cheap when it is opened, every byte by ``inspect``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.data.store_files import check_all_files, sealed
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace


@pytest.fixture
def store(tmp_path: Path) -> OmicsStore:
    dense = np.arange(8, dtype=np.float32).reshape(4, 2)
    return write_store(
        tmp_path / "store",
        name="small",
        visits=pd.DataFrame({"participant_id": list("abcd"), "visit": "1", "time_days": 0.0}),
        outcomes=pd.DataFrame({"severe": ["no", "yes", "no", None]}),
        outcome_specs={"severe": OutcomeSpec("severe", "class", classes=("no", "yes"))},
        matrices={
            "proteome": Matrix(FeatureSpace("proteome", ("P1", "P2"), "local", "log2"), np.arange(4), dense, dense > 6),
            "transcriptome": Matrix(
                FeatureSpace("transcriptome", ("g1", "g2", "g3"), "local", "counts"),
                np.array([0, 3]),
                sparse.csr_matrix(np.eye(2, 3, dtype=np.float32)),
            ),
        },
    )


def edit(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    """Rewrite a table of the store."""
    return lambda path: change(pd.read_parquet(path / name)).to_parquet(path / name)


def replace(name: str, array: np.ndarray) -> Callable[[Path], None]:
    """Put another array in the place of one of the store."""
    return lambda path: np.save(path / "modalities" / name, array)


def write(name: str, content: bytes) -> Callable[[Path], None]:
    """Put bytes in the place of an array."""

    def change(path: Path) -> None:
        (path / "modalities" / name).write_bytes(content)

    return change


def say(**changes: object) -> Callable[[Path], None]:
    """Edit a modality's entry in the manifest, as with a text editor."""

    def change(path: Path) -> None:
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["modalities"]["proteome"].update(changes)
        (path / "manifest.json").write_text(json.dumps(manifest))

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (say(scale="raw"), "manifest.json is not as it was written"),
        (say(features=1), "manifest.json is not as it was written"),
        (edit("visits.parquet", lambda t: t.iloc[::-1]), "changed after it was written: visits.parquet"),
        (edit("outcomes.parquet", lambda t: t.assign(severe="no")), "outcomes.parquet"),
        (
            edit("modalities/proteome/features.parquet", lambda t: t.iloc[::-1]),
            "modalities/proteome/features.parquet",
        ),
        (replace("proteome/values.npy", np.ones((4, 3), np.float32)), "holds 4 x 3 of float32, expected 4 x 2"),
        (replace("proteome/values.npy", np.ones((4, 2), np.complex64)), "holds 4 x 2 of complex64"),
        (replace("proteome/below_limit.npy", np.ones((2, 2), bool)), "modalities/proteome/below_limit.npy"),
        (replace("proteome/rows.npy", np.array([0, 1, 2, 9])), "names visits 0 to 9 of 4"),
        (replace("transcriptome/indptr.npy", np.array([0, 1, 7])), "modalities/transcriptome/indices.npy"),
        (replace("transcriptome/indptr.npy", np.array([0, 2])), "modalities/transcriptome/indptr.npy"),
        (replace("transcriptome/data.npy", np.array([{}, {}])), "the store is damaged"),
        (write("proteome/values.npy", b"\x93NUMPY\x01\x00\x04\x00{'a("), "proteome/values.npy: the store is damaged"),
        (write("proteome/values.npy", b""), "proteome/values.npy: the store is damaged"),
        (lambda path: (path / "modalities/proteome/values.npy").unlink(), "proteome/values.npy is missing"),
        (lambda path: (path / "manifest.json").write_text("[]"), "the store is damaged"),
        (lambda path: (path / "manifest.json").write_text("{"), "the store is damaged"),
    ],
)
def test_an_edit_that_changes_meaning_or_shape_is_noticed_when_the_store_is_opened(
    store: OmicsStore, change: Callable[[Path], None], expected: str
) -> None:
    change(store.path)
    with pytest.raises(InputError) as caught:
        OmicsStore.open(store.path)
    assert expected in str(caught.value)


def test_one_changed_value_is_noticed_when_every_byte_is_looked_at(store: OmicsStore) -> None:
    check_all_files(store.path, store.manifest)
    values = np.load(store.path / "modalities/proteome/values.npy")
    values[2, 1] += 1
    np.save(store.path / "modalities/proteome/values.npy", values)
    opened = OmicsStore.open(store.path)
    with pytest.raises(InputError, match=r"changed after it was written: modalities/proteome/values\.npy"):
        check_all_files(opened.path, opened.manifest)


def test_the_seal_covers_every_value_and_not_their_order() -> None:
    manifest = {"b": {"y": 1.5, "x": None}, "a": [1, "é"]}
    assert sealed(manifest)["checksum"] == sealed(dict(reversed(manifest.items())))["checksum"]
    assert sealed(manifest | {"a": [1, "e"]})["checksum"] != sealed(manifest)["checksum"]
