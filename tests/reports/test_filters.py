from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation.layers import Layer
from mgr_cli.explanation.maximisation import Filter, Maximised
from mgr_cli.reports import filters

SPEC = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=16)


def made(n: int, *, dead: int = -1) -> Maximised:
    rng = np.random.default_rng(0)
    every = tuple(
        Filter(place + 1, 0.0, 1.0 + place / 8, None if place == dead else 440.0, place == dead)
        for place in range(n)
    )
    layer = Layer(1, "blocks.0", "Conv2d 3 × 3", n, "blocks.0", first=True)
    return Maximised(layer, "log-mel", every, rng.normal(size=(n, 16, 40)), rate=20.0)


def panels(figure: Figure) -> list[Axes]:
    """Return what is shown but for the bars of colours."""
    return [
        axes
        for part in figure.subfigs
        for axes in list(part.axes)
        if axes.get_visible() and axes.get_label() != "<colorbar>"
    ]


def test_each_filter_has_its_panel_with_number_and_activation() -> None:
    figure = filters.draw(made(5), SPEC, title="a net")
    shown = [axes for axes in panels(figure) if axes.get_title()]
    assert [axes.get_title() for axes in dict.fromkeys(shown)] == [
        "1: 1.00", "2: 1.12", "3: 1.25", "4: 1.38", "5: 1.50"
    ]  # fmt: skip
    assert figure.get_suptitle() == "a net"


def test_panel_shows_its_filters_input_over_seconds_and_hertz() -> None:
    found = made(3)
    figure = filters.draw(found, SPEC, title="")
    for axes, x in zip(dict.fromkeys(panels(figure)), found.inputs, strict=True):
        (image,) = axes.images
        np.testing.assert_array_equal(np.asarray(image.get_array()), x)
        assert tuple(image.get_extent()) == (0, 2.0, -0.5, 15.5)
        assert image.get_clim() == (-3, 3)
    labels = [label.get_text() for label in panels(figure)[0].get_yticklabels()]
    assert "1k" in labels
    (part,) = figure.subfigs
    assert (part.get_supxlabel(), part.get_supylabel()) == ("seconds", "Hz")


def test_dead_filter_is_marked() -> None:
    figure = filters.draw(made(3, dead=1), SPEC, title="")
    titles = [axes.get_title() for axes in dict.fromkeys(panels(figure))]
    assert titles == ["1: 1.00", "2: dead", "3: 1.25"]


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (3, 3), (16, 4), (24, 6), (64, 8)])
def test_grid_is_that_of_the_seed(n: int, columns: int) -> None:
    figure = filters.draw(made(n), SPEC, title="")
    first = panels(figure)[0].get_subplotspec()
    assert first is not None
    assert first.get_gridspec().ncols == columns


def test_kernels_are_coloured_around_nothing() -> None:
    kernels = np.random.default_rng(0).normal(size=(4, 3, 3)) + 2
    figure = filters.draw(made(4), SPEC, kernels=kernels, title="")
    below = [axes for axes in dict.fromkeys(figure.subfigs[1].axes) if axes.images]
    assert len(below) == 4
    for axes, kernel in zip(below, kernels, strict=True):
        np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), kernel)
        low, high = axes.images[0].get_clim()
        assert -low == high == pytest.approx(np.abs(kernel).max())


def test_kernels_over_all_bands_have_an_axis_in_hertz() -> None:
    found = made(2)
    layer = Layer(1, "c", "Conv1d 5", 2, "c", first=True)
    over_time = Maximised(layer, "log-mel", found.filters, found.inputs, 20.0)
    figure = filters.draw(over_time, SPEC, kernels=np.ones((2, 16, 5)), title="")
    labels = [label.get_text() for label in figure.subfigs[1].axes[0].get_yticklabels()]
    assert "1k" in labels
    assert figure.subfigs[1].get_supylabel() == "Hz"


def wave(kernels: np.ndarray | None = None) -> Figure:
    time = np.arange(8_000) / 8_000
    tones = np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (200, 2_000)])
    layer = Layer(1, "c", "Conv1d 32", 2, "c", first=True)
    found = Maximised(layer, "waveform", made(2).filters, tones, 8_000.0)
    return filters.draw(found, SPEC, kernels=kernels, title="")


def test_waveform_is_drawn_as_its_spectrum() -> None:
    for axes, hertz in zip(wave().subfigs[0].axes, (200, 2_000), strict=True):
        x, y = axes.lines[0].get_data()
        peak = float(np.asarray(x)[np.asarray(y).argmax()])
        assert peak == pytest.approx(hertz, rel=0.05)
        assert float(np.asarray(y).max()) == 0


def test_kernel_over_samples_has_its_response_below() -> None:
    kernel = np.sin(2 * np.pi * 1_000 * np.arange(32) / 8_000)
    part = wave(np.stack([kernel, -kernel])).subfigs[1]
    above, below = part.axes[0], part.axes[2]
    np.testing.assert_allclose(
        np.asarray(above.lines[1].get_ydata()), kernel / np.abs(kernel).max()
    )
    x, y = (np.asarray(each) for each in below.lines[0].get_data())
    assert x[y.argmax()] == pytest.approx(1.0, abs=0.1)  # kHz


def test_strangers_names_are_drawn_as_they_are(tmp_path: Any) -> None:
    figure = filters.draw(made(1), SPEC, title="$\\frac{1}$ of it")
    figure.savefig(tmp_path / "x.png")
    assert figure.get_suptitle() == "$\\frac{1}$ of it"
