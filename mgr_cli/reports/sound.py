"""A track as a picture: its waveform, its spectrogram, its log-mel spectrogram.

Sound comes in blocks and is drawn whole, whatever its length: a `Sketch` keeps a bounded number of
columns, and each time they are twice as many as a picture has room for, every two neighbours
become one. Of a waveform a column keeps its lowest and its highest sample, of a spectrogram its
mean power.

The spectrogram is that of a Hann window of 2,048 samples every 512, its frequencies linear up to
half the sample rate, in dB below its loudest cell. The log-mel is that of `FeatureSpec()`,
librosa's defaults, or what a prepared dataset has stored of the track. Frames are centred on
multiples of the hop; a column is drawn where they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mgr_cli.audio import Resampler
from mgr_cli.config import FeatureSpec, View
from mgr_cli.features.mel import SMALLEST_POWER, PowerFrames, hann, to_levels
from mgr_cli.reports import drawing

COLUMNS = 1_200  # of a picture; up to twice as many are kept
N_FFT, HOP_LENGTH = 2_048, 512  # samples, of the spectrogram
RANGE_DB = 80.0
FRAMES_AT_ONCE = 256  # that are transformed together
MEL = FeatureSpec()  # front end of what is drawn of sound

_DPI = 150
_WIDTH = 9.0  # inches
_HEIGHTS: dict[View, float] = {"waveform": 1.5, "spectrogram": 2.8, "mel": 2.8}  # inches
_BLUE = "#0072B2"  # Okabe and Ito's
_COLOURS = "magma"  # perceptually uniform, and dark where it is silent
_NAMES: dict[View, str] = {
    "waveform": "waveform", "spectrogram": "spectrogram", "mel": "log-mel spectrogram"
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One view of a track.

    Attributes
    ----------
    view : {"waveform", "spectrogram", "mel"}
        What is seen.
    values : np.ndarray [shape=(n_rows, n_columns)]
        Of a waveform the lowest and the highest samples; else levels, the lowest frequency first,
        in dB below the loudest, or in shares of the track's range where `spec` says so.
    start, stop : float
        Seconds of the first column's begin and of the last one's end.
    seconds : float
        Length of the track.
    highest : float
        Half the sample rate, in Hz.
    spec : FeatureSpec
        Front end of a mel picture; of no use to others.
    """

    view: View
    values: np.ndarray
    start: float
    stop: float
    seconds: float
    highest: float
    spec: FeatureSpec = MEL


class Columns:
    """Columns in order of time, of which a bounded number is kept.

    Parameters
    ----------
    merge : np.ufunc
        What becomes of neighbours: ``np.minimum``, ``np.maximum`` or ``np.add``; sums are divided
        by what went into them in the end.
    """

    def __init__(self, merge: np.ufunc) -> None:
        self._merge = merge
        self._nothing = 0.0  # what changes nothing it is merged with
        if merge is not np.add:
            self._nothing = np.inf if merge is np.minimum else -np.inf
        self._kept = np.empty((0, 0))
        self._count = 0
        self.width = 1  # pushed columns that are one of those which are kept

    def push(self, columns: np.ndarray) -> None:
        """Take the next columns, np.ndarray [shape=(n, n_rows)]."""
        if not len(self._kept):
            self._kept = np.full((2 * COLUMNS, columns.shape[1]), self._nothing)
        while len(columns):
            room = len(self._kept) * self.width - self._count
            if not room:
                self._halve()
                continue
            now, columns = columns[:room], columns[room:]
            places = np.arange(self._count, self._count + len(now)) // self.width
            starts = np.flatnonzero(np.diff(places, prepend=-1))
            merged = self._merge.reduceat(now, starts, axis=0, dtype=np.float64)
            own = places[starts]
            self._kept[own] = self._merge(self._kept[own], merged)
            self._count += len(now)

    def _halve(self) -> None:
        half = self._merge(self._kept[0::2], self._kept[1::2])
        self._kept[:] = self._nothing
        self._kept[: len(half)] = half
        self.width *= 2

    def rows(self) -> np.ndarray:
        """Return what is kept, np.ndarray [shape=(n_rows, n_columns)]."""
        n = -(-self._count // self.width)
        kept = self._kept[:n].T
        if self._merge is not np.add:
            return kept
        counts = np.full(n, self.width)
        counts[-1:] -= n * self.width - self._count
        means: np.ndarray = kept / counts
        return means


class Sketch:
    """Views of a track whose sound arrives in blocks.

    Parameters
    ----------
    views : sequence of {"waveform", "spectrogram", "mel"}
        What is wanted, in this order.
    sample_rate : int
        Of the blocks, in Hz.
    """

    def __init__(self, views: Sequence[View], sample_rate: int) -> None:
        self._views = tuple(views)
        self._rate = sample_rate
        self._lowest, self._highest = Columns(np.minimum), Columns(np.maximum)
        self._power, self._mel = Columns(np.add), Columns(np.add)
        self._resampler = Resampler(sample_rate, MEL.sample_rate)
        self._mel_frames = PowerFrames(MEL)
        self._pending = np.zeros(N_FFT // 2, np.float32)  # the silence before the track
        self._n_samples = 0

    def push(self, block: np.ndarray) -> None:
        """Take the next samples, float32 [shape=(n_samples,)]."""
        self._n_samples += len(block)
        if "waveform" in self._views:
            self._lowest.push(block[:, None])
            self._highest.push(block[:, None])
        if "spectrogram" in self._views:
            self._transform(block)
        if "mel" in self._views:
            self._mel.push(self._mel_frames.push(self._resampler.push(block)))

    def finish(self) -> list[Panel]:
        """End the track and return its views, in the order in which they were wanted."""
        self._transform(np.zeros(N_FFT // 2, np.float32))
        self._mel.push(self._mel_frames.push(self._resampler.finish()))
        self._mel.push(self._mel_frames.finish())
        return [self._panel(view) for view in self._views]

    def _panel(self, view: View) -> Panel:
        match view:
            case "waveform":
                values = np.concatenate([self._lowest.rows(), self._highest.rows()])
                columns, hop = self._lowest, 1 / self._rate
            case "spectrogram":
                power = np.maximum(self._power.rows(), SMALLEST_POWER)
                values = np.maximum(10 * np.log10(power / power.max()), -RANGE_DB)
                columns, hop = self._power, HOP_LENGTH / self._rate
            case "mel":
                frames = self._mel_frames
                values = to_levels(
                    self._mel.rows().T, MEL, highest=frames.highest, lowest=frames.lowest
                )
                columns, hop = self._mel, MEL.hop_length / MEL.sample_rate
        start = 0.0 if view == "waveform" else -hop / 2
        stop = start + values.shape[1] * columns.width * hop
        return Panel(view, values, start, stop, self._n_samples / self._rate, self._rate / 2)

    def _transform(self, block: np.ndarray) -> None:
        samples = np.concatenate([self._pending, block])
        n_frames = max(0, (len(samples) - N_FFT) // HOP_LENGTH + 1)
        frames = np.lib.stride_tricks.sliding_window_view(samples, min(N_FFT, len(samples)))
        for first in range(0, n_frames, FRAMES_AT_ONCE):
            last = min(first + FRAMES_AT_ONCE, n_frames)
            windowed = frames[first * HOP_LENGTH : last * HOP_LENGTH : HOP_LENGTH] * hann(N_FFT)
            self._power.push(np.abs(np.fft.rfft(windowed)) ** 2)
        self._pending = samples[n_frames * HOP_LENGTH :].copy()


def stored(blocks: Iterable[np.ndarray], spec: FeatureSpec, *, seconds: float) -> Panel:
    """Return the view of a log-mel spectrogram that was computed before.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(n_mels, n_frames)]
        Its levels, in order; one frame at least.
    spec : FeatureSpec
        Its front end.
    seconds : float
        Length of the track; 0 where it is not known.
    """
    columns = Columns(np.add)
    for block in blocks:
        columns.push(block.T)
    values = columns.rows()
    start = -spec.hop_length / spec.sample_rate / 2
    stop = start + values.shape[1] * columns.width / spec.frame_rate
    return Panel("mel", values, start, stop, seconds or stop, spec.sample_rate / 2, spec)


def draw(panels: Sequence[Panel], *, title: str) -> Figure:
    """Draw views of a track over its seconds, one below the other.

    Parameters
    ----------
    panels : sequence of Panel
        One at least, from the top down.
    title : str
        Whose they are.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.
    """
    heights = [_HEIGHTS[panel.view] for panel in panels]
    figure = Figure((_WIDTH, 0.8 + sum(heights)), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    figure.suptitle(title, fontsize=12, parse_math=False, wrap=True)
    rows = figure.subplots(len(panels), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        axes.set_title(_NAMES[panel.view], fontsize=11, loc="left")
        axes.tick_params(labelsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        if panel.view == "waveform":
            _draw_waveform(axes, panel)
        else:
            _draw_levels(figure, axes, panel)
    rows[-1].set_xlim(0, max(panel.seconds for panel in panels))
    rows[-1].set_xlabel("seconds", fontsize=11)
    return figure


def _draw_waveform(axes: Axes, panel: Panel) -> None:
    low, high = panel.values
    seconds = panel.start + (np.arange(len(low)) + 0.5) * (panel.stop - panel.start) / len(low)
    axes.fill_between(seconds, low, high, color=_BLUE, linewidth=0.4)
    loudest = max(1.0, float(high.max()), -float(low.min()))  # a decoder may overshoot
    axes.set_ylim(-loudest, loudest)
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.set_ylabel("amplitude", fontsize=11)
    axes.grid(alpha=0.3)


def _draw_levels(figure: Figure, axes: Axes, panel: Panel) -> None:
    spec, n_rows = panel.spec, len(panel.values)
    is_mel = panel.view == "mel"
    bottom, top = (-0.5, n_rows - 0.5) if is_mel else (0.0, panel.highest)
    image = axes.imshow(
        panel.values, cmap=_COLOURS, origin="lower", aspect="auto",
        extent=(panel.start, panel.stop, bottom, top),
    )  # fmt: skip
    axes.set_ylabel("Hz", fontsize=11)
    if is_mel:
        places, labels = drawing.hz_ticks(spec)
        axes.set_yticks(places, labels)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda hz, _: _hertz(hz)))
    _add_bar(figure, axes, image, panel)


def _add_bar(figure: Figure, axes: Axes, image: AxesImage, panel: Panel) -> None:
    in_shares = panel.view == "mel" and panel.spec.scale == "minmax"
    range_db = panel.spec.top_db if panel.view == "mel" else RANGE_DB
    image.set_clim((0, 1) if in_shares else (-range_db, 0))
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.04)
    bar.set_label("share of its range" if in_shares else "dB (loudest is 0)", fontsize=10)
    bar.ax.tick_params(labelsize=10)


def _hertz(hz: float) -> str:
    return f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}"
