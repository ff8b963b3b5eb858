"""What the filters of a layer look for, as a grid of pictures, and the kernels of a first layer.

A picture shows by how much each band is above or below what it is on average in the training
split, in standard deviations of that band: levels themselves would be loud at the bottom and faint
at the top in every panel, as all music is. Red is more and blue is less, white is as usual, and
one scale holds for all panels. Of a waveform its spectrum is drawn, which says more than its
samples would.

Kernels stand in the same order, each coloured up to its own largest weight, because a filter with
small weights may have a large batch norm behind it. A kernel over samples is a line, and what it
lets through a second one.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation.maximisation import Filter, Maximised
from mgr_cli.reports.drawing import hz_ticks

_DPI = 150
_COLOURS = "RdBu_r"  # its two ends can be told apart by the colour-blind, and white is nothing
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#777777"  # Okabe and Ito's
_PANEL = (1.85, 1.65)  # inches
_DEVIATIONS = 3.0  # beyond, colours are full
_SMALLEST = 9  # points
_SCALE = "\nred is above and blue below the mean of training"
_DYNAMIC = 60.0  # dB of a spectrum that are shown


def draw(
    found: Maximised, spec: FeatureSpec, *, kernels: np.ndarray | None = None, title: str
) -> Figure:
    """Draw the inputs that excite the filters of a layer.

    Parameters
    ----------
    found : Maximised
        One filter at least.
    spec : FeatureSpec
        Front end of the entry.
    kernels : np.ndarray, optional
        Of all filters of the layer, see `layers.kernels`; drawn below, for the same filters.
    title : str
        Whose filters.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.
    """
    n = len(found.filters)
    n_columns = _columns(n)
    n_rows = -(-n // n_columns)
    heights = [n_rows * _PANEL[1] + 1.1]
    if kernels is not None:
        heights.append(n_rows * _kernel_height(kernels) + 0.7)
    width = max(6.0, n_columns * _PANEL[0] + 1.6)
    figure = Figure((width, sum(heights) + 0.4), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained")
    figure.suptitle(title, fontsize=13, parse_math=False)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_inputs(parts[0], found, spec, n_rows, n_columns)
    if kernels is not None:
        _draw_kernels(parts[1], found, kernels[:n], spec, n_rows, n_columns)
    return figure


def _columns(n: int) -> int:
    return min(n, 4 if n <= 16 else 6 if n <= 36 else 8)


def _draw_inputs(
    part: SubFigure, found: Maximised, spec: FeatureSpec, n_rows: int, n_columns: int
) -> None:
    grid = part.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    heading = "what excites each filter, and how far (mean activation)"
    part.suptitle(f"{heading}{_SCALE if found.kind == 'log-mel' else ''}", fontsize=11)
    if found.kind == "waveform":
        for axes, each, samples in _panels(grid, found.filters, found.inputs):
            _spectrum(axes, samples, spec.sample_rate)
            axes.set_title(_heading(each), fontsize=_SMALLEST, color=_ink(each))
        part.supxlabel("Hz", fontsize=10)
        part.supylabel("dB below the loudest frequency", fontsize=10)
        return
    scale = Normalize(-_DEVIATIONS, _DEVIATIONS)
    n_mels, n_frames = found.inputs.shape[1:]
    extent = (0, n_frames / found.rate, -0.5, n_mels - 0.5)
    for axes, each, x in _panels(grid, found.filters, found.inputs):
        axes.imshow(x, cmap=_COLOURS, norm=scale, origin="lower", aspect="auto", extent=extent,
                    interpolation="nearest", alpha=0.35 if each.dead else 1.0)  # fmt: skip
        axes.set_title(_heading(each), fontsize=_SMALLEST, color=_ink(each))
        axes.set_yticks(*hz_ticks(spec))
        axes.tick_params(labelsize=_SMALLEST)
        axes.xaxis.set_major_locator(MaxNLocator(3))
    part.supxlabel("seconds", fontsize=10)
    part.supylabel("Hz", fontsize=10)
    bar = part.colorbar(
        ScalarMappable(scale, _COLOURS), ax=grid, extend="both", aspect=35, pad=0.02
    )
    bar.set_label("std. deviations", fontsize=10)
    bar.ax.tick_params(labelsize=_SMALLEST)


def _draw_kernels(
    part: SubFigure, found: Maximised, kernels: np.ndarray, spec: FeatureSpec,
    n_rows: int, n_columns: int,
) -> None:  # fmt: skip
    below = "; below it, what it lets through, dB" if kernels.ndim == 2 else ""
    part.suptitle(f"the kernels themselves, each up to its own largest weight{below}", fontsize=11)
    if kernels.ndim == 2:
        _draw_lines(part, found, kernels, spec.sample_rate, n_rows, n_columns)
        return
    over_bands = found.layer.what.startswith("Conv1d")
    grid = part.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for axes, each, kernel in _panels(grid, found.filters, kernels):
        most = float(np.abs(kernel).max()) or 1.0
        height, width = kernel.shape
        axes.imshow(
            kernel, cmap=_COLOURS, vmin=-most, vmax=most, origin="lower",
            aspect="auto" if over_bands else "equal", interpolation="nearest",
            extent=(0.5, width + 0.5, -0.5, height - 0.5) if over_bands
            else (0.5, width + 0.5, 0.5, height + 0.5),
        )  # fmt: skip
        axes.set_title(f"{each.number}: ± {most:.2g}", fontsize=_SMALLEST)
        if over_bands:
            axes.set_yticks(*hz_ticks(spec))
        else:
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(labelsize=_SMALLEST)
    part.supxlabel("frames", fontsize=10)
    part.supylabel("Hz" if over_bands else "mel bands", fontsize=10)
    bar = part.colorbar(ScalarMappable(Normalize(-1, 1), _COLOURS), ax=grid, aspect=35, pad=0.02,
                        ticks=[-1, 0, 1])  # fmt: skip
    bar.set_label("of the largest", fontsize=10)
    bar.ax.tick_params(labelsize=_SMALLEST)


def _draw_lines(
    part: SubFigure, found: Maximised, kernels: np.ndarray, sample_rate: int,
    n_rows: int, n_columns: int,
) -> None:  # fmt: skip
    """Draw kernels over samples: a row of lines, and below it a row of responses."""
    grid = part.subplots(2 * n_rows, n_columns, squeeze=False, sharex="row")
    milliseconds = 1000 * np.arange(kernels.shape[1]) / sample_rate
    hertz = np.fft.rfftfreq(512, 1 / sample_rate)
    for place, axes in enumerate(grid[::2].flat):
        below = grid[1::2].flat[place]
        if place >= len(kernels):
            axes.set_visible(False)
            below.set_visible(False)
            continue
        kernel = kernels[place]
        most = float(np.abs(kernel).max()) or 1.0
        axes.axhline(0, color=_GREY, linewidth=0.6)
        axes.plot(milliseconds, kernel / most, color=_BLUE, linewidth=1.2, marker=".", markersize=3)
        axes.set_ylim(-1.1, 1.1)
        axes.set_title(f"{found.filters[place].number}: ± {most:.2g}", fontsize=_SMALLEST)
        gain = np.abs(np.fft.rfft(kernel, 512))
        below.plot(hertz[1:] / 1000, _decibels(gain)[1:], color=_ORANGE, linewidth=1.2)
        below.set_ylim(-40, 3)
        is_left = place % n_columns == 0
        for each, label in ((axes, "ms"), (below, "kHz")):
            each.set_xlabel(label, fontsize=_SMALLEST, labelpad=1)
            each.tick_params(labelsize=_SMALLEST, labelleft=is_left)
            each.spines[["top", "right"]].set_visible(False)
            each.xaxis.set_major_locator(MaxNLocator(4))


def _panels(
    grid: np.ndarray, filters: Sequence[Filter], values: np.ndarray
) -> list[tuple[Axes, Filter, np.ndarray]]:
    """Give each filter its panel, and hide those left over."""
    every = list(grid.flat)
    for axes in every[len(filters) :]:
        axes.set_visible(False)
    for axes in grid[:-1].flat:
        axes.tick_params(labelbottom=False)
    return list(zip(every, filters, values, strict=False))


def _spectrum(axes: Axes, samples: np.ndarray, sample_rate: int) -> None:
    """Draw the spectrum of samples, smoothed over a hundredth of its range."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    edges = np.geomspace(20, sample_rate / 2, 121)
    bins = np.digitize(hertz, edges) - 1
    inside = (bins >= 0) & (bins < 120)
    total = np.bincount(bins[inside], power[inside], 120)
    count = np.bincount(bins[inside], minlength=120)
    held = count > 0
    centres = np.sqrt(edges[:-1] * edges[1:])[held]
    axes.semilogx(
        centres, _decibels(np.sqrt(total[held] / count[held])), color=_BLUE, linewidth=1.2
    )
    axes.set_ylim(-_DYNAMIC, 3)
    axes.set_xlim(20, sample_rate / 2)
    axes.set_xticks([100, 1_000, 10_000], ["100", "1k", "10k"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=_SMALLEST)
    axes.spines[["top", "right"]].set_visible(False)


def _decibels(amplitude: np.ndarray) -> np.ndarray:
    """Return amplitudes in dB below the largest of them."""
    largest = float(amplitude.max()) or 1.0
    decibels: np.ndarray = 20 * np.log10(np.maximum(amplitude / largest, 1e-6))
    return decibels


def _heading(each: Filter) -> str:
    return f"{each.number}: dead" if each.dead else f"{each.number}: {each.reached:.2f}"


def _ink(each: Filter) -> str:
    return _GREY if each.dead else "black"


def _kernel_height(kernels: np.ndarray) -> float:
    return 2.3 if kernels.ndim == 2 else 1.5 if kernels.shape[1] > 20 else 1.3
