from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mgr_cli.config import FEATURES, FeatureSpec
from mgr_cli.data import images
from mgr_cli.data.sources import Wishes
from mgr_cli.errors import DatasetError
from mgr_cli.plans import Plan
from tests.data.pictures import draw, write_table
from tests.data.test_colours import FRAME, colour, spectrogram

TWO_BANDS = Plan(spec=FeatureSpec(n_mels=2, scale="minmax"), min_seconds=0)
WHOLE = Plan(spec=FEATURES)
TEN_A_SECOND = FeatureSpec(
    sample_rate=10_000, hop_length=500, n_mels=16, decimation=2.0, scale="minmax"
)
BANDS_64 = Plan(spec=FeatureSpec(n_mels=64, scale="minmax"))


def save(path: Path, pixels: list[list[int]]) -> Path:
    Image.fromarray(np.array(pixels, np.uint8)).save(path)
    return path


def levels_of(path: Path, plan: Plan) -> np.ndarray:
    """Read a picture's rows, (n_frames, n_mels)."""
    return np.concatenate(list(images.read(path, plan).features["log-mel"]))


def test_top_row_is_the_highest_band_and_white_is_one(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", [[255, 51, 0], [102, 204, 153]])
    (rows,) = images.read(picture, TWO_BANDS).features["log-mel"]
    np.testing.assert_allclose(rows, [[0.4, 1.0], [0.8, 0.2], [0.6, 0.0]], rtol=1e-7)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous


def test_grey_becomes_decibels_where_the_front_end_says_so(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", [[255, 51], [0, 102]])
    plan = Plan(spec=FeatureSpec(n_mels=2, top_db=80.0), min_seconds=0)
    np.testing.assert_allclose(levels_of(picture, plan), [[-80, 0], [-48, -64]], rtol=1e-6)


def test_length_in_seconds_follows_from_the_columns(tmp_path: Path) -> None:
    plan = Plan(spec=TEN_A_SECOND)
    assert images.read(draw(tmp_path / "a.png", seed=0), plan).seconds == pytest.approx(2.0)


def test_long_picture_is_cut_to_its_first_columns(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png", seed=0)
    track = images.read(picture, Plan(spec=TEN_A_SECOND, max_seconds=1.26))
    (rows,) = track.features["log-mel"]
    assert track.seconds == pytest.approx(1.3)
    np.testing.assert_array_equal(rows, levels_of(picture, Plan(spec=TEN_A_SECOND))[:13])


def test_short_picture_is_refused_by_its_whole_length(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png", seed=0)
    with pytest.raises(DatasetError, match=r"a\.png: 2\.0 s long, 2\.1 s at least are asked for"):
        images.read(picture, Plan(spec=TEN_A_SECOND, min_seconds=2.1))
    exactly = Plan(spec=TEN_A_SECOND, min_seconds=1.94, max_seconds=1.94)  # 19 columns are 1.9 s
    assert images.read(picture, exactly).seconds == pytest.approx(1.9)


def test_track_says_what_it_was_read_from(tmp_path: Path) -> None:
    track = images.read(draw(tmp_path / "a.png", seed=0, size=(128, 9)), WHOLE)
    assert (track.sample_rate, track.codec) == (22_050, "PNG")
    assert track.decoder.startswith("Pillow ")


def test_black_and_white_picture_is_grey_too(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False], [False, True]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(levels_of(tmp_path / "a.png", TWO_BANDS), [[0, 1], [1, 0]])


@pytest.mark.parametrize("grey", [0, 1, 255])
def test_blank_picture_is_refused(tmp_path: Path, grey: int) -> None:
    picture = save(tmp_path / "a.png", [[grey, grey], [grey, grey]])
    with pytest.raises(DatasetError, match=f"blank, every pixel is {grey}"):
        images.read(picture, TWO_BANDS)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "png"), ("RGBA", "png"), ("P", "gif"), ("LA", "png"), ("CMYK", "jpg"), ("P", "png")],
)
def test_grey_in_every_mode_is_read(tmp_path: Path, mode: str, suffix: str) -> None:
    grey = Image.fromarray(spectrogram())
    grey.convert(mode).save(tmp_path / f"a.{suffix}", quality=100)
    levels = levels_of(tmp_path / f"a.{suffix}", BANDS_64)
    expected = spectrogram()[::-1].T / 255
    # JPEG rounds on the way to its brightness and back; GIF and PNG lose nothing.
    np.testing.assert_allclose(levels, expected, atol=4 / 255 if suffix == "jpg" else 1e-7)


def test_sixteen_bits_are_read_as_fine_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65_535], [257, 128]], np.uint16)).save(tmp_path / "a.png")
    expected = np.array([[1 / 255, 0], [128 / 65_535, 1]])
    np.testing.assert_allclose(levels_of(tmp_path / "a.png", TWO_BANDS), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_are_turned_back_into_levels(tmp_path: Path, mode: str) -> None:
    grey = spectrogram()
    if mode == "P":
        picture = Image.fromarray(255 - grey).convert("L")
        table = colour(np.arange(256, dtype=np.uint8)[::-1], "magma")
        picture.putpalette(table.tobytes())  # makes it one of colours, in no order of their own
    else:
        picture = Image.fromarray(colour(grey, "magma")).convert(mode)
    picture.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == mode
    np.testing.assert_array_equal(
        levels_of(tmp_path / "a.png", BANDS_64), grey[::-1].T / np.float32(255)
    )


@pytest.mark.parametrize("name", ["gray", "viridis", "magma"])
def test_transparent_frame_is_cut(tmp_path: Path, name: str) -> None:
    grey = spectrogram()
    opaque = np.full((*grey.shape, 1), 255, np.uint8)
    pixels = np.concatenate([colour(grey, name), opaque], axis=2)
    one_sided = np.pad(pixels, ((0, 0), (3, 0), (0, 0)))  # black, but nothing of it is seen
    for number, page in enumerate((np.pad(pixels, FRAME), one_sided)):
        Image.fromarray(page).save(tmp_path / f"{number}.png")
        levels = levels_of(tmp_path / f"{number}.png", BANDS_64)
        np.testing.assert_allclose(levels, grey[::-1].T / 255, atol=1.001 / 255)


def test_what_is_half_transparent_lies_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[..., 3] = [[255, 204], [0, 51]]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    levels = levels_of(tmp_path / "a.png", TWO_BANDS)
    np.testing.assert_allclose(levels, np.array([[1, 0], [0.8, 0.2]]), atol=1e-6)


def test_wholly_transparent_picture_is_blank(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 2)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: blank, every pixel is 255"):
        images.read(tmp_path / "a.png", TWO_BANDS)


def test_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    first, second = (Image.fromarray(spectrogram(seed=seed)) for seed in (0, 1))
    for name in ("a.gif", "b.png", "c.webp"):
        first.save(tmp_path / name, save_all=True, append_images=[second], lossless=True)
        np.testing.assert_allclose(
            levels_of(tmp_path / name, BANDS_64), spectrogram()[::-1].T / 255, atol=1e-6
        )


def test_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(spectrogram()).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.jpg")
    assert images.read(tmp_path / "a.jpg", BANDS_64).codec == "GIF"


def test_photograph_is_refused_by_its_name(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "me\n.png")
    with pytest.raises(DatasetError, match=r"^me\\n\.png: \d+% of it is off every known colour"):
        images.read(tmp_path / "me\n.png", BANDS_64)


@pytest.mark.parametrize("pixel", [(0, 0, 0), (200, 10, 10), (68, 1, 84)])
def test_one_pixel_is_refused(tmp_path: Path, pixel: tuple[int, int, int]) -> None:
    Image.new("RGB", (1, 1), pixel).save(tmp_path / "a.png")
    one_band = Plan(spec=FeatureSpec(n_mels=1), min_seconds=0)
    with pytest.raises(DatasetError, match=r"a\.png: (blank|100% of it is off)"):
        images.read(tmp_path / "a.png", one_band)


@pytest.mark.parametrize("suffix", ["ppm", "eps"])
def test_format_that_no_set_is_shared_in_is_refused(tmp_path: Path, suffix: str) -> None:
    # Pillow knows dozens; for EPS it runs Ghostscript.
    Image.fromarray(spectrogram()).save(tmp_path / f"a.{suffix}")
    (tmp_path / f"a.{suffix}").rename(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="not a readable picture"):
        images.read(tmp_path / "a.png", BANDS_64)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(12_000, 12_000), (16_000, 16_000), (16_384, 1_025)])
def test_bomb_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("1", size).save(tmp_path / "a.png")  # a few kB; 144 MB and more in grey
    with pytest.raises(DatasetError, match=r"a\.png: .*pixels"):
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
    with pytest.raises(DatasetError, match="16385 × 2 pixels, expected 16384 a side"):
        images.read(picture, TWO_BANDS)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_truncated_picture_is_refused(tmp_path: Path, share: float) -> None:
    data = draw(tmp_path / "whole.png", seed=0, size=(128, 387)).read_bytes()
    (tmp_path / "a.png").write_bytes(data[: int(share * len(data))])
    with pytest.raises(DatasetError, match=r"a\.png: not a readable picture"):
        images.read(tmp_path / "a.png", WHOLE)


def test_missing_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"a\.png: not a readable picture"):
        images.read(tmp_path / "a.png", WHOLE)


def test_what_pillow_refuses_with_a_value_error_is_refused(tmp_path: Path) -> None:
    bomb = PngImagePlugin.PngInfo()
    bomb.add_text("comment", "x" * (3 * 2**20), zip=True)  # a few kB that swell to 3 MB
    Image.new("L", (4, 2)).save(tmp_path / "bomb.png", pnginfo=bomb)
    with pytest.raises(DatasetError, match="not a readable picture"):
        images.read(tmp_path / "bomb.png", TWO_BANDS)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
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
            lambda: images.read(tmp_path / "a.png", WHOLE),
        ):
            try:
                act()
            except DatasetError:
                n_refused += 1
    assert n_refused > 20


def test_real_pictures_survive_their_colouring(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "gtzan_logmel"
    for name in ("classical/classical.00012", "metal/metal.00040"):
        grey = np.asarray(Image.open(root / f"{name}.png"))
        page = Image.fromarray(np.pad(colour(grey, "magma"), FRAME, constant_values=255))
        page.convert("RGBA").save(tmp_path / "a.png")
        page.save(tmp_path / "a.jpg", quality=75)
        expected = levels_of(root / f"{name}.png", WHOLE)
        np.testing.assert_array_equal(levels_of(tmp_path / "a.png", WHOLE), expected)
        # 2 % of the range is JPEG's own error in brightness; see `colours`.
        assert np.abs(levels_of(tmp_path / "a.jpg", WHOLE) - expected).mean() < 0.03


def test_blank_picture_of_fma_is_found(shared: Path) -> None:
    # 107535 is one of FMA-small's four near-silent clips.
    root = shared / "data" / "fma_small_logmel"
    plan = images.scan(root, Wishes()).plan
    with pytest.raises(DatasetError, match=r"107535\.png: blank, every pixel is"):
        images.read(root / "Instrumental" / "107535.png", plan)
    # 110736 is another one, of which something was left to draw.
    assert np.ptp(levels_of(root / "Hip-Hop" / "110736.png", plan)) > 0.9
