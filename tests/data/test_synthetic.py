from pathlib import Path

import pytest

from mgr_cli import audio
from mgr_cli.data import listing, synthetic
from mgr_cli.data.sources import Wishes, recognise
from mgr_cli.errors import DatasetError
from mgr_cli.plans import Plan
from mgr_cli.styles import STYLES


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "TRACKS_OF_A_STYLE", 2)
    monkeypatch.setattr(synthetic, "SECONDS", 1.0)


def ignore(done: int, total: int, what: str) -> None:
    return None


def compose(folder: Path, *, seed: int = 0) -> Path:
    synthetic.compose_set(folder, seed=seed, n_jobs=1, progress=ignore)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_music_lies_by_style_and_says_that_it_is_synthetic(tmp_path: Path) -> None:
    folder = compose(tmp_path / "demo")
    names = [f"{style}/{style}-{number:03d}.mp3" for style in STYLES for number in range(2)]
    assert list(contents(folder)) == sorted(["SYNTHETIC.txt", "tracks.csv", *names])
    said = (folder / "SYNTHETIC.txt").read_text()
    assert "not to learn what a genre sounds like" in said
    assert "seed 0" in said
    assert recognise(folder).name == "demo"
    tracks = synthetic.scan(folder, Wishes()).tracks
    assert [track.path for track in tracks] == sorted(names)
    assert {track.genre for track in tracks} == {f"synthetic {style}" for style in STYLES}
    assert (tracks[0].title, tracks[0].split) == ("disco no. 0", None)
    read = synthetic.read(folder / tracks[0].path, Plan())
    assert read.seconds == pytest.approx(1, abs=0.1)  # mp3 frames of 26 ms, and their padding


def test_every_track_is_another_and_every_seed(tmp_path: Path) -> None:
    first, other = compose(tmp_path / "a"), compose(tmp_path / "b", seed=1)
    music = [data for name, data in contents(first).items() if name.endswith(".mp3")]
    music += [data for name, data in contents(other).items() if name.endswith(".mp3")]
    assert len(set(music)) == 4 * len(STYLES)


def test_killed_halfway_and_repeated_gives_the_same_bytes(tmp_path: Path) -> None:
    whole = compose(tmp_path / "whole")
    halfway = tmp_path / "halfway"

    def die(done: int, total: int, what: str) -> None:
        assert (total, what) == (2 * len(STYLES), "tracks")
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.compose_set(halfway, seed=0, n_jobs=1, progress=die)
    left = contents(halfway)
    assert "tracks.csv" not in left
    assert 5 <= len([name for name in left if name.endswith(".mp3")]) < 2 * len(STYLES)
    assert synthetic.is_wanted(halfway, None)
    with pytest.raises(DatasetError, match=r"tracks\.csv: cannot be read"):
        synthetic.scan(halfway, Wishes())
    compose(halfway)
    assert contents(halfway) == contents(whole)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_track_that_is_there_is_not_composed_again(tmp_path: Path, n_jobs: int) -> None:
    folder = compose(tmp_path / "demo")
    (folder / "tracks.csv").unlink()
    for path in folder.rglob("*.mp3"):
        path.write_bytes(b"kept")
    synthetic.compose_set(folder, seed=0, n_jobs=n_jobs, progress=ignore)
    assert {path.read_bytes() for path in folder.rglob("*.mp3")} == {b"kept"}
    assert (folder / "tracks.csv").is_file()


@pytest.mark.parametrize(
    ("name", "layout", "wanted"),
    [
        ("demo", None, True),
        ("music", None, False),
        ("sub/demo", None, False),  # a path is somebody's folder, misspelt
        ("music", "demo", True),
        ("demo", "folder", False),
    ],
)
def test_music_is_wanted_by_its_name_or_layout_where_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, layout: str | None, wanted: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    assert synthetic.is_wanted(Path(name), layout) is wanted


@pytest.mark.parametrize(
    ("names", "layout", "wanted"),
    [
        (["SYNTHETIC.txt"], None, True),  # begun and not whole
        (["SYNTHETIC.txt"], "demo", True),
        (["SYNTHETIC.txt", "tracks.csv"], "demo", False),
        ([], None, False),  # somebody's own folder of that name
        ([], "demo", False),
        (["tracks.csv"], "demo", False),
    ],
)
def test_folder_that_is_there_is_only_completed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    layout: str | None,
    wanted: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    for name in names:
        (tmp_path / "demo" / name).touch()
    assert synthetic.is_wanted(Path("demo"), layout) is wanted


def test_music_is_loud_and_of_the_synthesisers_rate(tmp_path: Path) -> None:
    folder = compose(tmp_path / "demo")
    for path in folder.rglob("*.mp3"):
        with audio.open_stream(path, sample_rate=None) as stream:
            loudest = max(float(abs(block).max()) for block in stream)
        assert 0.5 < loudest < 1.3, path.name  # mp3 overshoots


def test_table_names_columns_that_the_listing_knows(tmp_path: Path) -> None:
    folder = compose(tmp_path / "demo")
    assert {"path", "genre", "title", "track_id"} == set(listing.header(folder / "tracks.csv"))
