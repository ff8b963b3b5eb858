import librosa
import numpy as np
import pytest

from mgr_cli.instruments import (
    SAMPLE_RATE,
    Instrument,
    bass,
    brass,
    guitar,
    hihat,
    keys,
    kick,
    organ,
    overdriven,
    sampled,
    sawtooth,
    snare,
    strings,
)
from mgr_cli.synthesis import PEAK, Note, frequency_of, master, play, reverberate, tilt

TONAL = [bass, guitar, overdriven, keys, organ, strings, brass]
EVERYONE = [*TONAL, kick, snare, hihat]


def step(frequency: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Play an instrument of constant level, so that what `play` adds can be read off."""
    return np.full(round(seconds * SAMPLE_RATE), frequency)


def loudest(wave: np.ndarray, low: float, high: float) -> float:
    """Return the frequency in Hz of the highest bin, to 0.2 Hz."""
    n_fft = 5 * SAMPLE_RATE
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(wave.size), n_fft))
    first = round(low * n_fft / SAMPLE_RATE)
    last = round(high * n_fft / SAMPLE_RATE)
    return float(first + spectrum[first:last].argmax()) * SAMPLE_RATE / n_fft


# --- signals and instruments


def test_pitch_numbers_are_midi() -> None:
    assert frequency_of(69) == 440.0
    assert frequency_of(45) == 110.0
    assert frequency_of(60) == pytest.approx(261.6256, abs=1e-4)


@pytest.mark.parametrize("pitch", [33, 45, 64, 76])
@pytest.mark.parametrize("instrument", TONAL)
def test_tone_has_its_pitch(instrument: Instrument, pitch: int) -> None:
    wave = instrument(frequency_of(pitch), 1.0, np.random.default_rng(1)).astype(np.float32)
    heard = librosa.yin(wave, fmin=40, fmax=2_000, sr=SAMPLE_RATE, frame_length=8_192)
    # 5 cents are what an ear just notices; without its allpass the guitar is 9 off at E4.
    assert 1_200 * np.log2(np.median(heard) / frequency_of(pitch)) == pytest.approx(0, abs=5)


def test_kick_falls_to_its_frequency() -> None:
    wave = kick(50.0, 0.5, np.random.default_rng(1))
    # From 0.1 s on the fall has 0.4 % of its 250 Hz to go; the decay widens the peak.
    assert loudest(wave[SAMPLE_RATE // 10 :], 20, 400) == pytest.approx(50.0, abs=1.5)


def test_snare_rings_at_its_frequency() -> None:
    wave = snare(196.0, 0.5, np.random.default_rng(1))
    assert loudest(wave, 100, 400) == pytest.approx(196.0, abs=4.0)


def test_hihat_lies_above_its_frequency() -> None:
    power = np.abs(np.fft.rfft(hihat(7_000.0, 0.5, np.random.default_rng(1)))) ** 2
    above = power[round(7_000 * power.size / (SAMPLE_RATE / 2)) :].sum()
    assert above > 0.9 * power.sum()


@pytest.mark.parametrize("instrument", EVERYONE)
def test_instrument_is_finite_near_full_scale_and_ends_in_silence(
    instrument: Instrument,
) -> None:
    wave = instrument(110.0 if instrument is not hihat else 7_000.0, 0.5, np.random.default_rng(1))
    assert np.isfinite(wave).all()
    assert 0.7 < np.abs(wave).max() < 1.5
    assert np.abs(wave[-5:]).max() < 0.01  # a step there would click


def test_sawtooth_has_the_harmonics_of_its_fourier_series() -> None:
    # 441 Hz: 100 samples a cycle, so every harmonic is one bin of a second's transform.
    wave = sawtooth(np.full(SAMPLE_RATE, 441.0))
    spectrum = np.abs(np.fft.rfft(wave)) / (SAMPLE_RATE / 2)
    for harmonic in range(1, 6):
        # 2 / (pi h); the rounding takes 1 % off the fifth harmonic.
        assert spectrum[441 * harmonic] == pytest.approx(2 / (np.pi * harmonic), rel=0.02)


def test_sawtooth_aliases_far_less_than_a_naive_one() -> None:
    n = np.arange(SAMPLE_RATE)
    naive = 2 * ((n + 1) * 1_000 / SAMPLE_RATE % 1) - 1
    ours = sawtooth(np.full(SAMPLE_RATE, 1_000.0))

    def audible_alias(wave: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(wave))[:10_000] ** 2  # bin k is k Hz
        power[::1_000] = 0  # what is left lies between the harmonics
        return float(power.sum())

    assert audible_alias(ours) < 0.01 * audible_alias(naive)  # 20 dB


def test_overdriven_string_is_compressed() -> None:
    def fall(instrument: Instrument) -> float:
        wave = instrument(110.0, 1.0, np.random.default_rng(1))
        early, late = (wave[k : k + 4_410].std() for k in (0, 35_280))
        return float(20 * np.log10(early / late))

    assert fall(overdriven) < 0.5 * fall(guitar)


def test_sampled_instrument_repeats_a_take_for_the_same_tone_only() -> None:
    rng = np.random.default_rng(1)
    drum = sampled(snare)
    take = drum(200.0, 0.1, rng)
    np.testing.assert_array_equal(take, snare(200.0, 0.1, np.random.default_rng(1)))
    assert drum(200.0, 0.1, rng) is take
    assert drum(201.0, 0.1, rng) is not take
    assert drum(200.0, 0.2, rng).size > take.size
    assert sampled(snare)(200.0, 0.1, rng) is not take  # another's takes are its own


# --- playing


def test_note_starts_on_its_beat() -> None:
    rng = np.random.default_rng(1)
    track = play([Note(3, 69, 1)], step, rng, bpm=120, n_samples=3 * SAMPLE_RATE, looseness=0)
    sounding = np.flatnonzero(track)
    assert sounding[0] == 1.5 * SAMPLE_RATE  # three beats of half a second
    assert sounding.size == 0.5 * SAMPLE_RATE
    assert 0.85 * 440 <= track.max() <= 440


def test_notes_add_up_and_are_cut_off_at_the_end() -> None:
    notes = [Note(0, 69, 4), Note(0, 57, 4, velocity=0.5)]
    rng = np.random.default_rng(1)
    track = play(notes, step, rng, bpm=60, n_samples=SAMPLE_RATE, looseness=0)
    assert track.shape == (SAMPLE_RATE,)
    assert (track == track[0]).all()
    assert 0.85 * 550 <= track[0] <= 550


def test_player_is_never_further_off_than_allowed() -> None:
    notes = [Note(beat, 69, 0.5) for beat in range(1, 60)]
    rng = np.random.default_rng(1)
    track = play(notes, step, rng, bpm=60, n_samples=61 * SAMPLE_RATE, looseness=0.01)
    onsets = np.flatnonzero((track[1:] > 0) & (track[:-1] == 0)) + 1
    off = onsets / SAMPLE_RATE - np.arange(1, 60)
    assert np.abs(off).max() <= 0.01 + 0.5 / SAMPLE_RATE  # half a sample of rounding
    assert off.std() == pytest.approx(0.01 / np.sqrt(3), rel=0.25)  # uniform; 59 draws


def test_room_falls_by_60_decibels_in_its_time() -> None:
    impulse = np.zeros(2 * SAMPLE_RATE)
    impulse[0] = 1.0
    echo = reverberate(impulse, np.random.default_rng(1), seconds=1.5)
    left = 10 * np.log10(np.cumsum(echo[::-1] ** 2)[::-1] + 1e-30)  # Schroeder's integral
    start, stop = (int(np.argmax(left < left[0] - fall)) for fall in (5, 35))
    assert 2 * (stop - start) / SAMPLE_RATE == pytest.approx(1.5, rel=0.05)  # twice 30 dB
    assert left[0] == pytest.approx(0, abs=1e-6)  # as loud as what sounds in it


def test_tilt_turns_the_spectrum_around_1_kilohertz() -> None:
    second = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for frequency, octaves in ((10, -4.643856), (500, -1), (1_000, 0), (4_000, 2)):
        tone = np.sin(2 * np.pi * frequency * second)
        heard = tilt(tone, slope=1.5)  # 4.64 octaves below lies 40 Hz, where it levels out
        np.testing.assert_allclose(heard, tone * 10 ** (1.5 * octaves / 20), atol=1e-6)


def test_master_keeps_the_order_of_samples_and_sets_the_peak() -> None:
    mix = np.linspace(-3.0, 2.0, 101)
    wave = master(mix)
    assert wave.dtype == np.float32
    assert (np.diff(wave) > 0).all()
    assert np.abs(wave).max() == np.float32(PEAK)
    # rms of the mix is 1.76, so 0.3 / 1.76 scales it before tanh.
    scale = 0.3 / np.sqrt(np.mean(mix**2))
    assert wave[-1] / PEAK == pytest.approx(np.tanh(2 * scale) / np.tanh(3 * scale), rel=1e-6)
