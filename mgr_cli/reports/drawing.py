"""What is drawn on a page about a dataset: bars of genres, lengths, and single tracks.

Nothing here reads a file. A picture of a track has at most `_COLUMNS` columns: of a waveform
each shows its lowest and highest sample, of a spectrogram its mean level.

A histogram of lengths is of no use when one file of three hours lies among songs: the few
tracks that stand far from all others are counted and not drawn, and where the rest still
spans more than a factor of `_WIDE` its bins are logarithmic.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import hz_to_mel, mel_to_hz
from mgr_cli.reports import page
from mgr_cli.reports.tallies import PLACES

# Three of Okabe and Ito's, that differ in lightness too; grey and black for what is not used.
_COLOURS = dict(zip(PLACES, ("#0072B2", "#E69F00", "#009E73", "#CCCCCC", "#333333"), strict=True))
_LETTERS = 28  # of a genre beside its bar

_BINS = 31  # odd: where all tracks are as long as each other, one bin is in the middle
_STRAYS = 0.02  # of the tracks, one at least, may stand outside the bins at each end
_WIDE = 20.0  # times the shortest is the longest: beyond, bins are logarithmic
_COLUMNS = 480  # of a waveform or spectrogram at the most
_OCTAVES = (250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0)  # Hz
_APART = 0.12  # of the height, from one tick in Hz to the next at the least


@dataclass(frozen=True)
class Histogram:
    """Tracks by length.

    Attributes
    ----------
    edges : np.ndarray [shape=(n_bins + 1,)]
        Of the bins, in seconds; the last bin holds its upper edge.
    counts : np.ndarray [shape=(n_bins,)]
        Tracks in each.
    n_shorter, n_longer : int
        Tracks before the first and after the last edge.
    logarithmic : bool
        Whether each bin is longer than the one before by the same factor, not the same time.
    """

    edges: np.ndarray
    counts: np.ndarray
    n_shorter: int
    n_longer: int
    logarithmic: bool


def histogram(seconds: np.ndarray) -> Histogram:
    """Sort tracks into bins by length, so that a few strays do not squash the others.

    Parameters
    ----------
    seconds : np.ndarray [shape=(n_tracks,)]
        One at least, all positive.
    """
    ordered = np.sort(seconds.astype(np.float64))
    strays = max(1, int(len(ordered) * _STRAYS)) if len(ordered) > 3 else 0
    low, high = ordered[strays], ordered[-1 - strays]
    near = max(high - low, 0.2 * high)  # a stray is farther off than that
    inside = ordered[(ordered >= low - near) & (ordered <= high + near)]
    low, high = inside[0], inside[-1]
    logarithmic = bool(high > _WIDE * low)
    if high - low < 0.05 * high:  # a hair's breadth is not to look like a spread
        low, high = (low + high) / 2 * np.array([0.95, 1.05])
    edges = (np.geomspace if logarithmic else np.linspace)(low, high, _BINS + 1)
    counts = np.histogram(inside, edges)[0]
    outside = int((ordered < low).sum()), int((ordered > high).sum())
    return Histogram(edges, counts, *outside, logarithmic)


def envelope(samples: np.ndarray, n_columns: int) -> np.ndarray:
    """Return the lowest and highest sample of each column, [shape=(2, n_columns)] at most."""
    starts = _starts(len(samples), n_columns)
    return np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)])


def hz_ticks(spec: FeatureSpec) -> tuple[list[float], list[str]]:
    """Place frequencies on the axis of the bands.

    Returns
    -------
    places : list of float
        In bands, from the top down; 0 is the centre of the lowest.
    labels : list of str
        In Hz, "2k" for 2000.
    """
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))

    def place(hz: float) -> float:
        # Band m is centred on edge m + 1 of the n_mels + 2.
        return float((hz_to_mel(np.array(hz)) - low) / (high - low)) * (spec.n_mels + 1) - 1

    hertz = [hz for hz in _OCTAVES if -0.5 <= place(hz) <= spec.n_mels - 0.5]
    if len(hertz) < 3:  # a narrow band: what lies evenly in it
        hertz = [float(f"{hz:.2g}") for hz in mel_to_hz(np.linspace(low, high, 5)[1:4])]
    kept: list[float] = []
    for hz in reversed(hertz):
        if not kept or place(kept[-1]) - place(hz) >= _APART * spec.n_mels:
            kept.append(hz)
    return [place(hz) for hz in kept], [
        f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}" for hz in kept
    ]


def draw_genres(counts: pd.DataFrame) -> Figure:
    """Draw a bar a genre of the counts of `tallies.by_genre`, the first one on top."""
    figure = _figure(0.75 + 0.27 * len(counts))
    axes = figure.subplots()
    names = [_shortened(page.plain(genre) or "(none)") for genre in counts.index]
    rows = range(len(names))
    left = np.zeros(len(names))
    for place in PLACES:
        widths = counts[place].to_numpy()
        if widths.any():
            axes.barh(rows, widths, left=left, color=_COLOURS[place], label=place,
                      edgecolor="white", linewidth=0.5)  # fmt: skip
        left = left + widths
    axes.set_yticks(rows, names, fontsize=10, parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.margins(y=0.02)
    axes.set_xlabel("tracks", fontsize=10)
    _quieten(axes)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=len(PLACES), fontsize=9, frameon=False,
                  handlelength=1, columnspacing=1)  # fmt: skip
    return figure


def draw_lengths(lengths: Histogram) -> Figure:
    """Draw how many tracks are how long."""
    figure = _figure(2.2)
    axes = figure.subplots()
    axes.stairs(lengths.counts, lengths.edges, fill=True, color=_COLOURS["train"])
    if lengths.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_xlabel("seconds", fontsize=10)
    axes.set_ylabel("tracks", fontsize=10)
    _quieten(axes)
    return figure


def draw_track(
    sound: tuple[np.ndarray, int] | None, levels: np.ndarray | None, spec: FeatureSpec
) -> Figure:
    """Draw a track over its seconds.

    Parameters
    ----------
    sound : (np.ndarray [shape=(n_samples,)], int), optional
        Samples and their rate in Hz.
    levels : np.ndarray [shape=(n_mels, n_frames)], optional
        Its log-mel spectrogram; one of the two there is.
    spec : FeatureSpec
        The front end of the levels.
    """
    heights = [1.0] * (sound is not None) + [2.0] * (levels is not None)
    figure = _figure(0.8 + 0.6 * sum(heights))
    axes = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False).flat
    if sound is not None:
        _draw_waveform(axes[0], *sound)
    if levels is not None:
        _draw_levels(axes[-1], levels, spec)
    axes[-1].set_xlabel("seconds", fontsize=9)
    return figure


def _draw_waveform(axes: Axes, samples: np.ndarray, sample_rate: int) -> None:
    low, high = envelope(samples, _COLUMNS)
    seconds = (np.arange(len(low)) + 0.5) * len(samples) / sample_rate / len(low)
    axes.fill_between(seconds, low, high, color=_COLOURS["train"], linewidth=0.4)
    loudest = max(1.0, float(high.max()), -float(low.min()))  # a decoder may overshoot
    axes.set_ylim(-loudest, loudest)
    axes.set_xlim(0, len(samples) / sample_rate)
    axes.set_yticks([-1, 0, 1])
    _quieten(axes)


def _draw_levels(axes: Axes, levels: np.ndarray, spec: FeatureSpec) -> None:
    n_mels, n_frames = levels.shape
    starts = _starts(n_frames, _COLUMNS)
    pooled = np.add.reduceat(levels, starts, axis=1) / np.diff([*starts, n_frames])
    extent = (0, n_frames / spec.frame_rate, -0.5, n_mels - 0.5)
    axes.imshow(pooled, cmap="magma", origin="lower", aspect="auto", extent=extent)
    places, labels = hz_ticks(spec)
    axes.set_yticks(places, labels)
    axes.set_ylabel("Hz", fontsize=9)
    _quieten(axes)


def _figure(height: float) -> Figure:
    """Make an empty figure; its width in inches is that of a phone, nearly."""
    figure = Figure((5, height), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03)
    return figure


def _quieten(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _starts(n: int, n_columns: int) -> np.ndarray:
    """Return where each of so many columns, or of n, begins among n values."""
    return np.linspace(0, n, min(n, n_columns), endpoint=False).astype(np.int64)


def _shortened(genre: str) -> str:
    return genre if len(genre) <= _LETTERS else genre[: _LETTERS - 1] + "…"
