"""Each kind of leak planted in a cohort is found by name, and the same cohort without it is clean."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.inspect import inspect
from omicsfm.data.leakage.look import look_for_leaks
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace

PEOPLE, FEATURES = 80, 60
Cohort = dict[str, np.ndarray]
Plant = Callable[[Cohort], None]


def cohort() -> Cohort:
    """Values with a signal, as biology has it: strong, never without fault."""
    generator = np.random.default_rng(3)
    health = generator.normal(size=PEOPLE)
    values = generator.normal(size=(PEOPLE, FEATURES)) + 0.6 * np.outer(health, generator.normal(size=FEATURES))
    return {
        "ids": np.array([f"P{n:03d}" for n in generator.permutation(PEOPLE)], dtype=object),
        "values": values,
        "severe": np.where(health + 0.5 * generator.normal(size=PEOPLE) > 0, "yes", "no").astype(object),
        "weeks": 25 + 5 * health + 2 * generator.normal(size=PEOPLE),
    }


def store(folder: Path, made: Cohort) -> OmicsStore:
    rows = len(made["ids"])
    space = FeatureSpace("proteome", tuple(f"F{n}" for n in range(made["values"].shape[1])), "local", "identity")
    return write_store(
        folder / "store",
        name="planted",
        visits=pd.DataFrame({"participant_id": made["ids"], "visit": ["1"] * rows, "time_days": [0.0] * rows}),
        outcomes=pd.DataFrame({"severe": made["severe"], "weeks": made["weeks"]}),
        outcome_specs={
            "severe": OutcomeSpec("severe", "class", "visit", ("no", "yes")),
            "weeks": OutcomeSpec("weeks", "quantity", "visit"),
        },
        matrices={"proteome": Matrix(space, np.arange(rows), made["values"].astype(np.float32))},
    )


def class_code(made: Cohort) -> None:
    made["values"][:, 7] = np.where(made["severe"] == "yes", 9.0, 4.0)


def monotone_transform(made: Cohort) -> None:
    made["values"][:, 8] = np.exp(-made["weeks"] / 10)


def nearly_separating(made: Cohort) -> None:
    made["values"][:, 9] = 10 * (made["severe"] == "yes") + np.random.default_rng(0).normal(size=PEOPLE)


def measured_in_cases_only(made: Cohort) -> None:
    made["values"][made["severe"] == "no", 10] = np.nan


def id_prefix(made: Cohort) -> None:
    made["ids"] = np.array(
        [("C" if s == "yes" else "H") + i[1:] for s, i in zip(made["severe"], made["ids"], strict=True)]
    )


def week_in_the_id(made: Cohort) -> None:
    made["ids"] = np.array([f"{i}_w{w:.1f}" for w, i in zip(made["weeks"], made["ids"], strict=True)])


def sorted_rows(made: Cohort) -> None:
    order = np.argsort(made["severe"], kind="stable")
    made.update({name: array[order] for name, array in made.items()})


def equal_rows(made: Cohort) -> None:
    made["values"][5] = made["values"][40]


def same_person_twice(made: Cohort) -> None:
    again = made["values"][:10] + 0.2 * np.random.default_rng(1).normal(size=(10, FEATURES))
    made["values"] = np.concatenate([made["values"], again])
    made["ids"] = np.concatenate([made["ids"], np.array([f"Q{n:03d}" for n in range(10)], dtype=object)])
    made["severe"], made["weeks"] = (np.concatenate([made[name], made[name][:10]]) for name in ("severe", "weeks"))


def test_a_cohort_without_a_leak_is_clean(tmp_path: Path) -> None:
    assert look_for_leaks(store(tmp_path, cohort())) == []


@pytest.mark.parametrize(
    ("plant", "certain", "said"),
    [
        (class_code, True, "feature 'F7' gives outcome severe away"),
        (monotone_transform, True, "feature 'F8' gives outcome weeks away"),
        (nearly_separating, False, "feature 'F9' alone tells outcome severe almost without fault (AUROC 1.000"),
        (measured_in_cases_only, False, "whether feature 'F10' was measured tells outcome severe"),
        (id_prefix, False, "participant_id: the beginning of the id"),
        (week_in_the_id, False, "participant_id: the number 1 from the end of the id"),
        (sorted_rows, False, "sorted by outcome severe"),
        (equal_rows, False, "2 visits share all their values with a visit of another participant"),
        (same_person_twice, False, "10 pairs of participants"),
    ],
)
def test_a_planted_leak_is_found_by_name(tmp_path: Path, plant: Plant, certain: bool, said: str) -> None:
    made = cohort()
    plant(made)
    found = look_for_leaks(store(tmp_path, made))
    assert [leak.certain for leak in found if said in leak.message] == [certain], [leak.message for leak in found]
    assert any(leak.certain for leak in found) is certain


def test_inspect_ends_on_a_certain_leak_and_goes_on_with_a_warning(tmp_path: Path) -> None:
    made = cohort()
    id_prefix(made)
    report = inspect(store(tmp_path, made).path)
    assert not report.problems
    assert "leak? participant_id: the beginning" in report.text
    monotone_transform(made)
    assert any("'F8' gives outcome weeks away" in problem for problem in inspect(store(tmp_path, made).path).problems)


def files(folder: Path, made: Cohort) -> Path:
    """The cohort as a clinical table and a matrix that repeats the table's score, with a yaml."""
    clinical = pd.DataFrame({name: made[name] for name in ("ids", "severe", "weeks")})
    clinical.to_csv(folder / "clinical.csv", index=False)
    features = pd.DataFrame(made["values"], columns=[f"F{n}" for n in range(FEATURES)])
    pd.concat([clinical[["ids"]], pd.Series(made["label"], name="severe"), features], axis=1).to_csv(
        folder / "p.csv", index=False
    )
    text = """
name: planted
visits: {path: clinical.csv, participant_id: ids}
modalities:
  proteome: {path: p.csv, namespace: local, scale: identity, key: ids, drop: [severe]}
outcomes:
  severe: {kind: class, column: severe, level: visit}
  weeks: {kind: quantity, column: weeks, level: visit}
"""
    (folder / "cohort.yaml").write_text(text)
    return folder / "cohort.yaml"


def test_prepare_refuses_a_certain_leak_and_leaves_nothing(tmp_path: Path) -> None:
    made = cohort()
    monotone_transform(made)
    with pytest.raises(InputError, match="'F8' gives .*weeks.* away"):
        prepare(files(tmp_path, {**made, "label": made["severe"]}), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_labels_of_two_files_in_another_order_are_told(tmp_path: Path) -> None:
    made = cohort()
    clean = prepare(files(tmp_path, {**made, "label": made["severe"]}), tmp_path / "clean")
    assert clean.manifest["source"]["leaks"] == []
    shifted = prepare(files(tmp_path, {**made, "label": np.roll(made["severe"], 1)}), tmp_path / "shifted")
    (said,) = shifted.manifest["source"]["leaks"]
    wrong = int((made["severe"] != np.roll(made["severe"], 1)).sum())
    assert f"column 'severe' of p.csv contradicts the clinical table for {wrong} of 80 visits" in said


def test_values_that_most_visits_lack_are_ranked_among_those_that_have_them(tmp_path: Path) -> None:
    made = cohort()
    made["values"][:, 11] = np.where(np.arange(PEOPLE) % 3 == 0, made["weeks"], np.nan)
    found = look_for_leaks(store(tmp_path, made))
    assert [leak.certain for leak in found if "'F11' gives outcome weeks away" in leak.message] == [True]


def sparse_store(folder: Path, counts: np.ndarray, severe: np.ndarray) -> OmicsStore:
    space = FeatureSpace("rna", tuple(f"G{n}" for n in range(counts.shape[1])), "local", "counts")
    ids = [f"P{n:04d}" for n in np.random.default_rng(1).permutation(len(counts))]
    return write_store(
        folder / "sparse",
        name="planted",
        visits=pd.DataFrame({"participant_id": ids, "visit": "1", "time_days": 0.0}),
        outcomes=pd.DataFrame({"severe": severe}),
        outcome_specs={"severe": OutcomeSpec("severe", "class", "visit", ("no", "yes"))},
        matrices={"rna": Matrix(space, np.arange(len(counts)), sparse.csr_matrix(counts.astype(np.float32)))},
    )


def test_a_copy_is_certain_only_where_no_visit_contradicts_it(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    visits = 7000  # more than are looked at twice
    severe = generator.choice(["no", "yes"], visits).astype(object)
    counts = generator.poisson(0.3, (visits, 40))
    counts[:, 3] = 2 * (severe == "yes")
    found = look_for_leaks(sparse_store(tmp_path, counts, severe))
    assert [leak.certain for leak in found if "'G3'" in leak.message] == [True]
    counts[generator.integers(visits), 3] = 7
    found = look_for_leaks(sparse_store(tmp_path, counts, severe))
    assert [leak.certain for leak in found if "'G3'" in leak.message] == [False]


def test_equal_rows_of_a_sparse_matrix_are_found_among_visits_that_share_most_genes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    counts = generator.poisson(np.geomspace(0.01, 2, 3000), (200, 3000))  # more features than make a profile
    counts[150] = counts[20]
    found = look_for_leaks(sparse_store(tmp_path, counts, generator.choice(["no", "yes"], 200).astype(object)))
    assert [leak.message[:40] for leak in found] == ["rna: 2 visits share all their values with "[:40]]


def test_an_outcome_made_of_age_takes_age_out_of_what_models_read(tmp_path: Path) -> None:
    old = {"old": {"kind": "class", "column": "years", "positive_if": {"above": 60}}}
    for listed, expected in ((None, ("sex=m",)), ([], None)):
        store = _with_age(tmp_path, old, listed)
        clinical = store.inputs.get("clinical")
        assert (None if clinical is None else clinical.features.ids) == expected
    with pytest.raises(InputError, match="'age' is read from column years, which outcome 'old' is made of"):
        _with_age(tmp_path, old, ["age"])
    later = {"next": {"kind": "quantity", "column": "years", "at": "next_visit"}}
    assert _with_age(tmp_path, later, None).inputs["clinical"].features.ids == ("age", "sex=m")


def _with_age(folder: Path, outcomes: dict, listed: list[str] | None) -> OmicsStore:
    people = [f"P{n:02d}" for n in range(40) for _ in range(2)]
    days = [0, 90] * 40
    rng = np.random.default_rng(3)
    ages = np.repeat(40 + 40 * rng.random(40), 2) + np.array(days) / 365.25
    table = pd.DataFrame({"who": people, "day": days, "years": ages, "sex": ["m", "m", "f", "f"] * 20})
    table.to_csv(folder / "people.csv", index=False)
    values = pd.DataFrame(rng.normal(10, 1, (80, 5)), columns=list("abcde"))
    pd.concat([table[["who", "day"]], values], axis=1).to_csv(folder / "p.csv", index=False)
    said = {
        "name": "aged",
        "visits": {
            "path": "people.csv",
            "participant_id": "who",
            "visit": "day",
            "time_days": "day",
            "age": "years",
            "keep": ["sex"],
        },
        "modalities": {"proteome": {"path": "p.csv", "key": ["who", "day"], "namespace": "local", "scale": "log2"}},
        "outcomes": outcomes,
    }
    (folder / "COHORT.yaml").write_text(yaml.safe_dump(said if listed is None else said | {"clinical": listed}))
    return prepare(folder / "COHORT.yaml", folder / "store")
