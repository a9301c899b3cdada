"""A COHORT.yaml is data: it stays small, reads what its reader sees, and nothing in it runs."""

import itertools
from pathlib import Path

import pytest

from omicsfm.data.ingest.places import place_of
from omicsfm.data.ingest.plain_yaml import MAX_BYTES, read_yaml
from omicsfm.errors import InputError


def read(folder: Path, text: str) -> object:
    (folder / "COHORT.yaml").write_text(text, encoding="utf-8")
    return read_yaml(folder / "COHORT.yaml")


def aliases(first: str, following: str, levels: int) -> str:
    """Each level names the one before ten times: 10^levels values in a few lines."""
    names = [chr(ord("a") + level) for level in range(levels)]
    lines = [f"a: &a {first}"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} {following.format(','.join(['*' + before] * 10))}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (aliases("[1,1,1,1]", "[{}]", 12), "more than 100,000 values, aliases written out"),
        (aliases("{k: 1}", "{{<<: [{}]}}", 12), "more than 100,000 values, aliases written out"),
        ("a: &x [*x]", "more than 32 levels"),
        ("[" * 2000, "not a readable COHORT.yaml"),
        ("{a: " * 100 + "1" + "}" * 100, "more than 32 levels"),
        ("x: " + "a" * MAX_BYTES, "expected a COHORT.yaml of up to 300,000"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: !!binary aGk=", "could not determine a constructor"),
        ("a: 1\nb: 2\na: 3", "the key 'a' stands twice"),
        ("? [1]\n: 2", "unhashable key"),
        ("a: \x00", "unacceptable character"),
        ("a: 1\n--- \nb: 1", "expected a single document"),
        ("x: " + "9" * 5000, "not a readable COHORT.yaml"),
    ],
)
def test_a_yaml_that_grows_or_runs_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InputError, match=r"COHORT\.yaml") as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)


def test_values_are_those_of_json_and_dates_stay_text(tmp_path: Path) -> None:
    text = "a: 1e3\nb: 2030-01-01\nc: .5\nd: 7\ne: V1\nf: 1.2.3\ng: '1'\nh: true\ni: null\nj: -1.5e-3\nk: &k [1]\nl: *k"
    assert read(tmp_path, text) == {
        "a": 1000.0, "b": "2030-01-01", "c": 0.5, "d": 7, "e": "V1", "f": "1.2.3", "g": "1", "h": True, "i": None,
        "j": -0.0015, "k": [1], "l": [1],
    }  # fmt: skip


def test_a_variable_of_the_environment_is_replaced_in_paths_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMICSFM_TEST_FOLDER", "/data")
    text = "path: ['${oc.env:OMICSFM_TEST_FOLDER}/a.csv', {path: '${oc.env:OMICSFM_TEST_FOLDER}/b.csv'}]"
    assert read(tmp_path, text) == {"path": ["/data/a.csv", {"path": "/data/b.csv"}]}
    with pytest.raises(InputError, match="may stand in a path only"):
        read(tmp_path, "name: ${oc.env:OMICSFM_TEST_FOLDER}")
    with pytest.raises(InputError, match="'OMICSFM_TEST_NO_SUCH' not found"):
        read(tmp_path, "path: ${oc.env:OMICSFM_TEST_NO_SUCH}/a.csv")
    with pytest.raises(InputError, match=r"the one form that is replaced is \$\{oc\.env:NAME\}"):
        read(tmp_path, "path: ${oc.decode:1}")


@pytest.mark.parametrize("said", ["../other.csv", "a/../../other.csv", "link.csv", "folder/other.csv", "..", "loop"])
def test_a_relative_path_that_leaves_the_folder_is_refused(tmp_path: Path, said: str) -> None:
    folder = tmp_path / "cohort"
    folder.mkdir()
    (tmp_path / "other.csv").write_text("x")
    (folder / "link.csv").symlink_to(tmp_path / "other.csv")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    with pytest.raises(InputError, match="leads out of the folder of the yaml|leads nowhere"):
        place_of(said, "COHORT.yaml: visits.path", folder)


def test_a_path_inside_the_folder_or_an_absolute_one_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "other.csv").write_text("x")
    (folder / "a.csv").write_text("x")
    (folder / "deep" / "link.csv").symlink_to(folder / "a.csv")
    (tmp_path / "same").symlink_to(folder)
    for said in ("a.csv", "deep/../a.csv", "deep/link.csv", str(tmp_path / "other.csv")):
        assert place_of(said, "", folder).is_file()
        assert place_of(said, "", tmp_path / "same").is_file()


@pytest.mark.parametrize("said", ["", "  ", "a\0b.csv"])
def test_what_is_no_path_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(InputError, match="expected a path"):
        place_of(said, "COHORT.yaml: visits.path", tmp_path)
