from pathlib import Path

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
