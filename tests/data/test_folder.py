from pathlib import Path

import pytest

from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.data import folder
from mgr_cli.data.sources import Wishes
from mgr_cli.errors import DatasetError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_genre_is_the_folder_below_the_root_however_deep_the_file(tmp_path: Path) -> None:
    touch(tmp_path, "rock/z.mp3", "rock/album/cd 1/a.FLAC", "blues/B.Wav", "blues/cover.png")
    tracks = folder.scan(tmp_path, Wishes()).tracks
    assert [(track.track_id, track.genre) for track in tracks] == [
        ("blues/B.Wav", "blues"),
        ("rock/album/cd 1/a.FLAC", "rock"),
        ("rock/z.mp3", "rock"),
    ]
    assert all(track.path == track.track_id and track.split is None for track in tracks)


def test_files_without_a_genre_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "loose.mp3", ".trash/a.mp3", "rock/._b.mp3", "rock/c.mp3", "empty/notes.txt")
    assert [track.path for track in folder.scan(tmp_path, Wishes()).tracks] == ["rock/c.mp3"]


def test_folder_without_audio_is_refused_and_does_not_fit(tmp_path: Path) -> None:
    touch(tmp_path, "loose.mp3", "rock/notes.txt")
    assert not folder.fits(tmp_path)
    with pytest.raises(DatasetError, match="no audio in it; expected one folder a genre"):
        folder.scan(tmp_path, Wishes())


def test_folder_of_folders_with_audio_fits(tmp_path: Path) -> None:
    touch(tmp_path, "notes/readme.txt", "rock/album/a.OGG")
    assert folder.fits(tmp_path)


def test_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "rock/a.mp3")

    def refuse(root: Path, suffixes: object) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(root / "locked"))

    monkeypatch.setattr(folder, "find", refuse)
    with pytest.raises(DatasetError, match=r"rock/locked: cannot be read \(Permission denied\)"):
        folder.scan(tmp_path, Wishes())


def test_front_end_is_the_projects_unless_named(tmp_path: Path) -> None:
    touch(tmp_path, "rock/a.mp3")
    assert folder.scan(tmp_path, Wishes()).plan.spec == FEATURES
    spec = FeatureSpec(n_mels=40)
    assert folder.scan(tmp_path, Wishes(spec=spec)).plan.spec == spec


def test_real_wavs_are_listed_by_genre(shared: Path) -> None:
    tracks = folder.scan(shared / "audio" / "gtzan", Wishes()).tracks
    assert len(tracks) == 10
    assert all(track.path == f"{track.genre}/{track.genre}.00000.wav" for track in tracks)
