"""Parts prepared by independent tasks, merged: the store that one task would have written."""

import shutil
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from omicsfm.cli import main
from omicsfm.data.ingest import merge as merge_module
from omicsfm.data.ingest import progress
from omicsfm.data.ingest.merge import merge
from omicsfm.data.ingest.part import Part
from omicsfm.data.ingest.prepare import prepare
from omicsfm.errors import InputError

N = 60


def write_cohort(folder: Path, **changes: Any) -> Path:
    """Twenty people with three visits, counts of 58 visits in another order, proteins of some with unknown limits."""
    rng = np.random.default_rng(7)
    names = [f"P{n // 3:02d}-{n % 3}" for n in range(N)]
    visits = pd.DataFrame({"sample": names, "person": [n[:3] for n in names], "visit": [n[-1] for n in names]})
    visits["day"] = visits["visit"].astype(int) * 100
    visits["ward"] = ["A", "B", "C"] * 20
    visits.loc[57:, "ward"] = "D"
    visits["crp"] = rng.normal(5, 1, N)
    visits.to_csv(folder / "visits.csv", index=False)
    order = rng.permutation(N)[:58]
    obs = pd.DataFrame(index=[names[n] for n in order] + ["stranger"])
    matrix = sparse.csr_matrix(rng.poisson(0.5, (59, 9)).astype(np.float32))
    anndata.AnnData(matrix, obs, pd.DataFrame(index=[f"g{n}" for n in range(9)])).write_h5ad(folder / "rna.h5ad")
    proteins = pd.DataFrame(rng.normal(5, 1, (N, 3)), columns=["x", "y", "z"]).astype(object)
    proteins.insert(0, "sample", names)
    proteins.loc[[2, 40], "y"] = "<LOD"
    proteins.loc[3:30, ["x", "y", "z"]] = np.nan  # a part has no protein at all
    proteins.to_csv(folder / "proteins.csv", index=False)
    said = {
        "name": "small",
        "visits": {
            "path": "visits.csv",
            "key": "sample",
            "participant_id": "person",
            "visit": "visit",
            "time_days": "day",
        },
        "modalities": {
            "transcriptome": {"path": "rna.h5ad", "namespace": "local", "scale": "counts"},
            "proteome": {"path": "proteins.csv", "namespace": "local", "scale": "log2", "below_limit": "<LOD"},
        },
        "outcomes": {
            "ward": {"kind": "class", "column": "ward", "level": "visit"},
            "crp": {"kind": "quantity", "column": "crp", "level": "visit"},
        },
    } | changes
    (folder / "COHORT.yaml").write_text(yaml.safe_dump(said))
    return folder / "COHORT.yaml"


def parts_of(cohort: Path, of: int) -> list[Path]:
    return [prepare(cohort, cohort.parent / "store", Part(number, of)).path for number in range(1, of + 1)]


@pytest.mark.parametrize("of", [1, 3, 5])
def test_merged_parts_are_the_store_of_one_task(tmp_path: Path, of: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = write_cohort(tmp_path)
    whole = prepare(cohort, tmp_path / "whole")
    parts = parts_of(cohort, of)
    monkeypatch.setattr(merge_module, "CELLS", 30)
    merged = merge(tmp_path / "store", parts[::-1])  # in any order
    assert merged.fingerprint == whole.fingerprint
    for key in ("modalities", "outcomes", "participants", "visits", "name", "people"):
        assert merged.manifest[key] == whole.manifest[key], key
    for key in ("files", "visits", "modalities", "outcomes"):
        assert merged.manifest["source"][key] == whole.manifest["source"][key], key


def test_a_merge_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = write_cohort(tmp_path)
    parts = parts_of(cohort, 2)
    monkeypatch.setattr(merge_module, "CELLS", 30)
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0.0)
    saves: list[str] = []
    save = progress.Progress.save

    def stopping(self: progress.Progress, step: str, arrays: dict[str, np.ndarray]) -> None:
        save(self, step, arrays)
        saves.append(step)
        if len(saves) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "save", stopping)
    with pytest.raises(KeyboardInterrupt):
        merge(tmp_path / "store", parts)
    assert not (tmp_path / "store").exists()
    assert merge(tmp_path / "store", parts).fingerprint == prepare(cohort, tmp_path / "whole").fingerprint


def test_a_copy_of_an_outcome_is_found_when_the_parts_meet(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path)
    proteins = pd.read_csv(tmp_path / "proteins.csv")
    proteins["z"] = 7 - 2 * pd.read_csv(tmp_path / "visits.csv")["crp"]
    proteins.to_csv(tmp_path / "proteins.csv", index=False)
    parts = parts_of(cohort, 2)
    with pytest.raises(InputError, match=r"feature 'z' equals outcome crp \(column crp\)"):
        merge(tmp_path / "store", parts)
    assert not list(tmp_path.glob("*store.partial"))
    assert not (tmp_path / "store").exists()


def test_an_outcome_is_judged_when_the_parts_meet(tmp_path: Path) -> None:
    said = {"late": {"kind": "class", "column": "ward", "level": "visit", "positive_if": {"equals": "D"}}}
    parts = parts_of(write_cohort(tmp_path, outcomes=said), 2)  # the first part has one class only
    assert merge(tmp_path / "store", parts).manifest["source"]["outcomes"]["late"]["class yes"] == 3


def test_a_part_that_is_missing_or_of_other_files_is_named(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path)
    parts = parts_of(cohort, 3)
    with pytest.raises(InputError, match=r"1 of 3 parts are missing \(part 2\).*--part 2/3"):
        merge(tmp_path / "store", [parts[0], parts[2]])
    visits = pd.read_csv(tmp_path / "visits.csv")
    visits.assign(day=visits["day"] + 1).to_csv(tmp_path / "visits.csv", index=False)
    shutil.rmtree(parts[1])
    prepare(cohort, tmp_path / "store", Part(2, 3))
    with pytest.raises(InputError, match="prepared from other files, or from files that changed"):
        merge(tmp_path / "store", parts)
    with pytest.raises(InputError, match="is a whole store, not a part of one"):
        merge(tmp_path / "store", [prepare(cohort, tmp_path / "whole").path])
    with pytest.raises(InputError, match="there are no parts"):
        merge(tmp_path / "store", [])


def test_the_commands_find_the_parts_beside_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = write_cohort(tmp_path)
    for number in (1, 2):
        main(["prepare", str(cohort), str(tmp_path / "store"), "--part", f"{number}/2"])
    assert f"next: omicsfm merge {tmp_path / 'store'}" in capsys.readouterr().out
    main(["merge", str(tmp_path / "store")])
    assert "20 participants, 60 visits" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_a_part_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected NUMBER/PARTS"):
        Part.parse(text)
