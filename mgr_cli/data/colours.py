"""From the colours of a drawn spectrogram back to its levels.

Spectrograms are shared as pictures that matplotlib drew: level 0..255, looked up in a table of
256 colours, written into a figure with a white frame. Three steps undo that:

1. The frame is cut off. No colour of the maps has all of red, green and blue above 191, so what
   is brighter along a whole edge is paper. In a grey picture white is also the loudest level;
   there only a white frame round all four sides is cut, which no spectrogram has of its own.
2. The map is found: each one is tried on samples of the picture, and the one stays that
   re-draws them best. Where colours lie on none, the picture is refused.
3. Every pixel gets the level whose colour is nearest.

A PNG comes back exactly, but for neighbouring levels that share one colour (two pairs in
viridis). JPEG keeps brightness well and colour at half the resolution, so the nearest colour is
sought mostly by brightness, and the map is judged by the mean colour of tiles, in which that
noise cancels. What JPEG did to the brightness remains: on pictures of GTZAN 2 to 3 levels in the
mean at quality 95, 5 to 7 at 75. A reversed map (``magma_r``) has the same colours, and is not
told from the map itself.
"""

from functools import cache

import numpy as np

from mgr_cli.errors import DatasetError

MAPS = ("magma", "inferno", "plasma", "viridis")
BRIGHTEST = 191  # the least of a colour's three channels is at most this on all of the maps
PAPER = 0.9  # share of an edge that is brighter; JPEG lets the spectrogram bleed into its frame
WHITE = 250  # of a grey frame; 255 before JPEG
GREY_SPREAD = 2  # levels between the channels of a grey that was stored as a colour

TILE = 8  # pixels a side, the block of JPEG
SAMPLED = 6  # tiles down and across by which the map is found
FAR = 16.0  # of 255: a tile's mean colour, from that of its levels; JPEG at 50 stays within
MOST_FAR = 0.05  # share of such tiles that is borne; other maps have 0.3 and more

PIXELS_AT_ONCE = 2**18
COLOURS_AT_ONCE = 2**13

# Brightness and, of less weight, the two colour differences, as JPEG (ITU-R BT.601) has them.
_WEIGHTED = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
).T * np.sqrt([1.0, 0.05, 0.05])


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Return the levels that a picture was drawn of, without its frame.

    Parameters
    ----------
    pixels : np.ndarray [shape=(height, width) or (height, width, 3)]
        Grey levels 0..255 or colours, uint8.

    Returns
    -------
    np.ndarray [shape=(rows, columns)]
        float32, 0..255; row 0 is the top one.

    Raises
    ------
    DatasetError
        If it is in colour, and more than `MOST_FAR` of it lies off every one of the `MAPS`.
    """
    if pixels.ndim == 3:
        red, green, blue = np.moveaxis(pixels, -1, 0)
        dark = np.minimum(np.minimum(red, green), blue)
        bright = np.maximum(np.maximum(red, green), blue)
        if (bright - dark).max() > GREY_SPREAD:
            return _levels_of(pixels[_inside(dark > BRIGHTEST, PAPER)]).astype(np.float32)
        pixels = green
    inside = _inside(pixels >= WHITE, 1.0)
    sides = zip(inside, pixels.shape, strict=True)
    framed = all(side.start > 0 and side.stop < length for side, length in sides)
    return (pixels[inside] if framed else pixels).astype(np.float32)


def _inside(white: np.ndarray, share: float) -> tuple[slice, slice]:
    """Cut the edges of which a share is white; return the rows and columns left, or else all."""
    rows = np.flatnonzero(white.mean(axis=1) < share)
    columns = np.flatnonzero(white.mean(axis=0) < share)
    if not (rows.size and columns.size):
        return slice(0, white.shape[0]), slice(0, white.shape[1])
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _levels_of(pixels: np.ndarray) -> np.ndarray:
    """Invert the map that a picture [shape=(height, width, 3)] was drawn with."""
    name, table = _drawn_with(pixels)
    height, width = pixels.shape[:2]
    step = max(1, PIXELS_AT_ONCE // (width * TILE)) * TILE
    levels = np.empty((height, width), np.uint8)
    n_far = n_tiles = 0
    for start in range(0, height, step):
        block = pixels[start : start + step]
        levels[start : start + step] = _nearest(block, table)
        distances = _distances(block, table[levels[start : start + step]])
        n_far += int((distances > FAR).sum())
        n_tiles += distances.size
    if n_far > MOST_FAR * n_tiles:
        raise DatasetError(
            f"{n_far / n_tiles:.0%} of it is off every known colour map, {name} is the nearest; "
            f"expected grey, {', '.join(MAPS)}, and no axes or colour bar"
        )
    return levels


def _drawn_with(pixels: np.ndarray) -> tuple[str, np.ndarray]:
    """Find the map, and its table [shape=(256, 3)], that re-draws samples of a picture best."""
    sample = pixels[np.ix_(*(_spread(length) for length in pixels.shape[:2]))]

    def mismatch(candidate: tuple[str, np.ndarray]) -> float:
        table = candidate[1]
        return float(_distances(sample, table[_nearest(sample, table)]).mean())

    return min(_tables(), key=mismatch)


def _spread(length: int) -> np.ndarray:
    """Return the indices of `SAMPLED` tiles, evenly spread over a side."""
    size = min(TILE, length)
    starts = np.unique(np.linspace(0, length - size, SAMPLED).astype(int))
    return (starts[:, None] + np.arange(size)).ravel()


@cache
def _tables() -> tuple[tuple[str, np.ndarray], ...]:
    """Return every map's colours, rounded as matplotlib's meshes are, and cut as its images are."""
    from matplotlib import colormaps

    exact = {name: np.asarray(colormaps[name](np.arange(256)))[:, :3] * 255 for name in MAPS}
    return tuple(
        (name, to_whole(colours).astype(np.float32))
        for name, colours in exact.items()
        for to_whole in (np.rint, np.floor)
    )


def _nearest(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the index [shape=(height, width)] of the table's colour that is nearest to each."""
    codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    distinct, inverse = np.unique(codes.ravel(), return_inverse=True)
    colours = np.stack([distinct >> 16, distinct >> 8 & 255, distinct & 255], axis=1) @ _WEIGHTED
    targets = table @ _WEIGHTED
    lengths = np.square(targets).sum(axis=1)
    nearest = np.empty(len(distinct), np.uint8)
    for start in range(0, len(distinct), COLOURS_AT_ONCE):
        some = slice(start, start + COLOURS_AT_ONCE)
        nearest[some] = np.argmin(lengths - 2 * colours[some] @ targets.T, axis=1)
    return nearest[inverse].reshape(codes.shape)


def _distances(pixels: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return how far the mean colours of two pictures' tiles are apart; a last part is cut."""
    difference = pixels - drawn
    height, width = (min(TILE, length) for length in pixels.shape[:2])
    n_rows, n_columns = pixels.shape[0] // height, pixels.shape[1] // width
    whole = difference[: n_rows * height, : n_columns * width]
    means = whole.reshape(n_rows, height, n_columns, width, 3).mean(axis=(1, 3))
    distances: np.ndarray = np.sqrt(np.square(means).sum(axis=-1))
    return distances
