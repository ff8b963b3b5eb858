import csv
from pathlib import Path

import numpy as np
import pytest

from mgr_cli.data import table
from mgr_cli.data.sources import RawTrack, Wishes, recognise
from mgr_cli.errors import DatasetError


def write_csv(root: Path, text: str) -> Path:
    (root / "tracks.csv").write_text(text, encoding="utf-8")
    return root


def test_row_becomes_a_track_and_its_path_is_its_id(tmp_path: Path) -> None:
    root = write_csv(tmp_path, "path,artist,genre,split,mood\nb.MP3,Ä & Ö,folk,test,sad\n")
    assert table.fits(root)
    assert table.scan(root, Wishes()).tracks == (
        RawTrack("b.MP3", "b.MP3", "folk", split="test", artist="Ä & Ö"),
    )


def test_split_is_passed_over_if_asked(tmp_path: Path) -> None:
    root = write_csv(tmp_path, "path,genre,split\na.flac,folk,test\n")
    assert table.scan(root, Wishes(own_split=False)).tracks[0].split is None


def test_pictures_and_features_are_no_audio(tmp_path: Path) -> None:
    assert not table.fits(write_csv(tmp_path, "path,genre\na.png,folk\n"))
    assert not table.fits(write_csv(tmp_path, "track_id,genre,f1\na,folk,0.5\n"))
    assert not table.fits(tmp_path / "absent")


def test_table_without_genres_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no column 'genre'; expected path, genre"):
        table.scan(write_csv(tmp_path, "path,kind\na.wav,folk\n"), Wishes())


def test_emotify_comes_with_its_artists_on_one_side(shared: Path) -> None:
    root = shared / "audio" / "emotify"
    assert recognise(root).name == "table"
    tracks = table.scan(root, Wishes()).tracks
    splits = [track.split for track in tracks]
    assert [splits.count(split) for split in ("train", "valid", "test")] == [160, 80, 80]
    sides: dict[str, set[str | None]] = {}
    for track in tracks:
        sides.setdefault(track.artist, set()).add(track.split)
    assert all(len(side) == 1 for side in sides.values())


def write_features(root: Path, text: str, *, name: str = "features.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8")
    return root / name


FEATURES = """\
track_id,a,genre,mood,split,artist,b
t2,2,rock,sad,test,Her,20
t10,10,jazz,glad,,,100
t1,1,rock,sad,train,Ä,10
"""


@pytest.mark.parametrize("name", ["features.csv", "Mine.CSV"])
def test_features_stand_in_a_folder_or_in_a_file_that_is_named(tmp_path: Path, name: str) -> None:
    file = write_features(tmp_path, FEATURES, name=name)
    for root in (file, *([tmp_path] if name == "features.csv" else [])):
        assert recognise(root).name == "table"
        assert recognise(root, layout="table").name == "table"
        scan = table.scan(root, Wishes())
        assert scan.plan.kinds == ("table",)
        assert scan.vectors is not None
        assert (scan.vectors.kind, scan.vectors.origin) == ("table", name)
        assert scan.vectors.columns == ("a", "b")


def test_values_follow_their_tracks_into_order(tmp_path: Path) -> None:
    scan = table.scan(write_features(tmp_path, FEATURES), Wishes())
    assert scan.tracks == (
        RawTrack("t1", "", "rock", split="train", artist="Ä"),
        RawTrack("t10", "", "jazz", split=""),
        RawTrack("t2", "", "rock", split="test", artist="Her"),
    )
    assert scan.vectors is not None
    assert scan.vectors.values.tolist() == [[1, 10], [10, 100], [2, 20]]


def test_numbers_of_tracks_are_text(tmp_path: Path) -> None:
    scan = table.scan(write_features(tmp_path, "track_id,genre,a\n010,1,5\n9,2,6\n"), Wishes())
    assert [(track.track_id, track.genre) for track in scan.tracks] == [("010", "1"), ("9", "2")]


@pytest.mark.parametrize("ids", ["track_id", "filename", "path"])
@pytest.mark.parametrize("genres", ["genre", "label"])
def test_others_names_of_columns_are_understood(tmp_path: Path, ids: str, genres: str) -> None:
    scan = table.scan(write_features(tmp_path, f"{ids},a,{genres}\nx.wav,1,rock\n"), Wishes())
    assert [(track.track_id, track.genre) for track in scan.tracks] == [("x.wav", "rock")]
    assert scan.vectors is not None
    assert scan.vectors.columns == ("a",)


def test_what_gives_the_genre_away_is_no_feature(tmp_path: Path) -> None:
    # A label beside the genre is its number, and rows are in order of genre.
    text = ",Unnamed: 0,genre,label,track_id,filename,a\n0,0,rock,7,1,11,5\n1,1,jazz,3,2,12,6\n"
    scan = table.scan(write_features(tmp_path, text), Wishes())
    assert scan.vectors is not None
    assert scan.vectors.columns == ("a",)
    assert [(track.track_id, track.genre) for track in scan.tracks] == [
        ("1", "rock"),
        ("2", "jazz"),
    ]


def test_split_of_features_is_checked_and_passed_over_if_asked(tmp_path: Path) -> None:
    file = write_features(tmp_path, FEATURES.replace("test,Her", "dev,Her"))
    with pytest.raises(DatasetError, match=r"track t2: split 'dev', expected train, valid, test"):
        table.scan(file, Wishes())
    splits = [track.split for track in table.scan(file, Wishes(own_split=False)).tracks]
    assert splits == [None] * 3
    without = write_features(tmp_path, "track_id,genre,a\nx,rock,1\n")
    assert table.scan(without, Wishes()).tracks[0].split is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("track_id,genre,a,a\nx,rock,1,2\n", "two columns 'a'; expected each name once"),
        ("track_id,a\nx,1\n", "no column 'genre'; expected genre or label"),
        ("genre,a\nrock,1\n", "no column 'track_id'; expected track_id or filename or path"),
        ("track_id,genre,mood\nx,rock,sad\n", "no feature in it"),
        ("track_id,genre,a\n", "no row in it"),
        ("\n\ntrack_id,genre,a\nx,rock,1\n", "no column 'genre'"),
        ("", "0 rows, expected 1 of header"),
    ],
)
def test_features_that_are_none_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"features\.csv: {message}"):
        table.scan(write_features(tmp_path, text), Wishes())


def test_audio_features_cannot_be_made_of_a_table(tmp_path: Path) -> None:
    file = write_features(tmp_path, FEATURES)
    with pytest.raises(DatasetError, match=r"log-mel features cannot be made .* it has table"):
        table.scan(file, Wishes(features=("log-mel",)))


def test_file_of_another_kind_is_no_table(tmp_path: Path) -> None:
    file = write_features(tmp_path, FEATURES, name="features.txt")
    assert not table.fits(file)
    with pytest.raises(DatasetError, match="a file; name the folder of a dataset, or a CSV"):
        recognise(file)
    with pytest.raises(DatasetError, match="a file; name the folder"):
        recognise(write_features(tmp_path, FEATURES), layout="folder")


def test_real_embeddings_are_what_plain_csv_reads(shared: Path) -> None:
    root = shared / "data" / "fma_small_vggish"
    scan = recognise(root).scan(root, Wishes())
    splits = [track.split for track in scan.tracks]
    assert [splits.count(split) for split in ("train", "valid", "test")] == [6_394, 800, 800]
    vectors = scan.vectors
    assert vectors is not None
    assert vectors.columns == tuple(f"vggish_{number:03d}" for number in range(128))
    assert vectors.values.shape == (7_994, 128)
    with (root / "features.csv").open(newline="") as file:
        rows = {row["track_id"]: row for row in csv.DictReader(file)}
    for place in (0, 1, 4_096, 7_993):
        track, row = scan.tracks[place], rows[scan.tracks[place].track_id]
        assert (track.genre, track.split) == (row["genre"], row["split"])
        assert vectors.values[place].tolist() == [np.float32(row[c]) for c in vectors.columns]


@pytest.mark.parametrize("segment", ["", ".0", ".9"])
def test_table_of_gtzan_has_its_split_and_keeps_segments_together(
    tmp_path: Path, segment: str
) -> None:
    # As Kaggle has features_30_sec.csv and features_3_sec.csv.
    names = {"blues.00000": "valid", "blues.00012": "test", "jazz.00099": "test"}
    rows = [f"{name}{segment}.wav,661794,{n},{name[:-6]}" for n, name in enumerate(names)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["filename,length,x,label", *rows]) + "\n")
    tracks = table.scan(path, Wishes()).tracks
    assert [track.split for track in tracks] == list(names.values())
    dealt = table.scan(path, Wishes(own_split=False)).tracks
    assert [(track.split, track.album) for track in dealt] == [(None, name) for name in names]


def test_table_with_one_id_that_is_not_gtzans_has_no_split(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("filename,x,label\nblues.00000.wav,1,blues\nmine.wav,2,blues\n")
    assert {track.split for track in table.scan(path, Wishes()).tracks} == {None}
