"""What a set of pictures lists, and which front end it says they have."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.data import images
from mgr_cli.data.sources import Wishes
from mgr_cli.errors import DatasetError
from mgr_cli.plans import PRESETS, Plan
from tests.data.pictures import draw, write_table
from tests.data.test_colours import FRAME, colour, spectrogram

TWO_BANDS = FeatureSpec(n_mels=2, scale="minmax")


def test_tracks_are_listed_in_order_of_their_ids(tmp_path: Path) -> None:
    draw(tmp_path / "p.png", seed=0)
    write_table(tmp_path, [("b", "p.png", "rock", "test"), ("a", "q.png", "blues", "")])
    first, second = images.scan(tmp_path, Wishes()).tracks
    assert (first.track_id, first.path, first.genre, first.split) == ("a", "q.png", "blues", "")
    assert (second.track_id, second.path, second.split) == ("b", "p.png", "test")


def test_set_without_a_split_column_has_none(tmp_path: Path) -> None:
    draw(tmp_path / "p.png", seed=0)
    write_table(tmp_path, [("a", "p.png", "rock")], header=("track_id", "path", "genre"))
    assert images.scan(tmp_path, Wishes()).tracks[0].split is None


def test_table_may_begin_with_a_byte_order_mark_and_have_more_columns(tmp_path: Path) -> None:
    draw(tmp_path / "p.png", seed=0)
    text = "﻿track_id,artist,genre,path\na,Ä,rock,p.png\n"
    (tmp_path / "tracks.csv").write_text(text, encoding="utf-8")
    assert images.fits(tmp_path)
    assert images.scan(tmp_path, Wishes()).tracks[0].track_id == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no track"),
        ("track_id,path,genre\n", "lists no track"),
        ("track_id,genre\na,rock\n", "no column 'path'; expected path, genre"),
        ("track_id,path,genre,split\na,p.png,rock,dev\n", "track a: split 'dev', expected train"),
        ("track_id,path,genre,split\na,p.png,rock,Train\n", "split 'Train'"),
        ("track_id,path,genre\na," + "p" * 200_000 + ",rock\n", "cannot be read"),
    ],
)
def test_table_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path / "p.png", seed=0)
    (tmp_path / "tracks.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        images.scan(tmp_path, Wishes())


def test_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tracks.csv").write_bytes(b"track_id,path,genre\n\xff\xfe,p.png,rock\n")
    with pytest.raises(DatasetError, match="cannot be read"):
        images.scan(tmp_path, Wishes())


def test_row_that_is_cut_short_has_empty_fields(tmp_path: Path) -> None:
    draw(tmp_path / "p.png", seed=0)
    (tmp_path / "tracks.csv").write_text("track_id,path,genre,split\na,p.png\n")
    (track,) = images.scan(tmp_path, Wishes()).tracks
    assert (track.genre, track.split) == ("", "")


@pytest.mark.parametrize(
    ("size", "frame_rate"),
    # A column every 1,708 samples of 22,050 Hz, every 10,336 of 44,100 Hz (README of the data),
    # else 30 s to the picture.
    [((128, 387), 22_050 / 1_708.4), ((128, 128), 44_100 / 10_336), ((64, 300), 10.0)],
)
def test_front_end_follows_from_the_size(
    tmp_path: Path, size: tuple[int, int], frame_rate: float
) -> None:
    draw(tmp_path / "p.png", seed=0, size=size)
    write_table(tmp_path, [("a", "p.png", "rock", "train")])
    spec = images.scan(tmp_path, Wishes()).plan.spec
    assert (spec.n_mels, spec.scale) == (size[0], "minmax")
    assert spec.frame_rate == pytest.approx(frame_rate, rel=1e-4)


def test_named_front_end_is_taken_as_it_is(tmp_path: Path) -> None:
    write_table(tmp_path, [("a", "absent.png", "rock", "train")])
    assert images.scan(tmp_path, Wishes(spec=TWO_BANDS)).plan.spec == TWO_BANDS


def test_front_end_is_that_of_the_first_picture_that_can_be_one(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"no picture")
    draw(tmp_path / "c.png", seed=0, size=(2_000, 50))  # more bands than any front end has
    draw(tmp_path / "d.png", seed=0, size=(16, 1))  # one column for 30 s
    draw(tmp_path / "e.png", seed=0, size=(16, 5_000))  # more than there are frames
    draw(tmp_path / "f.png", seed=0, size=(128, 387))
    names = ["a", "\0", "b", "c", "d", "e", "f"]
    write_table(tmp_path, [(name, f"{name}.png", "rock", "train") for name in names])
    assert images.scan(tmp_path, Wishes()).plan.spec == FEATURES


def test_set_without_any_picture_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, [("a", "a.png", "rock", "train")])
    with pytest.raises(
        DatasetError, match="no picture can be read as a spectrogram; the last: none of them"
    ):
        images.scan(tmp_path, Wishes())


@pytest.mark.parametrize(
    ("path", "expected"), [("a.png", True), ("a.PNG", True), ("a.jpeg", True), ("a.mp3", False)]
)
def test_layout_is_told_by_the_first_path(tmp_path: Path, path: str, expected: bool) -> None:
    assert images.fits(write_table(tmp_path, [("a", path, "rock", "")])) is expected


@pytest.mark.parametrize("text", [None, "", "path\n", "other\na.png\n", "path\n" + "p" * 200_000])
def test_other_tables_do_not_fit(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "tracks.csv").write_text(text)
    assert not images.fits(tmp_path)


def test_cut_picture_of_a_figure_is_recognised(tmp_path: Path) -> None:
    grey = spectrogram(size=(128, 387))
    page = np.pad(colour(grey, "magma"), FRAME, constant_values=255)
    Image.fromarray(page).save(tmp_path / "p.png")
    write_table(tmp_path, [("a", "p.png", "rock", "train")])
    assert images.scan(tmp_path, Wishes()).plan == Plan(spec=FEATURES)


def test_photographs_are_tried_a_while_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_TRIES", 2)
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (tmp_path / "rock").mkdir()
    for name in "abc":
        Image.fromarray(noise).save(tmp_path / "rock" / f"{name}.jpg")
    draw(tmp_path / "rock" / "d.png", seed=0)
    with pytest.raises(
        DatasetError, match=r"as a spectrogram; the last: b\.jpg: \d+% of it is off"
    ):
        images.scan(tmp_path, Wishes())


def test_pictures_have_log_mels_only(tmp_path: Path) -> None:
    draw(tmp_path / "rock" / "a.png", seed=0)
    with pytest.raises(DatasetError, match=r"waveform features cannot be made .* it has log-mel"):
        images.scan(tmp_path, Wishes(features=("waveform",)))


def test_lengths_asked_for_are_in_the_plan(tmp_path: Path) -> None:
    draw(tmp_path / "rock" / "a.png", seed=0)
    preset = PRESETS["seed-002"]
    wishes = Wishes(spec=preset.spec, min_seconds=29.7, max_seconds=29.7)
    expected = Plan(spec=preset.spec, min_seconds=29.7, max_seconds=29.7)
    assert images.scan(tmp_path, wishes).plan == expected


def test_real_sets_are_listed_whole(shared: Path) -> None:
    blues = images.scan(shared / "data" / "gtzan_logmel", Wishes())
    fma = images.scan(shared / "data" / "fma_small_logmel", Wishes())
    assert (len(blues.tracks), blues.plan.spec) == (999, FEATURES)
    assert (len(fma.tracks), fma.plan.spec.sample_rate) == (7_994, 44_100)
    splits = [track.split for track in fma.tracks]
    assert [splits.count(split) for split in ("train", "valid", "test")] == [6_394, 800, 800]
