"""OmicsStore: what is written comes back, and a damaged or foreign folder is told apart."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import FORMAT, Matrix, OmicsStore, write_store
from omicsfm.data.stored_matrix import PackedRows
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace

PROTEINS = np.array([[1.5, np.nan], [2.5, 0.0]], dtype=np.float32)
COUNTS = np.array([[0, 3, 0], [7, 0, 1], [0, 0, 2]], dtype=np.float32)


def write(path: Path, name: str = "tiny", proteins: np.ndarray = PROTEINS) -> OmicsStore:
    """Three visits of two participants: counts at all of them, proteins at visits 0 and 2."""
    return write_store(
        path,
        name=name,
        visits=pd.DataFrame(
            {"participant_id": ["a", "a", "b"], "visit": ["1", "2", "1"], "time_days": [0.0, 365.0, 0.0]}
        ),
        outcomes=pd.DataFrame(
            {"severe": ["no", None, "yes"], "death.time_days": [10.0, 10.0, np.nan], "death.event": [1.0, 1.0, np.nan]}
        ),
        outcome_specs={
            "severe": OutcomeSpec("severe", "class", classes=("no", "yes")),
            "death": OutcomeSpec("death", "survival", level="participant"),
        },
        matrices={
            "proteome": Matrix(
                FeatureSpace("proteome", ("P01375", "P05231"), "uniprot", "log2", "olink"),
                np.array([0, 2]),
                proteins,
                np.array([[True, False], [False, False]]),
            ),
            "transcriptome": Matrix(
                FeatureSpace("transcriptome", ("g1", "g2", "g3"), scale="counts"),
                np.arange(3),
                sparse.csr_matrix(COUNTS),
            ),
        },
        subgroups=("sex",),
        policy={"purposes": ["research"]},
    )


@pytest.fixture
def store(tmp_path: Path) -> OmicsStore:
    return write(tmp_path / "store")


def test_dense_values_and_limits_come_back_in_the_order_asked_for(store: OmicsStore) -> None:
    values, below = store.modalities["proteome"].read(np.array([2, 1, 0]))
    np.testing.assert_array_equal(values, [[2.5, 0.0], [np.nan, np.nan], [1.5, np.nan]])
    np.testing.assert_array_equal(below, [[False, False], [False, False], [True, False]])
    assert values.dtype == np.float32


def test_an_entry_that_a_sparse_matrix_does_not_store_is_a_measured_zero(store: OmicsStore) -> None:
    values, below = store.modalities["transcriptome"].read(np.array([1, 0]))
    np.testing.assert_array_equal(values, COUNTS[[1, 0]])
    assert not below.any()


def test_rows_that_are_read_past_the_map_are_those_of_the_map(store: OmicsStore) -> None:
    np.testing.assert_array_equal(store.modalities["proteome"].read_once(np.array([2, 0])), PROTEINS[[1, 0]])
    packed = store.modalities["transcriptome"].read_once(np.array([1, 2, 0]))
    assert isinstance(packed, PackedRows)
    assert packed.offsets.tolist() == [0, 2, 3, 4]
    assert packed.feature_ids.tolist() == [0, 2, 2, 1]
    assert packed.values.tolist() == [7, 1, 2, 3]


def test_features_outcomes_and_counts_come_back(store: OmicsStore) -> None:
    features = store.modalities["proteome"].features
    assert features == FeatureSpace("proteome", ("P01375", "P05231"), "uniprot", "log2", "olink")
    assert store.outcome("severe").classes == ("no", "yes")
    assert store.outcome("death").level == "participant"
    assert store.outcome_observed("severe").tolist() == [True, False, True]
    assert store.outcome_observed("death").tolist() == [True, True, False]
    assert (store.manifest["participants"], store.manifest["visits"], len(store)) == (2, 3, 3)
    assert store.manifest["modalities"]["proteome"]["missing"] == 1
    assert store.manifest["modalities"]["proteome"]["below_limit"] == 1
    assert store.participant_number.tolist() == [0, 0, 1]


def test_values_are_mapped_and_not_loaded(store: OmicsStore) -> None:
    assert isinstance(store.modalities["proteome"]._values.array.base, np.memmap)


def test_the_fingerprint_is_that_of_the_contents(tmp_path: Path, store: OmicsStore) -> None:
    assert write(tmp_path / "same").fingerprint == store.fingerprint
    assert write(tmp_path / "other", proteins=PROTEINS + np.float32(1e-3)).fingerprint != store.fingerprint
    in_store = {str(file.relative_to(store.path)) for file in store.path.rglob("*") if file.is_file()}
    assert set(store.manifest["files"]) == in_store - {"manifest.json"}


def test_an_unknown_outcome_is_refused_with_the_near_one(store: OmicsStore) -> None:
    with pytest.raises(InputError, match=r"'sever' is not in store .*did you mean 'severe'"):
        store.outcome("sever")


def test_a_store_is_replaced_and_leaves_no_partial_folder(tmp_path: Path, store: OmicsStore) -> None:
    assert write(store.path, name="second").name == "second"
    assert [folder.name for folder in tmp_path.iterdir()] == ["store"]


def test_a_folder_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(InputError, match="exists and is not a store; it is left alone"):
        write(tmp_path)
    assert (tmp_path / "thesis.docx").read_text() == "years of work"


def test_a_write_that_fails_keeps_the_store_that_was_there(
    tmp_path: Path, store: OmicsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write(store.path, name="second")
    assert OmicsStore.open(store.path).name == "tiny"
    assert [folder.name for folder in tmp_path.iterdir()] == ["store"]


def test_a_folder_without_a_manifest_says_how_to_make_a_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.json.*omicsfm prepare"):
        OmicsStore.open(tmp_path)


def test_a_newer_format_is_refused_and_not_guessed(store: OmicsStore) -> None:
    manifest = json.loads((store.path / "manifest.json").read_text())
    (store.path / "manifest.json").write_text(json.dumps(manifest | {"format": FORMAT + 1}))
    with pytest.raises(InputError, match=f"store format {FORMAT + 1}.*reads up to {FORMAT}"):
        OmicsStore.open(store.path)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [Path.unlink, truncate])
@pytest.mark.parametrize(
    "file",
    [
        "manifest.json",
        "visits.parquet",
        "outcomes.parquet",
        "modalities/proteome/values.npy",
        "modalities/proteome/features.parquet",
        "modalities/proteome/rows.npy",
        "modalities/transcriptome/indptr.npy",
    ],
)
def test_a_missing_or_truncated_file_is_one_message(
    store: OmicsStore, file: str, damage: Callable[[Path], None]
) -> None:
    damage(store.path / file)
    with pytest.raises(InputError, match=r"damaged|not a store"):
        OmicsStore.open(store.path)
