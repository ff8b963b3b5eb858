import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import FillBetweenPolyCollection
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from mgr_cli.config import FeatureSpec, View
from mgr_cli.features.mel import log_mel
from mgr_cli.reports import sound
from mgr_cli.reports.sound import Columns, Panel, Sketch

RATE = 22_050
VIEWS: tuple[View, ...] = ("waveform", "spectrogram", "mel")


def noise(seconds: float, *, rate: int = RATE) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(round(seconds * rate))).astype(np.float32)


def sketched(song: np.ndarray, *, rate: int = RATE, at_once: int = 10_000) -> list[Panel]:
    sketch = Sketch(VIEWS, rate)
    for first in range(0, len(song), at_once):
        sketch.push(song[first : first + at_once])
    return sketch.finish()


@pytest.mark.parametrize("n", [1, 7, 16, 17, 100, 1_000])
@pytest.mark.parametrize("at_once", [1, 5, 1_000])
def test_columns_are_runs_of_equal_length(
    monkeypatch: pytest.MonkeyPatch, n: int, at_once: int
) -> None:
    monkeypatch.setattr(sound, "COLUMNS", 8)
    values = np.random.default_rng(0).standard_normal((n, 2))
    merged = {each: Columns(each) for each in (np.minimum, np.maximum, np.add)}
    for first in range(0, n, at_once):
        for columns in merged.values():
            columns.push(values[first : first + at_once])
    width = merged[np.add].width
    runs = [values[first : first + width] for first in range(0, n, width)]
    assert min(n, 9) <= len(runs) <= 16
    for ufunc, of_run in ((np.minimum, np.min), (np.maximum, np.max), (np.add, np.mean)):
        expected = np.stack([of_run(run, axis=0) for run in runs], axis=1)
        np.testing.assert_allclose(merged[ufunc].rows(), expected, atol=1e-12)


def test_spectrogram_is_scipys() -> None:
    song = noise(1.0)
    panel = sketched(song)[1]
    transform = ShortTimeFFT(hann(2_048, sym=False), 512, RATE)
    power = np.abs(transform.stft(song, p0=0, p1=1 + len(song) // 512)) ** 2
    expected = np.maximum(10 * np.log10(power / power.max()), -80)
    np.testing.assert_allclose(panel.values, expected, atol=1e-3)
    # 44 frames, the first centred on 0.
    assert (panel.start, panel.stop) == pytest.approx((-256 / RATE, 43.5 * 512 / RATE))
    assert (panel.seconds, panel.highest) == (1.0, RATE / 2)


def test_mel_picture_is_that_of_the_front_end() -> None:
    song = noise(1.0)
    np.testing.assert_allclose(sketched(song)[2].values, log_mel(song, sound.MEL), atol=1e-3)


def test_waveform_shows_every_extreme_of_a_long_track() -> None:
    song = np.zeros(60 * 8_000, np.float32)
    song[30 * 8_000], song[45 * 8_000 + 1] = 0.9, -0.8
    panel = sketched(song, rate=8_000)[0]
    low, high = panel.values
    middles = panel.start + (np.arange(len(low)) + 0.5) * (panel.stop - panel.start) / len(low)
    assert len(low) <= 2 * sound.COLUMNS
    assert (high.max(), low.min()) == pytest.approx((0.9, -0.8))
    assert middles[high.argmax()] == pytest.approx(30, abs=0.05)
    assert middles[low.argmin()] == pytest.approx(45, abs=0.05)
    assert (high != 0).sum() == (low != 0).sum() == 1


def test_tone_lies_at_its_frequency_and_second_in_a_picture_of_a_long_track() -> None:
    song = 1e-4 * noise(90.0, rate=8_000)
    time = np.arange(8_000) / 8_000
    song[60 * 8_000 : 61 * 8_000] += (0.5 * np.sin(2 * np.pi * 1_000 * time)).astype(np.float32)
    for panel in sketched(song, rate=8_000)[1:]:
        row, column = np.unravel_index(panel.values.argmax(), panel.values.shape)
        second = panel.start + (column + 0.5) * (panel.stop - panel.start) / panel.values.shape[1]
        assert 60 <= second <= 61
        assert panel.values.shape[1] <= 2 * sound.COLUMNS
        if panel.view == "spectrogram":
            assert row * panel.highest / (len(panel.values) - 1) == pytest.approx(1_000, abs=4)
        else:  # 128 bands up to 11,025 Hz: 1 kHz is mel 15 of 50.2
            assert row == pytest.approx(129 * 15 / 50.25 - 1, abs=1)


@pytest.mark.parametrize("n_samples", [800, 2_047, 2_048, 2_049])
def test_blocks_do_not_matter_nor_how_short_a_track_is(n_samples: int) -> None:
    song = noise(0.2)[:n_samples]
    for one, other in zip(sketched(song), sketched(song, at_once=311), strict=True):
        assert np.isfinite(one.values).all()
        np.testing.assert_allclose(one.values, other.values, atol=1e-3)
        assert (one.start, one.stop) == pytest.approx((other.start, other.stop))


def test_stored_levels_are_averaged_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sound, "COLUMNS", 4)
    spec = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=2)
    levels = np.arange(20.0).reshape(2, 10) - 20
    panel = sound.stored([levels[:, :7], levels[:, 7:]], spec, seconds=0.5)
    np.testing.assert_allclose(panel.values, levels.reshape(2, 5, 2).mean(axis=2))
    # Frames of 0.05 s, the first centred on 0.
    assert (panel.start, panel.stop, panel.seconds) == pytest.approx((-0.025, 0.475, 0.5))
    assert sound.stored([levels], spec, seconds=0).seconds == pytest.approx(0.475)


def test_picture_has_its_axes_and_units() -> None:
    figure = sound.draw(sketched(noise(2.0)), title="$x_1.mp3")
    waveform, spectrogram, mel, *bars = figure.axes
    assert figure.get_suptitle() == "$x_1.mp3"
    assert [axes.get_title(loc="left") for axes in (waveform, spectrogram, mel)] == [
        "waveform", "spectrogram", "log-mel spectrogram"
    ]  # fmt: skip
    assert [axes.get_ylabel() for axes in (waveform, spectrogram, mel)] == ["amplitude", "Hz", "Hz"]
    assert mel.get_xlabel() == "seconds"
    assert waveform.get_xlim() == mel.get_xlim() == (0, 2)
    assert waveform.get_ylim() == (-1, 1)
    assert spectrogram.get_ylim() == (0, RATE / 2)
    assert [bar.get_ylabel() for bar in bars] == ["dB (loudest is 0)"] * 2
    assert [axes.images[0].get_clim() for axes in (spectrogram, mel)] == [(-80, 0)] * 2
    assert any(isinstance(each, FillBetweenPolyCollection) for each in waveform.collections)


def test_levels_without_decibels_say_so() -> None:
    spec = FeatureSpec(n_mels=16, scale="minmax")
    panel = sound.stored([np.random.default_rng(0).uniform(0, 1, (16, 50))], spec, seconds=1)
    mel, bar = sound.draw([panel], title="").axes
    assert bar.get_ylabel() == "share of its range"
    assert mel.images[0].get_clim() == (0, 1)


def test_axis_grows_where_a_decoder_overshoots() -> None:
    song = noise(0.5)
    song[100] = -1.5
    assert sound.draw(sketched(song)[:1], title="").axes[0].get_ylim() == (-1.5, 1.5)


def test_nothing_overlaps_or_leaves_the_picture() -> None:
    figure = sound.draw(sketched(noise(2.0)), title="a song of some length.mp3 · 30.0 s · MP3")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    texts = [figure._suptitle]  # type: ignore[attr-defined]
    for axes in figure.axes:
        (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label]  # type: ignore[attr-defined]
        texts += [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
        texts += [t for t in axes.get_yticklabels() if bottom <= t.get_position()[1] <= top]
    texts = [text for text in texts if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in texts]
    for n, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, texts[n]
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, texts[n]
        for m in range(n):
            assert not box.shrunk(0.98, 0.9).overlaps(boxes[m]), (texts[n], texts[m])
    assert min(text.get_fontsize() for text in texts) >= 9
