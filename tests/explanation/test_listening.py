from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from mgr_cli.config import FeatureSpec
from mgr_cli.explanation import listening
from mgr_cli.explanation.interpolation import column_seconds
from mgr_cli.explanation.result import Attribution, Explanation, Faithfulness
from mgr_cli.features.mel import hz_to_mel, mel_to_hz
from mgr_cli.prediction import Prediction

RATE = 16_000
SPEC = FeatureSpec(sample_rate=RATE, n_fft=1_024, hop_length=256, n_mels=40)
DECIMATED = replace(SPEC, decimation=2.3)


def noise(seconds: float, *, rate: int = RATE, n_channels: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 0.1 * rng.standard_normal((round(seconds * rate), n_channels)).astype(np.float32)


def decibels(samples: np.ndarray, *, low: float, high: float, rate: int = RATE) -> float:
    """Measure the energy between two frequencies in dB, with one Fourier transform of all."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    return float(10 * np.log10(power[(hz >= low) & (hz < high)].sum()))


def centre(band: int, spec: FeatureSpec = SPEC) -> float:
    """Return the middle of a mel band, in Hz."""
    top = hz_to_mel(np.array(spec.highest))
    return float(mel_to_hz(top * (band + 1) / (spec.n_mels + 1)))


def spot(band: int, second: int, spec: FeatureSpec = SPEC, *, n_seconds: int = 3) -> np.ndarray:
    """Make a mask that is open in three bands about one, during one second."""
    opened = np.zeros((spec.n_mels, spec.n_frames(n_seconds * spec.sample_rate)))
    times = column_seconds(opened.shape[1], spec)
    opened[band - 1 : band + 2, (times >= second) & (times < second + 1)] = 1
    return opened


@pytest.mark.parametrize("n_channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_open_mask_gives_back_the_song(rate: int, n_channels: int) -> None:
    song = noise(1.3, rate=rate, n_channels=n_channels)
    spec = replace(SPEC, sample_rate=48_000)  # else what it has not heard would be turned down
    heard = listening.turn_down(song, rate, np.ones((40, 7)), spec, start=12.3)
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, song, atol=1e-6)


def test_shut_mask_turns_everything_down_by_30_db() -> None:
    song = noise(1.0)
    heard = listening.turn_down(song, RATE, np.zeros((40, 9)), SPEC, start=0)
    np.testing.assert_allclose(heard, song * 10**-1.5, atol=1e-6)


def test_half_open_mask_is_half_of_the_way_in_db() -> None:
    song = noise(1.0)
    heard = listening.turn_down(song, RATE, np.full((40, 9), 0.5), SPEC, start=0)
    np.testing.assert_allclose(heard, song * 10**-0.75, atol=1e-6)


@pytest.mark.parametrize("spec", [SPEC, DECIMATED], ids=["frames", "picked frames"])
def test_one_band_of_one_second_is_all_that_is_left(spec: FeatureSpec) -> None:
    song = noise(3.0, n_channels=1)
    heard = listening.turn_down(song, RATE, spot(20, 1, spec), spec, start=0)
    inside = centre(20) - 20, centre(20) + 20
    seconds = [slice(RATE * n + 3_200, RATE * (n + 1) - 3_200) for n in range(3)]

    def change(second: int, low: float, high: float) -> float:
        before, after = (
            decibels(each[seconds[second], 0], low=low, high=high) for each in (song, heard)
        )
        return after - before

    assert change(1, *inside) == pytest.approx(0, abs=0.2)
    for outside in ((100, centre(17)), (centre(23), 7_900)):
        assert change(1, *outside) == pytest.approx(-30, abs=0.6)
    for second in (0, 2):
        assert change(second, *inside) == pytest.approx(-30, abs=0.6)
        assert change(second, 100, 7_900) == pytest.approx(-30, abs=0.2)


def test_what_the_front_end_does_not_hear_is_turned_down() -> None:
    song = noise(1.0, rate=44_100, n_channels=1)
    spec = replace(SPEC, fmin=500.0, fmax=4_000.0)
    heard = listening.turn_down(song, 44_100, np.ones((40, 9)), spec, start=0)

    def change(low: float, high: float) -> float:
        before, after = (
            decibels(each[:, 0], low=low, high=high, rate=44_100) for each in (song, heard)
        )
        return after - before

    assert change(600, 3_900) == pytest.approx(0, abs=0.1)
    assert change(20, 440) == pytest.approx(-30, abs=0.5)
    assert change(4_100, 22_000) == pytest.approx(-30, abs=0.5)


def test_phases_are_those_of_the_song() -> None:
    song = noise(2.0)[:, 0]
    mask = np.random.default_rng(1).uniform(0, 1, (40, 126))
    smooth = listening.mask(mask - 0.5, SPEC)
    heard = listening.turn_down(song[:, None], RATE, smooth, SPEC, start=0)[:, 0]
    transform = ShortTimeFFT(hann(1_024, sym=False), 256, RATE)
    before, after = transform.stft(song), transform.stft(heard)
    loud = np.abs(after) > np.percentile(np.abs(after), 50)
    turned = np.angle(after[loud] / before[loud])
    assert np.quantile(np.abs(turned), 0.9) < 0.25  # radians; of a vocoder's phases it is 2.8


def test_pieces_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    song, mask = noise(3.0), spot(20, 1)
    whole = listening.turn_down(song, RATE, mask, SPEC, start=0)
    monkeypatch.setattr(listening, "PIECE", 8_192)
    np.testing.assert_allclose(
        listening.turn_down(song, RATE, mask, SPEC, start=0), whole, atol=1e-7
    )


@pytest.mark.parametrize("n_samples", [1, 3, 100, 1_600])
def test_shortest_part_keeps_its_length(n_samples: int) -> None:
    song = noise(0.1)[:n_samples]
    heard = listening.turn_down(song, RATE, np.ones((40, 1)), SPEC, start=0)
    np.testing.assert_allclose(heard, song, atol=1e-6)


def test_mask_is_the_positive_part_of_the_attribution() -> None:
    values = np.zeros((40, 120))
    values[10, 30], values[30, 90] = 2.0, -2.0
    mask = listening.mask(values, SPEC)
    assert mask[10, 30] == mask.max() == 1
    assert mask.min() >= 0
    assert mask[25:].max() < 1e-9
    # The bell falls alike to both sides, by exp(-1/2) at one deviation of 0.1 s: 6.25 frames.
    np.testing.assert_allclose(mask[10, 24:37], mask[10, 36:23:-1], atol=1e-12)


def test_mask_does_not_hang_on_the_scale_of_the_attribution() -> None:
    values = np.random.default_rng(0).standard_normal((40, 120))
    np.testing.assert_allclose(
        listening.mask(values, SPEC), listening.mask(1e-9 * values, SPEC), rtol=1e-9
    )


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_nothing_spoke_for_the_genre_and_nothing_stays(value: float) -> None:
    assert not listening.mask(np.full((40, 9), value), SPEC).any()


@pytest.mark.parametrize("shape", [(39, 5), (40, 0)])
def test_mask_of_another_front_end_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a mask of shape"):
        listening.turn_down(noise(0.1), RATE, np.ones(shape), SPEC, start=0)


def check(method: str, *, deletion: float, insertion: float) -> Faithfulness:
    shares = np.array([0, 0.25, 1])
    return Faithfulness(
        method, "rock", shares, np.full(3, deletion), np.full(3, insertion),  # type: ignore[arg-type]
        np.full(3, 0.5), np.full(3, 0.5), None,
    )  # fmt: skip


def explanation(*methods: str, checks: tuple[Faithfulness, ...] = ()) -> Explanation:
    probs = np.array([0.75, 0.25])
    prediction = Prediction(
        ("rock", "pop"), probs, "rock", "mean", probs[None], (0.0,), 3.0, 3.0, padded=False
    )
    values = np.zeros((40, 9))
    attributions = tuple(Attribution(method, "rock", values) for method in methods)  # type: ignore[arg-type]
    return Explanation(Path("x.wav"), prediction, 0, 3, values, SPEC, attributions, checks)


def test_most_faithful_method_is_the_one_with_the_largest_area_between_the_curves() -> None:
    checks = (
        check("grad-cam", deletion=0.6, insertion=0.9),
        check("occlusion", deletion=0.1, insertion=0.5),
        check("integrated-gradients", deletion=0.3, insertion=0.6),
    )
    methods = ("integrated-gradients", "grad-cam", "occlusion")
    assert listening.most_faithful(explanation(*methods, checks=checks)) == "occlusion"
    assert listening.most_faithful(explanation(*methods[:2], checks=checks[:1])) == "grad-cam"


def test_unchecked_methods_are_believed_by_name() -> None:
    assert listening.most_faithful(explanation("occlusion", "grad-cam")) == "occlusion"
    both = explanation("occlusion", "integrated-gradients")
    assert listening.most_faithful(both) == "integrated-gradients"
    with pytest.raises(ValueError, match="without any attribution"):
        listening.most_faithful(explanation())
