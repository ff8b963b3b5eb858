from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.data import images
from mgr_cli.data.sources import Wishes
from mgr_cli.errors import DatasetError
from tests.data.pictures import draw, write_table

TWO_BANDS = FeatureSpec(n_mels=2, scale="minmax")


def save(path: Path, pixels: list[list[int]]) -> Path:
    Image.fromarray(np.array(pixels, np.uint8)).save(path)
    return path


def test_top_row_is_the_highest_band_and_white_is_one(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", [[255, 51, 0], [102, 204, 153]])
    track = images.read(picture, TWO_BANDS)
    np.testing.assert_allclose(track.features, [[0.4, 0.8, 0.6], [1.0, 0.2, 0.0]], rtol=1e-7)
    assert track.features.dtype == np.float32


def test_grey_becomes_decibels_where_the_front_end_says_so(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", [[255, 51], [0, 102]])
    track = images.read(picture, FeatureSpec(n_mels=2, top_db=80.0))
    np.testing.assert_allclose(track.features, [[-80, -48], [0, -64]], rtol=1e-6)


def test_length_in_seconds_follows_from_the_columns(tmp_path: Path) -> None:
    spec = FeatureSpec(sample_rate=10_000, hop_length=500, n_mels=16, decimation=2.0)
    assert images.read(draw(tmp_path / "a.png", seed=0), spec).seconds == pytest.approx(2.0)


def test_track_says_what_it_was_read_from(tmp_path: Path) -> None:
    track = images.read(draw(tmp_path / "a.png", seed=0, size=(128, 9)), FEATURES)
    assert (track.sample_rate, track.codec) == (22_050, "PNG")
    assert track.decoder.startswith("Pillow ")


def test_black_and_white_picture_is_grey_too(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False], [False, True]])).save(tmp_path / "a.png")
    features = images.read(tmp_path / "a.png", TWO_BANDS).features
    np.testing.assert_array_equal(features, [[0, 1], [1, 0]])


@pytest.mark.parametrize("grey", [0, 1, 255])
def test_blank_picture_is_refused(tmp_path: Path, grey: int) -> None:
    picture = save(tmp_path / "a.png", [[grey, grey], [grey, grey]])
    with pytest.raises(DatasetError, match=f"blank, every pixel is {grey}"):
        images.read(picture, TWO_BANDS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "I;16"])
def test_picture_that_is_not_grey_is_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 2)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=f"a {mode} picture, expected grey"):
        images.read(tmp_path / "a.png", TWO_BANDS)


def test_picture_of_another_height_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="16 rows, expected 2 mel bands"):
        images.read(draw(tmp_path / "a.png", seed=0), TWO_BANDS)


def test_huge_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = draw(tmp_path / "a.png", seed=0, size=(2, images.MAX_SIDE + 1))
    assert images.read(draw(tmp_path / "b.png", seed=0, size=(2, images.MAX_SIDE)), TWO_BANDS)
    monkeypatch.delattr(Image.Image, "convert")
    with pytest.raises(DatasetError, match="pixels, more than 16384"):
        images.read(picture, TWO_BANDS)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_truncated_picture_is_refused(tmp_path: Path, share: float) -> None:
    data = draw(tmp_path / "whole.png", seed=0, size=(128, 387)).read_bytes()
    (tmp_path / "a.png").write_bytes(data[: int(share * len(data))])
    with pytest.raises(DatasetError, match=r"a\.png: not a readable picture"):
        images.read(tmp_path / "a.png", FEATURES)


def test_missing_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"a\.png: not a readable picture"):
        images.read(tmp_path / "a.png", FEATURES)


def test_what_pillow_refuses_with_a_value_error_is_refused(tmp_path: Path) -> None:
    bomb = PngImagePlugin.PngInfo()
    bomb.add_text("comment", "x" * (3 * 2**20), zip=True)  # a few kB that swell to 3 MB
    Image.new("L", (4, 2)).save(tmp_path / "bomb.png", pnginfo=bomb)
    with pytest.raises(DatasetError, match="not a readable picture"):
        images.read(tmp_path / "bomb.png", TWO_BANDS)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
def test_damaged_bytes_raise_nothing_else(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    whole = draw(tmp_path / f"whole.{suffix}", seed=0, size=(128, 40)).read_bytes()
    n_refused = 0
    for _ in range(200):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), int(rng.choice([60, 4_000]))), 4):
            data[place] = rng.integers(0, 256)
        (tmp_path / "a.png").write_bytes(data)
        write_table(tmp_path, [("a", "a.png", "rock", "")])
        for act in (
            lambda: images.scan(tmp_path, Wishes()),
            lambda: images.read(tmp_path / "a.png", FEATURES),
        ):
            try:
                act()
            except DatasetError:
                n_refused += 1
    assert n_refused > 20


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


def test_missing_table_is_refused(tmp_path: Path) -> None:
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
    spec = images.scan(tmp_path, Wishes()).spec
    assert (spec.n_mels, spec.scale) == (size[0], "minmax")
    assert spec.frame_rate == pytest.approx(frame_rate, rel=1e-4)


def test_named_front_end_is_taken_as_it_is(tmp_path: Path) -> None:
    write_table(tmp_path, [("a", "absent.png", "rock", "train")])
    assert images.scan(tmp_path, Wishes(spec=TWO_BANDS)).spec == TWO_BANDS


def test_front_end_is_that_of_the_first_picture_that_can_be_one(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"no picture")
    draw(tmp_path / "c.png", seed=0, size=(2_000, 50))  # more bands than any front end has
    draw(tmp_path / "d.png", seed=0, size=(16, 1))  # one column for 30 s
    draw(tmp_path / "e.png", seed=0, size=(16, 5_000))  # more than there are frames
    draw(tmp_path / "f.png", seed=0, size=(128, 387))
    names = ["a", "\0", "b", "c", "d", "e", "f"]
    write_table(tmp_path, [(name, f"{name}.png", "rock", "train") for name in names])
    assert images.scan(tmp_path, Wishes()).spec == FEATURES


def test_set_without_any_picture_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, [("a", "a.png", "rock", "train")])
    with pytest.raises(DatasetError, match=r"no picture in tracks\.csv can be opened"):
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


def test_blank_picture_of_fma_is_found(shared: Path) -> None:
    # 107535 is one of FMA-small's four near-silent clips.
    root = shared / "data" / "fma_small_logmel"
    spec = images.scan(root, Wishes()).spec
    with pytest.raises(DatasetError, match=r"107535\.png: blank, every pixel is"):
        images.read(root / "Instrumental" / "107535.png", spec)
    # 110736 is another one, of which something was left to draw.
    assert np.ptp(images.read(root / "Hip-Hop" / "110736.png", spec).features) > 0.9


def test_real_sets_are_listed_whole(shared: Path) -> None:
    gtzan = images.scan(shared / "data" / "gtzan_logmel", Wishes())
    fma = images.scan(shared / "data" / "fma_small_logmel", Wishes())
    assert (len(gtzan.tracks), gtzan.spec) == (999, FEATURES)
    assert (len(fma.tracks), fma.spec.sample_rate) == (7_994, 44_100)
    splits = [track.split for track in fma.tracks]
    assert [splits.count(split) for split in ("train", "valid", "test")] == [6_394, 800, 800]
