"""Frequencies are in cycles per sample: nothing here knows of a sample rate."""

import numpy as np
import pytest
import torch
from scipy.signal import hilbert
from torch import Tensor

from mgr_cli.stretching import HOP_LENGTH, N_FFT, stretch

N_SAMPLES = 2**15
FREQUENCY = 0.0456
TEMPO, SEMITONES = 0.25, 2.0


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def sines(frequency: float, batch: int, n_samples: int = N_SAMPLES) -> Tensor:
    times = torch.arange(n_samples, dtype=torch.float64)
    return torch.sin(2 * torch.pi * frequency * times).float().repeat(batch, 1)


def fading(batch: int) -> Tensor:
    """Make sines whose loudness falls along a line, to nothing at their end."""
    return sines(FREQUENCY, batch) * (1 - torch.arange(N_SAMPLES) / N_SAMPLES)


def measured(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Fit the tempos and pitches of changed fading sines, (batch,) each.

    What lies near the start, or behind the end of the shortest, is left out.
    """
    times = np.arange(N_FFT, int(N_SAMPLES / (1 + TEMPO)) - N_FFT)
    waves = hilbert(x.numpy())
    cycles = np.unwrap(np.angle(waves))[:, times] / (2 * np.pi)
    slopes, levels = np.polyfit(times / N_SAMPLES, np.abs(waves)[:, times].T, 1)
    return -slopes / levels, np.polyfit(times, cycles.T, 1)[0] / FREQUENCY


def cents(ratios: np.ndarray) -> np.ndarray:
    return np.asarray(1200 * np.log2(ratios))


def rms(x: Tensor) -> Tensor:
    """Measure the part that no end of the segment, moved or not, has a share in."""
    return x[:, N_FFT : int(N_SAMPLES / (1 + TEMPO)) - N_FFT].square().mean(dim=1).sqrt()


def test_pitches_fill_their_range_and_tempos_stay() -> None:
    tempos, pitches = measured(stretch(fading(64), tempo=0.0, semitones=SEMITONES))
    shifts = cents(pitches)
    # Hops are whole: up to half a sample of 456, for the highest pitch, is 1.9 cents.
    assert np.abs(shifts).max() < 100 * SEMITONES + 2
    # 64 uniform draws come within a tenth of either end, but for 2 * 0.95^64 = 7 %.
    assert shifts.max() > 90 * SEMITONES
    assert shifts.min() < -90 * SEMITONES
    assert len(np.unique(shifts.round())) > 40
    np.testing.assert_allclose(tempos, 1, atol=0.002)  # the vocoder's start bends the line


def test_tempos_fill_their_range_and_pitches_stay() -> None:
    tempos, pitches = measured(stretch(fading(64), tempo=TEMPO, semitones=0.0))
    assert tempos.max() < 1 + TEMPO + 0.002
    assert tempos.min() > 1 / (1 + TEMPO) - 0.002
    logs = np.log(tempos) / np.log(1 + TEMPO)
    assert logs.max() > 0.9
    assert logs.min() < -0.9
    assert abs(logs.mean()) < 0.25  # 3.5 deviations of 64 draws' mean, sqrt(1 / 3 / 64)
    assert len(np.unique(tempos.round(3))) > 40
    assert np.abs(cents(pitches)).max() < 0.1


def test_tempo_and_pitch_do_not_hang_together() -> None:
    tempos, pitches = measured(stretch(fading(64), tempo=TEMPO, semitones=SEMITONES))
    assert np.abs(cents(pitches)).max() > 90 * SEMITONES
    assert np.abs(np.log(tempos)).max() > 0.9 * np.log(1 + TEMPO)
    # The correlation of 64 independent pairs is 0 ± 1/8.
    assert abs(np.corrcoef(np.log(tempos), np.log(pitches))[0, 1]) < 0.35


@pytest.mark.parametrize(("tempo", "semitones"), [(0.0, SEMITONES), (TEMPO, 0.0), (0.1, 1.0)])
def test_clicks_come_when_the_tempo_says(tempo: float, semitones: float) -> None:
    places = np.arange(4000, int(N_SAMPLES / (1 + TEMPO)), 7000)
    clicks = torch.zeros(16, N_SAMPLES)
    clicks[:, places] = 1
    tempos, pitches = measured(stretch(fading(16), tempo=tempo, semitones=semitones))
    torch.manual_seed(0)  # the same factors again
    heard = stretch(clicks, tempo=tempo, semitones=semitones).numpy()
    for wave, factor, pitch in zip(heard, tempos, pitches, strict=True):
        for place in (places / factor).astype(int):
            found = place - 2000 + np.abs(wave[place - 2000 : place + 2000]).argmax()
            # The first frame that a click enters sets it, later or earlier by about a hop;
            # where phases drift apart, half a window is reached.
            assert abs(found - place) < 1.2 * HOP_LENGTH / pitch


def test_sines_stay_as_loud() -> None:
    x = sines(FREQUENCY, 16)
    loudness = rms(stretch(x, tempo=TEMPO, semitones=SEMITONES)) / rms(x)
    torch.testing.assert_close(loudness, torch.ones(16), rtol=0, atol=0.02)


def test_noise_loses_little() -> None:
    # Its bins have no phases to keep: 0.68 is left without locking and attacks, 0.8 with one
    # of them, 0.86 to 0.91 with both.
    x = torch.randn(16, N_SAMPLES)
    loudness = rms(stretch(x, tempo=TEMPO, semitones=0.0)) / rms(x)
    assert loudness.mean() > 0.85
    assert loudness.max() < 1.05


def test_long_high_tones_are_as_exact_in_float32() -> None:
    # With their whole turns added up, the phases of a thousand frames would be wrong by 0.1.
    x = sines(0.4, 2, 2**19)
    single = stretch(x, tempo=0.02, semitones=0.0)
    torch.manual_seed(0)
    double = stretch(x.double(), tempo=0.02, semitones=0.0)
    assert double.dtype == torch.float64
    held = slice(N_FFT, int(2**19 / 1.02) - N_FFT)  # tones that break off are no tones
    torch.testing.assert_close(single[:, held].double(), double[:, held], rtol=0, atol=1e-3)


def test_tones_raised_beyond_half_the_rate_vanish() -> None:
    changed = stretch(sines(0.47, 64), tempo=0.0, semitones=SEMITONES)
    loudness = rms(changed)
    assert loudness.min() < 0.01
    assert loudness.max() > 0.7
    power = torch.fft.rfft(changed[:, N_FFT:-N_FFT] * torch.hann_window(N_SAMPLES - 2 * N_FFT))
    shares = power.abs().square().sum(dim=0).numpy()
    lowest = int(0.47 * 2 ** (-SEMITONES / 12) * 2 * len(shares)) - 10
    assert shares[:lowest].sum() < 1e-4 * shares.sum()  # an alias would lie there


def test_what_got_shorter_begins_again() -> None:
    n_again = 0
    for wave in stretch(torch.randn(16, N_SAMPLES).double(), tempo=TEMPO, semitones=0.0).numpy():
        for again in np.flatnonzero(wave[1:] == wave[0]) + 1:  # of noise, one place at most
            n_again += 1
            assert again >= N_SAMPLES / (1 + TEMPO) - 1
            np.testing.assert_array_equal(wave[again:], wave[: N_SAMPLES - again])
    assert 3 <= n_again <= 13  # half of 16 are played faster: 8 ± 2


@pytest.mark.parametrize("n_samples", [1, 100, HOP_LENGTH, 5000])
def test_any_length_stays(n_samples: int) -> None:
    x = torch.randn(4, n_samples)
    changed = stretch(x, tempo=1.0, semitones=12.0)
    assert changed.shape == x.shape
    assert changed.isfinite().all()


def test_silence_stays_silent() -> None:
    assert not stretch(torch.zeros(3, 5000), tempo=0.3, semitones=3.0).any()


def test_two_zeros_change_nothing_and_draw_nothing() -> None:
    x = torch.randn(3, 5000)
    before = torch.get_rng_state()
    assert stretch(x, tempo=0.0, semitones=0.0) is x
    assert torch.equal(before, torch.get_rng_state())


def test_the_seed_repeats_it_and_the_input_stays() -> None:
    x = fading(4)

    def once(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return stretch(x, tempo=0.1, semitones=1.0)

    first = once(3)
    assert torch.equal(first, once(3))
    assert not torch.equal(first, once(4))
    assert torch.equal(x, fading(4))
