from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import log_mel
from mgr_cli.reports import drawing, page, tallies
from tests.reports.made_up import MIXED, SPEC, prepared, row
from tests.reports.test_page import Read, bytes_of


def test_bars_are_as_long_as_the_counts() -> None:
    counts = tallies.by_genre(prepared(MIXED))
    (axes,) = drawing.draw_genres(counts).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "jazz", "rock", "(none)", "polka",
    ]  # fmt: skip
    for bars in axes.containers:
        widths = [patch.get_width() for patch in cast(Any, bars)]
        assert widths == counts[cast(Any, bars).get_label()].tolist()
    ends = np.max([[p.get_x() + p.get_width() for p in cast(Any, b)] for b in axes.containers], 0)
    assert ends.tolist() == counts.sum(axis=1).tolist()
    assert axes.yaxis_inverted()


def test_a_single_track_is_not_measured_in_fractions() -> None:
    (axes,) = drawing.draw_genres(tallies.by_genre(prepared([row(0)]))).axes
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_genres_beside_their_bars_are_text_and_not_formulas() -> None:
    names = ["$\\frac$", "a\x00\ud800 b", "ロック", "x" * 300]
    index = pd.Index(names, dtype=object)  # with pyarrow about, text would have to be UTF-8
    counts = pd.DataFrame(1, index=index, columns=list(tallies.PLACES))
    figure = drawing.draw_genres(counts)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == ["$\\frac$", "a\ufffd\ufffd b", "ロック", "x" * 27 + "…"]
    ElementTree.fromstring(bytes_of(Read(page.chart(figure, alt="")).images[0]))


def test_a_long_track_does_not_squash_the_short_ones() -> None:
    songs = np.random.default_rng(0).uniform(120, 300, 99)
    found = drawing.histogram(np.array([*songs, 10_800.0]))
    assert (found.n_shorter, found.n_longer) == (0, 1)
    assert found.edges[[0, -1]].tolist() == [songs.min(), songs.max()]
    assert found.counts.sum() == 99
    assert not found.logarithmic
    assert (found.counts > 0).sum() > 20


@pytest.mark.parametrize(
    "seconds",
    [[30.0], [30.0] * 50, [30.0, 10_800], [30.0] * 3 + [10_800], [30.0] * 90 + [10_800.0] * 10,
     [*np.geomspace(1, 10_000, 99)], [0.1, *[200.0] * 99, 9_000], [29.9, 30.0, 30.1, 30.2, 31.4],
     [95.0, 97.5, 99, 99.9, 100], [90.2, 93, 95, 97, 100], [*np.linspace(10, 300, 30)]],
)  # fmt: skip
def test_every_length_is_in_a_bin_or_counted_beside_them(seconds: list[float]) -> None:
    found = drawing.histogram(np.array(seconds))
    assert found.counts.sum() + found.n_shorter + found.n_longer == len(seconds)
    assert max(found.n_shorter, found.n_longer) <= max(1, 0.02 * len(seconds))
    assert (np.diff(found.edges) > 0).all()
    inside = [s for s in seconds if found.edges[0] <= s <= found.edges[-1]]
    assert len(inside) == found.counts.sum()
    assert found.logarithmic == (max(inside) > 20 * min(inside))


def test_lengths_that_hardly_differ_do_not_look_spread() -> None:
    found = drawing.histogram(np.full(100, 30.0) + np.linspace(0, 0.01, 100))
    assert (found.counts > 0).sum() == 1
    almost = drawing.histogram(np.array([90.2, 93, 95, 97, 100]))
    assert (almost.n_shorter, almost.n_longer) == (0, 0)


def test_two_groups_of_lengths_are_both_drawn() -> None:
    found = drawing.histogram(np.array([30.0] * 80 + [240.0] * 20))
    assert sorted(found.counts)[-2:] == [20, 80]


def test_an_envelope_holds_every_sample_once() -> None:
    samples = np.random.default_rng(0).normal(size=1_003)
    low, high = drawing.envelope(samples, 10)
    parts = [samples[i * 1_003 // 10 : (i + 1) * 1_003 // 10] for i in range(10)]
    np.testing.assert_array_equal(low, [part.min() for part in parts])
    np.testing.assert_array_equal(high, [part.max() for part in parts])
    np.testing.assert_array_equal(drawing.envelope(samples[:4], 10), [samples[:4]] * 2)


@pytest.mark.parametrize("spec", [FeatureSpec(), FeatureSpec(fmin=100, fmax=400, n_mels=8), SPEC])
def test_a_tick_stands_at_the_band_that_hears_its_frequency(spec: FeatureSpec) -> None:
    places, labels = drawing.hz_ticks(spec)
    assert len(places) >= 3
    assert -0.5 <= min(places) < max(places) <= spec.n_mels - 0.5  # no tick makes the axis longer
    for place, label in zip(places, labels, strict=True):
        hz = float(label.removesuffix("k")) * (1000 if label.endswith("k") else 1)
        tone = np.sin(2 * np.pi * hz * np.arange(4 * spec.sample_rate) / spec.sample_rate)
        loudest = log_mel(tone.astype(np.float32), spec).mean(axis=1).argmax()
        # Half a band, and as much again where bands are narrower than the transform resolves.
        assert abs(place - loudest) <= 1, label


def test_a_click_stands_at_the_same_second_in_both_pictures() -> None:
    sound = np.zeros(16_000, np.float32)
    sound[12_000] = 1  # 1.5 s
    axes = drawing.draw_track((sound, 8_000), log_mel(sound, SPEC), SPEC).axes
    (image,) = axes[1].images
    levels = np.asarray(image.get_array())
    left, right = image.get_extent()[:2]
    column = (levels.mean(axis=0).argmax() + 0.5) / levels.shape[1] * (right - left) + left
    assert column == pytest.approx(1.5, abs=0.05)  # a frame
    vertices = np.asarray(axes[0].collections[0].get_paths()[0].vertices)
    assert vertices[vertices[:, 1].argmax(), 0] == pytest.approx(1.5, abs=0.01)


def test_one_of_the_two_is_drawn_alone() -> None:
    sound = np.sin(np.arange(16_000)).astype(np.float32)
    (alone,) = drawing.draw_track((sound, 8_000), None, SPEC).axes
    assert not alone.images
    assert alone.get_xlabel() == "seconds"
    (alone,) = drawing.draw_track(None, log_mel(sound, SPEC), SPEC).axes
    assert len(alone.images) == 1
    assert alone.get_xlabel() == "seconds"


def test_a_decoder_that_overshoots_is_drawn_whole() -> None:
    sound = np.array([0.5, -1.25, 1.0], np.float32)
    (axes,) = drawing.draw_track((sound, 8_000), None, SPEC).axes
    assert axes.get_ylim() == (-1.25, 1.25)
