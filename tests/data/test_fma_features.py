"""FMA's tables without its audio; the shared ones hold MFCC statistics of 7,994 tracks."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mgr_cli.data import fma, fma_tables
from mgr_cli.data.sources import Scan, Vectors, Wishes, recognise
from mgr_cli.errors import DatasetError
from mgr_cli.features import handcrafted
from mgr_cli.plans import Kind
from tests.data.test_fma import ROWS, lay_out

HEAD = "feature,mfcc,zcr,mfcc\nstatistics,mean,mean,std\nnumber,01,01,20\ntrack_id,,,\n"
TABLE = f"{HEAD}1200,12,12.5,1.2\n2,2,2.5,0.2\n3,3,3.5,0.3\n"


def metadata(folder: Path, features: str = TABLE, *, rows: tuple[str, ...] = ROWS) -> Path:
    """Write the three tables; `ROWS` lists 2, 3, 1200 and 155320."""
    lay_out(folder, rows=rows, audio=())
    tables = folder / "fma_metadata"
    (tables / "features.csv").write_text(features)
    return tables


def scanned(folder: Path, wishes: Wishes | None = None) -> tuple[Scan, Vectors]:
    scan = fma.scan(folder, wishes or Wishes())
    assert scan.vectors is not None
    return scan, scan.vectors


@pytest.fixture(scope="module")
def real(shared: Path) -> tuple[Scan, Vectors]:
    return scanned(shared / "data/fma_small_metadata")


def test_rows_are_in_order_of_the_tracks_that_have_one(tmp_path: Path) -> None:
    scan, vectors = scanned(metadata(tmp_path))
    assert [track.track_id for track in scan.tracks] == ["000002", "000003", "001200"]
    assert vectors.columns == ("mfcc.mean.01", "zcr.mean.01", "mfcc.std.20")
    expected = np.array([[2, 2.5, 0.2], [3, 3.5, 0.3], [12, 12.5, 1.2]], np.float32)
    np.testing.assert_array_equal(vectors.values, expected)
    assert (vectors.kind, vectors.origin) == ("handcrafted", "FMA's features.csv")
    assert scan.plan.kinds == ("handcrafted",)


def test_tracks_say_what_the_other_tables_know(tmp_path: Path) -> None:
    first, second, third = scanned(metadata(tmp_path))[0].tracks
    assert (first.genre, first.split, first.artist, first.path) == ("Rock", "train", "NA", "")
    assert (second.genres, second.split) == ("Punk|Garage", "valid")
    assert third.problem == "its genres have several parents: Folk, Rock"
    dealt = scanned(tmp_path / "fma_metadata", Wishes(own_split=False, level="sub"))[0].tracks
    assert [(track.genre, track.split) for track in dealt][:2] == [("Rock", None), ("Garage", None)]


def test_subset_asks_for_tracks_that_have_no_row(tmp_path: Path) -> None:
    scan, vectors = scanned(metadata(tmp_path), Wishes(subset="large"))
    problems = {track.track_id: track.problem for track in scan.tracks}
    assert list(problems) == ["000002", "000003", "001200", "155320"]
    assert problems["155320"] == "not in features.csv"
    assert np.isnan(vectors.values[3]).all()
    assert not np.isnan(vectors.values[:3]).any()
    scan, vectors = scanned(tmp_path / "fma_metadata", Wishes(subset="small"))
    assert [track.track_id for track in scan.tracks] == ["000002"]
    assert vectors.values[:, 0].tolist() == [2]


def test_tables_are_found_beside_a_folder_that_has_no_audio(tmp_path: Path) -> None:
    metadata(tmp_path)
    assert len(fma.scan(tmp_path / "fma_large", Wishes()).tracks) == 3


def test_folder_of_tables_is_recognised_if_all_three_are_there(tmp_path: Path) -> None:
    tables = metadata(tmp_path)
    assert recognise(tables).name == "fma"
    (tables / "genres.csv").unlink()
    assert not fma.fits(tables)


def test_audio_is_preferred_to_its_features(tmp_path: Path) -> None:
    tables = metadata(tmp_path)
    audio = tmp_path / "fma_large" / "000" / "000002.mp3"
    audio.parent.mkdir()
    audio.touch()
    asked: tuple[tuple[Kind, ...] | None, ...] = (None, ("handcrafted",))
    for features in asked:
        scan = fma.scan(tmp_path, Wishes(features=features, metadata=tables, subset="small"))
        assert scan.vectors is None
        assert scan.plan.kinds == (features or ("log-mel",))
        assert [track.path for track in scan.tracks] == ["fma_large/000/000002.mp3"]


def test_spectrograms_cannot_be_made_of_tables(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"log-mel features cannot .* it has handcrafted"):
        fma.scan(metadata(tmp_path), Wishes(features=("log-mel",)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("feature,", "features,", r"its rows begin with \['features', .*expected FMA's official"),
        ("statistics,", ",", "its rows begin with"),
        ("track_id,,,\n", "", "its rows begin with"),
        (HEAD, "track_id,a\n", r"its rows begin with|rows, expected 4 of header"),
        ("mfcc,zcr", "mfcc,tempo", r"'tempo\.mean\.01' is no feature of FMA"),
        ("01,01,20", "01,01,21", r"'mfcc\.std\.21' is no feature of FMA"),
        ("01,01,20", "1,01,20", r"'mfcc\.mean\.1' is no feature of FMA"),
        ("mfcc,zcr,mfcc\nstatistics,mean,mean,std\nnumber,01,01,20",
         "mfcc,mfcc,mfcc\nstatistics,mean,mean,std\nnumber,01,01,20", ".*or is double"),
        ("\n3,", "\n2,", "lists a track twice; expected one row a track"),
        ("\n3,", "\n000002,", "lists a track twice"),
        ("\n3,", "\n../3,", r"track_id '\.\./3', expected a number of up to six digits"),
        ("3,3,3.5,0.3", "3,3,3.5,0.3,9", "cannot be read"),
        ("number,01,01,20", "number,01,01", "cannot be read"),
        ("1200,12,12.5,1.2\n2,2,2.5,0.2\n3,3,3.5,0.3\n", "", "no row in it"),
        ("1200,12", "1200,\udcff", "cannot be read"),
    ],
)  # fmt: skip
def test_table_that_is_not_the_official_one_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    tables = metadata(tmp_path)
    assert old in TABLE
    changed = TABLE.replace(old, new, 1)
    (tables / "features.csv").write_text(changed, errors="surrogateescape")
    with pytest.raises(DatasetError, match=rf"features\.csv: ({message})"):
        fma.scan(tables, Wishes())


def test_table_of_other_tracks_is_refused(tmp_path: Path) -> None:
    tables = metadata(tmp_path, f"{HEAD}7,1,1,1\n")
    with pytest.raises(DatasetError, match=r"features\.csv has no track that tracks\.csv lists"):
        fma.scan(tables, Wishes())


def test_cell_without_a_number_is_kept_as_none(tmp_path: Path) -> None:
    _, vectors = scanned(metadata(tmp_path, TABLE.replace("3,3,3.5", "3,,3.5")))
    assert np.isnan(vectors.values).tolist() == [[False] * 3, [True, False, False], [False] * 3]


def test_real_table_is_of_7994_tracks_with_140_of_fmas_features(
    real: tuple[Scan, Vectors],
) -> None:
    scan, vectors = real
    assert vectors.values.shape == (len(scan.tracks), len(vectors.columns)) == (7_994, 140)
    assert set(vectors.columns) == {name for name in handcrafted.NAMES if name.startswith("mfcc.")}
    assert Counter(t.split for t in scan.tracks) == {"train": 6_394, "valid": 800, "test": 800}
    assert not any(track.problem for track in scan.tracks)
    assert (~np.isfinite(vectors.values)).any(axis=1).sum() == 3


def test_real_values_are_what_plain_csv_reads(shared: Path, real: tuple[Scan, Vectors]) -> None:
    scan, vectors = real
    with (shared / "data/fma_small_metadata/features.csv").open(newline="") as file:
        heads, rows = (lambda lines: (lines[:3], lines[4:]))(list(csv.reader(file)))
    cells = {f"{int(row[0]):06d}": row for row in rows}
    place = {".".join(names): n for n, names in enumerate(zip(*heads, strict=True))}
    for number in (0, 4_095, 4_096, 7_993):
        row = cells[scan.tracks[number].track_id]
        expected = [np.float32(row[place[name]]) for name in vectors.columns]
        assert vectors.values[number].tolist() == expected


def test_real_names_and_places_belong_together(shared: Path) -> None:
    names, places, values = fma_tables.read_features(
        shared / "data/fma_small_metadata/features.csv"
    )
    assert values[places["000002"], names.index("mfcc.kurtosis.01")] == np.float32(3.24469)
