"""A text table is looked through before it is read: ragged, endless and swollen files are refused, honest ones pass."""

import gzip
from pathlib import Path

import pytest

from omicsfm.data.ingest import text_file
from omicsfm.data.ingest.text_file import text_columns
from omicsfm.errors import InputError


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n", ["a", "b"]),
        ("a,b\r\n1,2\r\n3,4", ["a", "b"]),
        ("a,b\r1,2\r", ["a", "b"]),
        ("a,b\n1,2\r\n3,4\r5,6", ["a", "b"]),
        ("\n\na,b\n\n1,2\n \n", ["a", "b"]),
        ("\ufeffa,b\n1,2\n", ["a", "b"]),
        ("a,b\n1,2,3\n4,5,6\n", ["Unnamed: 0", "a", "b"]),
        ('a,"b\nc"\n1,"2,5\n"\n"",""\n', ["a", "b\nc"]),
        (" a ,,b\n1,2,3\n", ["a", "Unnamed: 1", "b"]),
        ("é,e\u0301,\u202eabc,💉\n1,2,3,4\n", ["é", "e\u0301", "\u202eabc", "💉"]),
        ("a,b\u2028c\n1,2\n", ["a", "b\u2028c"]),
    ],
)
def test_the_columns_of_an_honest_table(tmp_path: Path, text: str, columns: list[str]) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert text_columns(tmp_path / "t.csv") == columns
    with gzip.open(tmp_path / "t.csv.gz", "wb") as packed:
        packed.write(text.encode())
    assert text_columns(tmp_path / "t.csv.gz") == columns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n3\n4,5\n", "row 2 has 1 cells"),
        ("a,b\n1,2\n3,4,5\n", "row 2 has 3 cells"),
        ("a,b\n1,2,3\n4,5\n", "row 2 has 2 cells"),
        ('a,b\n"1",2\n3,4\n5\n', "row 3 has 1 cells"),
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        (",,\n1,2,3\n", "the file is empty"),
        ("a,b\n1,\0\n", "holds NUL characters"),
        ("a,b\n1,2\n".encode("utf-16-le").decode(), "holds NUL characters"),
    ],
)
def test_a_ragged_or_foreign_table_is_refused_with_its_row(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    with pytest.raises(InputError, match=r"t\.csv") as caught:
        text_columns(tmp_path / "t.csv")
    assert expected in str(caught.value)


def test_a_file_that_inflates_without_end_is_left_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "ALWAYS_INFLATED", 1 << 20)
    with gzip.open(tmp_path / "t.csv.gz", "wb") as packed:
        packed.write(b"a,b\n" + b"0,0\n" * (1 << 21))
    with pytest.raises(InputError, match="inflates to more than"):
        text_columns(tmp_path / "t.csv.gz")


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MAX_LINE", 1 << 12)
    (tmp_path / "t.csv").write_text("a,b\n1," + "2" * (1 << 13))
    with pytest.raises(InputError, match="a line of more than"):
        text_columns(tmp_path / "t.csv")
