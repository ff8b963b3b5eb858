"""Pictures without a table: one folder a genre, and GTZAN's among them."""

from pathlib import Path

import pytest

from mgr_cli.config import FEATURES
from mgr_cli.data import gtzan, images, sources
from mgr_cli.data.sources import Wishes
from mgr_cli.errors import DatasetError
from tests.data.pictures import write_table


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_folder_without_table_and_pictures_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "loose.png", "rock/notes.txt", ".trash/a.png")
    with pytest.raises(DatasetError, match=r"no tracks\.csv and no picture in a folder of it"):
        images.scan(tmp_path, Wishes())


def test_genre_is_the_folder_however_deep_the_picture(tmp_path: Path) -> None:
    touch(tmp_path, "loose.png", "notes.txt", "Rock/a.PNG", "Hip-Hop/x/y/b.jpeg", ".t/c.png")
    assert images.fits(tmp_path)
    tracks = images.scan(tmp_path, Wishes(spec=FEATURES)).tracks
    assert [(track.track_id, track.path, track.genre, track.split) for track in tracks] == [
        ("Hip-Hop/x/y/b.jpeg", "Hip-Hop/x/y/b.jpeg", "Hip-Hop", None),
        ("Rock/a.PNG", "Rock/a.PNG", "Rock", None),
    ]


@pytest.mark.parametrize("folder", ["", "images_original/"])
@pytest.mark.parametrize("dot", ["", "."])
def test_names_of_gtzan_get_its_split(tmp_path: Path, folder: str, dot: str) -> None:
    known = gtzan.fault_filtered()
    ids = ["blues.00000", "jazz.00073", "rock.00000", "pop.00099", "blues.00012", "disco.00016"]
    assert known.get("jazz.00073") == "test"
    for name in ids:
        genre = name.split(".")[0]
        touch(tmp_path, f"{folder}{genre.title()}/{name.replace('.', dot).upper()}.PNG")
    tracks = images.scan(tmp_path, Wishes(spec=FEATURES)).tracks
    assert [track.track_id for track in tracks] == sorted(ids)
    assert {track.track_id: track.split for track in tracks} == {
        name: known.get(name, "") for name in ids
    }
    assert [track.genre for track in tracks] == [name.split(".")[0] for name in sorted(ids)]
    assert all((tmp_path / track.path).is_file() for track in tracks)
    passed_over = images.scan(tmp_path, Wishes(spec=FEATURES, own_split=False)).tracks
    assert [(track.track_id, track.split) for track in passed_over] == [
        (name, None) for name in sorted(ids)
    ]


def test_stray_picture_among_gtzans_does_not_undo_its_split(tmp_path: Path) -> None:
    touch(tmp_path, "blues/blues00000.png", "blues/blues00012.png", "blues/jazz00001.png")
    tracks = images.scan(tmp_path, Wishes(spec=FEATURES)).tracks
    assert [(track.track_id, track.split, track.problem) for track in tracks] == [
        ("blues.00000", "valid", ""),
        ("blues.00012", "test", ""),
        ("blues/jazz00001.png", "", "not named as GTZAN's tracks are"),
    ]


def test_few_names_like_gtzans_are_not_gtzan(tmp_path: Path) -> None:
    touch(tmp_path, "rock/rock00001.png", "techno/techno00001.png", "rock/a.png")
    tracks = images.scan(tmp_path, Wishes(spec=FEATURES)).tracks
    assert [(track.track_id, track.split, track.problem) for track in tracks] == [
        ("rock/a.png", None, ""),
        ("rock/rock00001.png", None, ""),
        ("techno/techno00001.png", None, ""),
    ]


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["blues/blues00000.png"], "images"),
        (["images_original/blues/blues00000.png", "features_30_sec.csv"], "images"),
        (
            ["images_original/blues/blues00000.png", "genres_original/blues/blues.00000.wav"],
            "gtzan",
        ),
        (["a/cover.jpg", "a/back.png", "b/cover.jpg", "b/x/one.mp3"], "folder"),
        (["a/cover.jpg", "one.mp3"], None),  # neither: what is beside audio may be a cover
        (["one.png"], None),
        (["images_original/one.png", "rock/a.png"], "images"),
    ],
)
def test_folders_of_pictures_are_told_from_covers(
    tmp_path: Path, names: list[str], layout: str | None
) -> None:
    touch(tmp_path, *names)
    if layout is None:
        with pytest.raises(DatasetError, match="no dataset recognised"):
            sources.recognise(tmp_path)
    else:
        assert sources.recognise(tmp_path).name == layout


def test_table_decides_even_beside_folders_of_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "rock/a.png")
    assert not images.fits(write_table(tmp_path, [("a", "rock/a.mp3", "rock", "")]))


def test_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "rock/a.png")

    def refuse(root: Path, suffixes: object) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(root / "locked"))

    monkeypatch.setattr(images, "find", refuse)
    assert not images.fits(tmp_path)
    with pytest.raises(DatasetError, match=r"rock/locked: cannot be read \(Permission denied\)"):
        images.scan(tmp_path, Wishes())


def test_file_is_no_folder_of_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv")
    assert not images.fits(tmp_path / "a.csv")
