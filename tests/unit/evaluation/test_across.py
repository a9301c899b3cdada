"""An evaluation across platforms says so: what was harmonised, and what no training visit was like."""

from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.checkpoint import Checkpoint
from omicsfm.data.collate import fit_transforms
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.data.transforms import Chain
from omicsfm.data.transforms.combat import ComBat
from omicsfm.data.transforms.robust_z import RobustZ
from omicsfm.evaluation.across import Across, across_batches
from omicsfm.features import FeatureSpace

N = 30


def cohort(path: Path, *, name: str = "home", platforms: tuple[str, ...] | None = ("olink", "somascan")) -> OmicsStore:
    visits = pd.DataFrame({"participant_id": [f"P{n}" for n in range(N)], "visit": "0", "time_days": 0.0})
    if platforms is not None:
        visits["platform"] = [platforms[n % len(platforms)] for n in range(N)]
    values = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    return write_store(
        path,
        name=name,
        visits=visits,
        outcomes=pd.DataFrame(index=visits.index),
        outcome_specs={},
        matrices={"proteome": Matrix(FeatureSpace("proteome", tuple("abcd"), "local", "npx"), np.arange(N), values)},
    )


def said(trained: OmicsStore, tested: OmicsStore, chain: Chain) -> Across:
    fit_transforms(trained, rows=np.arange(N), chains={"proteome": chain})
    features = {"proteome": trained.modalities["proteome"].features}
    checkpoint = Checkpoint(None, {}, features, {"proteome": chain}, (), {})
    return across_batches(checkpoint, tested, np.arange(12))


def combat() -> Chain:
    return Chain(steps=[ComBat(column="platform"), RobustZ(column=None)])


def test_platforms_that_training_saw_are_noted_with_their_harmonisation(tmp_path) -> None:
    home = cohort(tmp_path / "home")
    found = said(home, home, combat())
    assert found.notes == [
        "proteome: harmonised by ComBat over platform, fitted on training participants of olink, somascan; of these, "
        "tested: olink (6 visits), somascan (6 visits)."
    ]
    assert found.cautions == []


def test_a_platform_that_training_did_not_see_is_a_caution(tmp_path) -> None:
    away = cohort(tmp_path / "away", platforms=("olink", "luminex", "msd"))
    found = said(cohort(tmp_path / "home"), away, combat())
    assert "olink (4 visits)" in found.notes[0]
    (caution,) = found.cautions
    assert caution.startswith(
        "proteome: 8 of 12 tested visits are of a platform that no training visit had (luminex, msd; trained on olink, "
        "somascan)."
    )
    assert "without a correction of their own" in caution


def test_another_cohort_without_a_platform_counts_as_another_platform(tmp_path) -> None:
    home = cohort(tmp_path / "home", platforms=None)
    away = cohort(tmp_path / "away", name="away", platforms=None)
    plain = Chain(steps=[RobustZ()])
    assert said(home, home, plain) == Across([], [])
    found = said(home, away, plain)
    assert (
        "12 of 12 tested visits are of a platform that no training visit had (away; trained on home)"
        in (found.cautions[0])
    )


def test_without_harmonisation_by_batch_there_is_nothing_to_say(tmp_path) -> None:
    away = cohort(tmp_path / "away", platforms=("msd",))
    assert said(cohort(tmp_path / "home"), away, Chain(steps=[RobustZ(column=None)])) == Across([], [])
