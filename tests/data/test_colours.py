import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from mgr_cli.data import colours
from mgr_cli.errors import DatasetError

MAPS = ("magma", "inferno", "plasma", "viridis")
FRAME = ((35, 32), (54, 43), (0, 0))


def spectrogram(*, seed: int = 0, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Draw something of every level: waves, with the noise of real ones from column to column."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = np.sin(rows / 9) + np.cos(columns / 13) - rows / 40
    waves += np.random.default_rng(seed).normal(0, 0.2, size)
    levels: np.ndarray = np.rint(255 * (waves - waves.min()) / np.ptp(waves)).astype(np.uint8)
    return levels


def colour(grey: np.ndarray, name: str) -> np.ndarray:
    table = np.asarray(colormaps[name](np.arange(256)))[:, :3]
    pixels: np.ndarray = np.rint(table * 255).astype(np.uint8)[grey]
    return pixels


def through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def levels_apart(name: str) -> int:
    """Count by how many levels a colour of the map may be mistaken: where two have the same."""
    table = colour(np.arange(256, dtype=np.uint8), name)
    return 256 - len(np.unique(table, axis=0))


@pytest.mark.parametrize("name", ["gray", *MAPS])
def test_levels_come_back_as_they_were_drawn(name: str) -> None:
    grey = spectrogram()
    levels = colours.to_grey(colour(grey, name))
    assert levels.dtype == np.float32
    if name == "viridis":  # of 256 levels two share a colour with their neighbour
        assert np.abs(levels - grey).max() <= 1
        assert (levels != grey).mean() < 0.03
    else:
        np.testing.assert_array_equal(levels, grey)


@pytest.mark.parametrize("name", MAPS)
def test_both_of_matplotlibs_ways_to_draw_are_undone(name: str) -> None:
    # A mesh rounds its colours, an image cuts them.
    grey = spectrogram()
    slack = 1 if name == "viridis" else 0
    for way in ("pcolormesh", "imshow"):
        figure = Figure(figsize=(1.5, 1.5), dpi=100)
        axes = figure.add_axes((0.1, 0.2, 0.64, 96 / 225))
        if way == "imshow":
            axes.imshow(grey, cmap=name, aspect="auto", interpolation="nearest")
        else:
            axes.pcolormesh(grey[::-1], cmap=name)
        axes.axis("off")
        file = io.BytesIO()
        figure.savefig(file, format="png")
        levels = colours.to_grey(np.asarray(Image.open(file).convert("RGB")))
        assert levels.shape == (64, 96)
        assert np.abs(levels - grey).max() <= slack


@pytest.mark.parametrize("name", ["gray", *MAPS])
def test_every_level_has_its_colour(name: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    wrong = colours.to_grey(colour(ramp, name)) != ramp
    assert wrong.sum() == levels_apart(name)
    assert levels_apart(name) == (2 if name == "viridis" else 0)


# Hardly more than JPEG's own loss of brightness: on the same picture in grey the mean errors are
# 1.5 and 4.6; viridis, which climbs in brightness the least, has 2.5 and 5.1.
@pytest.mark.parametrize(("quality", "mean"), [(95, 2.8), (75, 5.5)])
@pytest.mark.parametrize("name", MAPS)
def test_noise_of_jpeg_is_borne(name: str, quality: int, mean: float) -> None:
    grey = spectrogram(size=(128, 192))
    levels = colours.to_grey(through_jpeg(colour(grey, name), quality))
    assert np.abs(levels - grey).mean() < mean


@pytest.mark.parametrize("name", MAPS)
def test_map_is_found_in_a_quiet_picture_too(name: str) -> None:
    grey = spectrogram() // 4  # where the maps are most alike
    levels = colours.to_grey(through_jpeg(colour(grey, name), 75))
    assert np.abs(levels - grey).mean() < 2.5  # 1.9 to 2.0; decoded by the other map, more


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("quality", [None, 95])
def test_white_frame_round_colours_is_cut(name: str, quality: int | None) -> None:
    grey = spectrogram()
    framed = np.pad(colour(grey, name), FRAME, constant_values=255)
    levels = colours.to_grey(framed if quality is None else through_jpeg(framed, quality))
    assert levels.shape == grey.shape
    assert np.abs(levels - grey).mean() < (0.03 if quality is None else 4)


@pytest.mark.parametrize("name", MAPS)
def test_no_colour_of_a_map_is_taken_for_paper(name: str) -> None:
    table = colour(np.arange(256, dtype=np.uint8), name)
    assert table.min(axis=1).max() <= colours.BRIGHTEST
    grey = spectrogram()
    grey[[0, -1]] = grey[:, [0, -1]] = 255  # the loudest level on all sides is sound
    assert colours.to_grey(colour(grey, name)).shape == grey.shape


@pytest.mark.parametrize("deep", [False, True])
def test_frame_round_grey_is_cut_only_where_it_is_on_all_sides(deep: bool) -> None:
    grey = spectrogram()
    grey[0] = 255  # sound: one loud band
    pixels = np.repeat(grey[..., None], 3, axis=2) if deep else grey
    np.testing.assert_array_equal(colours.to_grey(pixels), grey)
    frame = FRAME if deep else FRAME[:2]
    inside = colours.to_grey(np.pad(pixels, frame, constant_values=255))
    np.testing.assert_array_equal(inside, grey[1:])  # the band cannot be told from the frame


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_white_page_is_left_as_it_is(shape: tuple[int, ...]) -> None:
    levels = colours.to_grey(np.full(shape, 255, np.uint8))
    np.testing.assert_array_equal(levels, np.full((5, 7), 255))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (300, 1, 3), (9, 9, 3), (7, 20, 3)])
def test_small_pictures_of_one_colour_have_one_level(shape: tuple[int, int, int]) -> None:
    pixels = np.full(shape, colour(np.array(200), "magma"), np.uint8)
    np.testing.assert_array_equal(colours.to_grey(pixels), np.full(shape[:2], 200))


def test_large_picture_is_decoded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = spectrogram(size=(67, 96))
    monkeypatch.setattr(colours, "PIXELS_AT_ONCE", 96 * 16)
    monkeypatch.setattr(colours, "COLOURS_AT_ONCE", 7)
    np.testing.assert_array_equal(colours.to_grey(colour(grey, "magma")), grey)


@pytest.mark.parametrize(
    "name", ["jet", "hot", "turbo", "cividis", "coolwarm", "bone", "copper", "CMRmap", "afmhot"]
)
@pytest.mark.parametrize("quality", [None, 75])
def test_other_maps_are_refused(name: str, quality: int | None) -> None:
    pixels = colour(spectrogram(), name)
    with pytest.raises(DatasetError, match=r"^\d+% of it is off every known .* expected grey, mag"):
        colours.to_grey(pixels if quality is None else through_jpeg(pixels, quality))


def photograph() -> np.ndarray:
    rows, columns = np.mgrid[:64, :96] / 12
    channels = [np.sin(rows + columns), np.cos(rows * 2), np.sin(columns) * np.cos(rows)]
    return (127 + 100 * np.stack(channels, axis=2)).astype(np.uint8)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def tinted() -> np.ndarray:
    """As a screen may show it: the map is plain to see, its levels are not to be had."""
    tint = np.array([40, 0, 0], np.uint8)
    pixels: np.ndarray = np.minimum(colour(spectrogram(), "viridis"), 215) + tint
    return pixels


def with_colour_bar() -> np.ndarray:
    page = np.full((80, 140, 3), 255, np.uint8)
    page[8:72, 8:104] = colour(spectrogram(), "magma")
    page[8:72, 120:130] = colour(np.linspace(255, 0, 64).astype(np.uint8)[:, None], "magma")
    return page


@pytest.mark.parametrize("draw", [photograph, noise, tinted, with_colour_bar])
def test_what_is_no_bare_spectrogram_is_refused(draw: Callable[[], np.ndarray]) -> None:
    with pytest.raises(DatasetError, match="off every known colour map"):
        colours.to_grey(draw())
