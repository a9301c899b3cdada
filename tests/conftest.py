"""Fixtures that several rooms of tests share."""

import os
from pathlib import Path

import numpy as np
import pytest

from omicsfm.data.store import OmicsStore
from omicsfm.seeding import seed_everything

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same global generators, whatever ran before it."""
    seed_everything(0, "tests")


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator of this test's own."""
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real cohorts, which are not ours to redistribute: the test is skipped where it is absent."""
    folder = Path(os.environ.get("OMICSFM_SHARED", REPOSITORY.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no real cohorts at {folder}: set OMICSFM_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def simulated_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cohort of 48 participants with up to two visits and three small modalities; read it only."""
    from omicsfm.data.synthetic import simulate

    path = tmp_path_factory.mktemp("simulated") / "cohort.h5mu"
    return simulate(path, participants=48, visits=2, seed=1, genes=24, proteins=16, metabolites=12)


@pytest.fixture(scope="session")
def simulated_store(simulated_cohort: Path) -> OmicsStore:
    """The simulated cohort, prepared; read it only."""
    from omicsfm.data.ingest.prepare import prepare

    return prepare(simulated_cohort, simulated_cohort.parent / "store")
