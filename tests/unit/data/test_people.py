"""Whose participant ids a cohort bears: said in its COHORT.yaml, kept in its store."""

from pathlib import Path

import pytest

from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore

YAML = """
name: wave_two
{people}visits: {{path: visits.csv, participant_id: who, keep: [sex]}}
modalities:
  proteome: {{path: proteins.csv, namespace: local, scale: log2, key: who}}
"""


def prepared(folder: Path, people: str) -> OmicsStore:
    (folder / "visits.csv").write_text("who,sex\n" + "".join(f"p{n},{'fm'[n % 2]}\n" for n in range(12)))
    (folder / "proteins.csv").write_text(
        "who,A,B\n" + "".join(f"p{n},{20 + n % 5}.5,{21 - n % 3}.25\n" for n in range(12))
    )
    (folder / "COHORT.yaml").write_text(YAML.format(people=people))
    return prepare(folder / "COHORT.yaml", folder / "store")


@pytest.mark.parametrize(("said", "people"), [("people: lifelines\n", "lifelines"), ("", "wave_two")])
def test_ids_are_the_cohorts_own_unless_it_says_whose_they_are(tmp_path, said: str, people: str) -> None:
    prepared(tmp_path, said)
    assert OmicsStore.open(tmp_path / "store").people == people
