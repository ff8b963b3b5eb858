import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mgr_cli.data import columns
from mgr_cli.errors import DatasetError

NAN = float("nan")


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(table: Path, *text: str) -> tuple[pd.DataFrame, tuple[str, ...], np.ndarray]:
    return columns.read(table, columns.header(table)[0], skip=1, text=text or ("id",))


def values(table: Path) -> list[list[float]]:
    numbers: list[list[float]] = read(table)[2].tolist()
    return numbers


def test_columns_of_text_and_of_numbers_part(tmp_path: Path) -> None:
    table = write(tmp_path, "a,id,b,who\n1,x,2.5,Her\n-3e2,y,4,Ä\n")
    texts, names, numbers = read(table, "who", "id")
    assert texts.to_dict("list") == {"who": ["Her", "Ä"], "id": ["x", "y"]}
    assert names == ("a", "b")
    np.testing.assert_array_equal(numbers, np.array([[1, 2.5], [-300, 4]], np.float32))
    assert numbers.dtype == np.float32


def test_cell_without_a_number_is_none(tmp_path: Path) -> None:
    cells = ["", "NA", "None", "-", "#N/A", "?", "abc", '"1,000"', "0x10", "1+2j", "1_000", "1 2"]
    rows = "".join(f"r{number},{cell},1\n" for number, cell in enumerate(cells))
    found = values(write(tmp_path, f"id,a,b\n{rows}last,7,1\n"))
    np.testing.assert_array_equal(found, [[NAN, 1]] * len(cells) + [[7, 1]])


def test_spaces_and_true_are_numbers(tmp_path: Path) -> None:
    found = values(write(tmp_path, "id,a,b\nx, 1,True\ny,2 ,False\n"))
    np.testing.assert_array_equal(found, [[1, 1], [2, 0]])


def test_number_that_is_too_large_to_reckon_with_is_none(tmp_path: Path) -> None:
    cells = ["inf", "-inf", "1e39", "-1e13", "1" + "0" * 30]
    rows = "".join(f"r{number},{cell},1\n" for number, cell in enumerate(cells))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = values(write(tmp_path, f"id,a,b\n{rows}last,-1e12,1\n"))
    np.testing.assert_array_equal(found, [[NAN, 1]] * len(cells) + [[np.float32(-1e12), 1]])


def test_column_of_nothing_but_huge_numbers_is_passed_over(tmp_path: Path) -> None:
    _, names, numbers = read(write(tmp_path, "id,time,a\nx,1.7e18,1\ny,1.6e18,2\n"))
    assert names == ("a",)
    assert numbers.tolist() == [[1], [2]]


def test_column_of_other_text_is_passed_over(tmp_path: Path) -> None:
    table = write(tmp_path, "id,word,a,date,empty\nx,hello,1,2024-01-01,\ny,moin,2,2024-01-02,\n")
    _, names, numbers = read(table)
    assert names == ("a",)
    assert numbers.tolist() == [[1], [2]]


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "-", "007", "1e5", "True", " x"])
def test_names_stay_as_they_are_written(tmp_path: Path, name: str) -> None:
    texts, _, _ = read(write(tmp_path, f"id,a\n{name},1\nother,2\n"))
    assert texts.id.tolist() == [name, "other"]


def test_names_that_are_absent_are_empty(tmp_path: Path) -> None:
    texts, _, _ = read(write(tmp_path, "id,a,who\n,1,\nx,2\n"), "id", "who")
    assert texts.to_dict("list") == {"id": ["", "x"], "who": ["", ""]}


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_it_does_not_matter_how_many_rows_are_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(7, 3)).astype(np.float32)
    rows = [f"t{n}," + ",".join(map(repr, row.tolist())) for n, row in enumerate(expected)]
    texts, _, numbers = read(write(tmp_path, "\n".join(["id,a,b,c", *rows])))
    np.testing.assert_array_equal(numbers, expected)
    assert texts.id.tolist() == [f"t{n}" for n in range(7)]
    assert texts.index.tolist() == list(range(7))


def test_rows_beyond_the_first_thousands_are_read(tmp_path: Path) -> None:
    n = 2 * columns.ROWS_AT_ONCE + 5
    table = write(tmp_path, "id,a\n" + "".join(f"{row},{row / 2}\n" for row in range(n)))
    assert (read(table)[2][:, 0] == np.arange(n, dtype=np.float32) / 2).all()


def test_first_rows_say_which_columns_are_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", 1)
    table = write(tmp_path, "id,late,early,always\nx,word,1,1\ny,2,word,2\nz,3,3,3\n")
    _, names, numbers = read(table)
    assert names == ("early", "always")
    np.testing.assert_array_equal(numbers, [[1, 1], [NAN, 2], [3, 3]])


@pytest.mark.parametrize("at_once", [1, 100])
@pytest.mark.parametrize(
    "rows", ["x,1,5\ny,2\n", "x,1,5\ny,2,5\n", "x,1\ny,2,5\n", "x,1\ny,2\nz,3,5\n"]
)
def test_row_longer_than_the_header_is_refused_and_not_shifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str, at_once: int
) -> None:
    # R writes a header that lacks the row names: every cell would stand under its neighbour.
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", at_once)
    with pytest.raises(DatasetError, match=r"t\.csv: cannot be read \(.*\); expected a CSV file"):
        read(write(tmp_path, f"id,a\n{rows}"))


def test_short_row_lacks_its_last_numbers(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        values(write(tmp_path, "id,a,b\nx,1,2\ny,3\nz\n")), [[1, 2], [3, NAN], [NAN, NAN]]
    )


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfid,a\nx\ny,1\n".replace(b"x\ny", b'"x\ny"'),
        'id,a\r\n"x\ny",1\r\n\r\n',
        '"id","a"\n"x\ny",1',
    ],
    ids=["byte order mark", "windows", "no last line end"],
)
def test_quoted_line_end_and_what_editors_add_do_no_harm(tmp_path: Path, text: str | bytes) -> None:
    texts, names, numbers = read(write(tmp_path, text))
    assert (texts.id.tolist(), names, numbers.tolist()) == (["x\ny"], ("a",), [[1]])


def test_header_with_a_line_end_in_a_name_is_one_row(tmp_path: Path) -> None:
    table = write(tmp_path, 'id,"a\nb",c\nx,1,2\n')
    assert columns.header(table) == [["id", "a\nb", "c"]]
    assert values(table) == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id,a\nx\xff,1\n", "cannot be read .*can't decode byte 0xff"),
        ("id,a\nx,1\n".encode("utf-16"), "cannot be read .*can't decode byte"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "cannot be read"),
        (b"", "0 rows, expected 1 of header at least"),
        (b"id,a\n", "no row in it"),
        (b"id,a", "no row in it"),
        (b"id,a\nx,word\n", "no feature in it"),
        (b"id\nx\n", "no feature in it"),
        (b'id,a\nx,1\n"y,2\n', "cannot be read .*EOF inside string"),
        (b"id," + b"a" * 200_000 + b"\nx,1\n", "cannot be read .*field larger"),
    ],
)
def test_what_is_no_table_of_features_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"t\.csv: {message}") as hit:
        read(write(tmp_path, text))
    assert "\n" not in str(hit.value)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for act in (
        lambda: columns.header(tmp_path / "t.csv"),
        lambda: columns.read(tmp_path / "t.csv", ["id", "a"], skip=1, text=["id"]),
    ):
        with pytest.raises(DatasetError, match=r"t\.csv: cannot be read .*No such file"):
            act()


def test_too_many_columns_are_refused_before_any_row_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "MAX_COLUMNS", 3)
    assert columns.header(write(tmp_path, "id,a,b\n")) == [["id", "a", "b"]]
    with pytest.raises(DatasetError, match="4 columns, expected 3 at the most"):
        columns.header(write(tmp_path, "id,a,b,c\n"))


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_numbers_are_counted_and_text_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", at_once)
    table = write(tmp_path, "id,a,word,b\n" + "x,1,w,2\n" * 5)
    monkeypatch.setattr(columns, "MAX_VALUES", 10)
    assert read(table)[2].size == 10
    monkeypatch.setattr(columns, "MAX_VALUES", 9)
    with pytest.raises(DatasetError, match="more than 9 numbers; divide it"):
        read(table)


def test_wide_rows_are_read_by_fewer_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = pd.read_csv

    def spy(*args: object, **options: object) -> object:
        asked.append(int(str(options["chunksize"])))
        return real(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(pd, "read_csv", spy)
    for cells in (100, 10, 1):
        monkeypatch.setattr(columns, "CELLS_AT_ONCE", cells)
        assert values(write(tmp_path, "id,a,b\nx,1,2\ny,3,4\n")) == [[1, 2], [3, 4]]
    assert asked == [33, 3, 1]


def test_rows_of_a_long_header_are_passed_over(tmp_path: Path) -> None:
    table = write(tmp_path, "h,u,v\n,,\nid,,\nx,1,2\n")
    names: Sequence[str] = ["id", "u.v", "w"]
    assert columns.header(table, n_rows=3)[2] == ["id", "", ""]
    assert columns.read(table, names, skip=3, text=["id"])[2].tolist() == [[1, 2]]
    with pytest.raises(DatasetError, match="4 rows, expected 5 of header at least"):
        columns.header(table, n_rows=5)


def test_real_table_is_what_plain_csv_reads(shared: Path) -> None:
    table = shared / "data" / "fma_small_vggish" / "features.csv"
    with table.open(newline="") as file:
        head, *rows = csv.reader(file)
    places = [place for place, name in enumerate(head) if name.startswith("vggish_")]
    texts = [name for name in head if not name.startswith("vggish_")]
    _, names, numbers = read(table, *texts)
    assert names == tuple(head[place] for place in places)
    for row in (0, 4_095, 4_096, len(rows) - 1):
        assert numbers[row].tolist() == [np.float32(rows[row][place]) for place in places]
