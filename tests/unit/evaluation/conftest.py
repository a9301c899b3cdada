"""A small cohort with a class, a quantity and a survival outcome, two modalities, and repeated visits."""

import numpy as np
import pandas as pd
import pytest

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.features import FeatureSpace

PARTICIPANTS, VISITS = 60, 2


@pytest.fixture(scope="session")
def small_store(tmp_path_factory) -> OmicsStore:
    """Two sites, 60 participants, two visits; the proteome carries the signal and a third of visits lack the other."""
    generator = np.random.default_rng(7)
    rows = PARTICIPANTS * VISITS
    health = np.repeat(generator.normal(size=PARTICIPANTS), VISITS)
    proteome = 20 + np.outer(health, generator.normal(size=15)) + generator.normal(size=(rows, 15))
    proteome[generator.uniform(size=proteome.shape) < 0.05] = np.nan
    metabolome = np.exp(0.3 * np.outer(health, generator.normal(size=10)) + generator.normal(size=(rows, 10)))
    measured = np.flatnonzero(generator.uniform(size=rows) < 0.67)
    visits = pd.DataFrame(
        {
            "participant_id": [f"P{n // VISITS:03d}" for n in range(rows)],
            "visit": [str(n % VISITS) for n in range(rows)],
            "time_days": [400.0 * (n % VISITS) for n in range(rows)],
            "age": np.repeat(generator.integers(20, 80, PARTICIPANTS), VISITS).astype(float),
            "sex": np.repeat(generator.choice(["F", "M"], PARTICIPANTS), VISITS),
            "site": np.where((np.arange(rows) // VISITS) % 2, "north", "south"),
        }
    )
    time = np.ceil(np.repeat(generator.exponential(900 * np.exp(-1.6 * health[::VISITS])), VISITS)) + 1
    censoring = np.repeat(np.ceil(generator.uniform(200, 2500, PARTICIPANTS)), VISITS)
    outcomes = pd.DataFrame(
        {
            "ill": np.where(health + 0.7 * generator.normal(size=rows) > 0, "yes", "no"),
            "score": 5 + 2 * health + generator.normal(size=rows),
            "death.time_days": np.minimum(time, censoring),
            "death.event": (time <= censoring).astype(float),
        }
    )
    outcomes.loc[3, "ill"] = None
    outcomes.loc[5, "score"] = np.nan
    return write_store(
        tmp_path_factory.mktemp("evaluation") / "store",
        name="small",
        visits=visits,
        outcomes=outcomes,
        outcome_specs={
            "ill": OutcomeSpec("ill", "class", "visit", ("no", "yes")),
            "score": OutcomeSpec("score", "quantity", "visit"),
            "death": OutcomeSpec("death", "survival", "participant"),
        },
        matrices={
            "proteome": Matrix(
                FeatureSpace("proteome", tuple(f"p{n}" for n in range(15)), "local", "log2"),
                np.arange(rows),
                proteome.astype(np.float32),
            ),
            "metabolome": Matrix(
                FeatureSpace("metabolome", tuple(f"m{n}" for n in range(10)), "local", "raw"),
                measured,
                metabolome[measured].astype(np.float32),
            ),
        },
    )
