from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from mgr_cli import content
from mgr_cli.content import CONTENTS, FEATURES, Content, Listener, measure

RATE = 16_000
N_BINS = content.HIGHEST - content.LOWEST
FRAMES = np.arange(content.N_FRAMES)


def white(seconds: float, rate: int = RATE, *, level: float = 0.1, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (level * samples).astype(np.float32)


def coloured(slope: float, seconds: float = 9.0, rate: int = RATE) -> np.ndarray:
    """Make noise whose power falls with frequency to this power."""
    spectrum = np.fft.rfft(white(seconds, rate))
    hz = np.fft.rfftfreq(round(seconds * rate), 1 / rate)
    noise = np.fft.irfft(spectrum * np.where(hz > 20, np.maximum(hz, 1) ** (-slope / 2), 0))
    return np.asarray(0.1 * noise / noise.std(), np.float32)


def chord(seconds: float = 9.0, rate: int = RATE) -> np.ndarray:
    """Make notes of four tones, a new one every half second."""
    times = np.arange(round(seconds * rate)) / rate
    pitch = 220 * 2 ** (np.floor(times * 2) % 5 / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tones = sum(np.sin(k * phase) / k for k in (1, 2, 3, 4))
    return (0.1 * tones * np.exp(-2 * (times % 0.5))).astype(np.float32)


def listened(samples: np.ndarray, rate: int = RATE, *, block: int | None = None) -> Listener:
    listener = Listener(rate)
    for first in range(0, len(samples), block or len(samples)):
        listener.push(samples[first : first + (block or len(samples))])
    listener.finish()
    return listener


def whole(samples: np.ndarray, rate: int = RATE) -> Content:
    """Say what a track is that is one segment."""
    return listened(samples, rate).contents((0.0,), len(samples) / rate)[0]


def odds(listener: Listener) -> np.ndarray:
    """Give power and log odds of each second."""
    return np.array(listener._kept).reshape(-1, 3)


def feature(name: str, power: np.ndarray) -> float:
    return float(measure(power[None].astype(np.float32))[0, FEATURES.index(name)])


# --- what is measured, by hand ----------------------------------------------------------


@pytest.mark.parametrize(("hz", "expected"), [(4, 1), (2, 0), (10, 0)])
def test_modulation_is_movement_at_the_rate_of_syllables(hz: int, expected: float) -> None:
    amplitudes = 1 + 0.5 * np.cos(2 * np.pi * hz * FRAMES / content.N_FRAMES)
    power = np.repeat(amplitudes[:, None] ** 2, N_BINS, axis=1)
    assert feature("modulation", power) == pytest.approx(expected, abs=1e-4)


def test_modulation_of_two_rates_is_the_share_of_their_squares() -> None:
    turns = 2 * np.pi * FRAMES / content.N_FRAMES
    amplitudes = 2 + 0.5 * np.cos(4 * turns) + 1.0 * np.cos(8 * turns)
    power = np.repeat(amplitudes[:, None] ** 2, N_BINS, axis=1)
    assert feature("modulation", power) == pytest.approx(0.25 / 1.25, abs=1e-4)


def test_level_is_a_deviation_in_decibels_and_40_db_below_the_mean_is_its_floor() -> None:
    power = np.repeat(np.where(FRAMES % 2, 1.0, 0.01)[:, None], N_BINS, axis=1)
    assert feature("level", power) == pytest.approx(10, abs=1e-3)  # 0 and −20 dB
    power = np.repeat(np.where(FRAMES % 2, 1.0, 0.0)[:, None], N_BINS, axis=1)
    # 0 dB, and 40 dB below the mean, which is at −3.01 dB
    assert feature("level", power) == pytest.approx(43.01 / 2, abs=1e-2)


def test_onsets_are_the_deviation_of_the_flux() -> None:
    power = np.repeat(np.where(FRAMES < 20, 0.01, 1.0)[:, None], N_BINS, axis=1)
    # One step of 20 dB, 38 of none; the floor of the bins raises the lower level a little.
    assert feature("onsets", power) == pytest.approx(20 * np.sqrt(38) / 39, abs=0.01)
    assert feature("onsets", np.ones((40, N_BINS))) == pytest.approx(0, abs=1e-5)


def test_shape_sees_bands_move_against_each_other_and_not_together() -> None:
    together = np.repeat(np.where(FRAMES % 2, 1.0, 0.01)[:, None], N_BINS, axis=1)
    assert feature("shape", together) < 0.05
    against = np.ones((40, N_BINS))
    against[::2, : content.BANDS[4]] = 0.01
    against[1::2, content.BANDS[4] :] = 0.01
    # Four bands at 0 and four at −20 dB: each is 10 dB from their mean, now above, now below.
    assert feature("shape", against) == pytest.approx(10, abs=0.05)


def test_tones_stay_and_noise_does_not() -> None:
    held = np.repeat(np.random.default_rng(0).exponential(size=(1, N_BINS)), 40, axis=0)
    assert feature("tones", held) == pytest.approx(np.log(1.02), abs=1e-3)
    fresh = np.random.default_rng(0).exponential(size=(40, N_BINS))
    # 40 independent frames leave 1 / 40 of their power by chance.
    assert feature("tones", fresh) == pytest.approx(np.log(1 / 40 + 0.02), abs=0.2)


def test_memory_is_the_correlation_of_neighbouring_frames() -> None:
    rng = np.random.default_rng(0)
    fresh = rng.exponential(size=(40, N_BINS))
    # Means over 40 frames are taken off, which correlates independent ones by −1 / 40.
    assert feature("memory", fresh) == pytest.approx(-1 / 40, abs=0.03)
    assert feature("memory", np.repeat(fresh[::2], 2, axis=0)) == pytest.approx(0.45, abs=0.06)


def test_memory_takes_no_account_of_what_all_bins_do_together() -> None:
    fresh = np.random.default_rng(0).exponential(size=(40, N_BINS))
    swelling = fresh * (1.05 + np.sin(2 * np.pi * FRAMES / 40))[:, None]
    assert feature("memory", swelling) == pytest.approx(feature("memory", fresh), abs=0.03)


def test_roughness_is_the_mean_step_between_bins_that_are_heard() -> None:
    steps = np.where(np.arange(N_BINS) % 2, 1.0, 0.1)
    assert feature("roughness", np.tile(steps, (40, 1))) == pytest.approx(10, abs=1e-3)
    steps[10:] = 1e-5  # 50 dB below the strongest: no step to there counts
    assert feature("roughness", np.tile(steps, (40, 1))) == pytest.approx(10, abs=1e-3)


def test_nothing_is_measured_as_numbers_too() -> None:
    assert np.isfinite(measure(np.zeros((2, 40, N_BINS), np.float32))).all()


# --- what is said -----------------------------------------------------------------------


@pytest.mark.parametrize(("decibels", "expected"), [(-61, "silence"), (-59, "noise")])
def test_silence_ends_60_db_below_full_scale(decibels: float, expected: Content) -> None:
    assert whole(white(9, level=10 ** (decibels / 20))) == expected


def test_silence_with_an_offset_is_silence() -> None:
    assert whole(np.full(3 * RATE, 0.5, np.float32)) == "silence"
    assert whole(np.zeros(3 * RATE, np.float32)) == "silence"


def test_a_high_tone_is_no_silence() -> None:
    # 20 kHz vanish where the samples are averaged, but the level is that of all samples.
    times = np.arange(3 * 48_000) / 48_000
    assert whole((0.1 * np.sin(2 * np.pi * 20_000 * times)).astype(np.float32), 48_000) == "music"


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_noise_of_any_colour_is_noise(slope: float, rate: int) -> None:
    assert whole(coloured(slope, rate=rate), rate) == "noise"


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000])
def test_notes_are_music(rate: int) -> None:
    assert whole(chord(rate=rate), rate) == "music"


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_drums_alone_are_music(rate: int) -> None:
    times = np.arange(9 * rate) / rate
    for beats in (1.0, 2.0, 3.0, 4.0, 5.0):  # a second; three to five are those of syllables
        drum = white(9, rate) * np.exp(-25 * (times % (1 / beats)))
        assert whole(drum.astype(np.float32), rate) == "music", beats


def test_below_8_khz_only_silence_is_told() -> None:
    assert whole(white(9, 4_000), 4_000) == "music"
    assert whole(white(9, 1_000, level=1e-4), 1_000) == "silence"


def test_the_highest_rate_is_heard() -> None:
    assert whole(white(7, 768_000), 768_000) == "noise"


def test_an_instant_is_music() -> None:
    for n_samples in (7, 800, RATE // 2):
        assert whole(white(n_samples / RATE, level=0.3)) == "music"


def test_segments_are_what_most_of_their_time_is() -> None:
    track = np.concatenate([np.zeros(10 * RATE, np.float32), white(10), chord(10)])
    listener = listened(track)
    found = listener.contents((0.0, 4.0, 12.0, 17.0, 25.0), 3.0)
    assert (found[0], found[1], found[2], found[4]) == ("silence", "silence", "noise", "music")
    assert listener.contents((8.0, 9.1), 2.1) == ("silence", "noise")
    assert listener.contents((0.5, 13.0), 0.05) == ("silence", "noise")
    assert listener.contents((), 3.0) == ()


def test_the_last_part_of_a_second_counts_for_what_it_is() -> None:
    # 0.7 s of notes and 0.6 s of silence are all that the segment has: it ends after the track.
    track = np.concatenate([chord(9), np.zeros(round(0.6 * RATE), np.float32)])
    assert listened(track).contents((8.3,), 3.0) == ("music",)


def test_an_end_that_is_cut_off_is_heard_as_the_rest() -> None:
    # Padded with silence, the end would have a level that falls: no noise.
    found, expected = odds(listened(white(1.4))), odds(listened(white(2)))
    assert found[1, 0] == pytest.approx(expected[1, 0], rel=0.1)


def test_what_is_silent_has_no_say() -> None:
    quiet = np.concatenate([white(2, level=1e-4), white(4)])
    alone = listened(white(4)).contents((0.0,), 4.0)
    assert listened(quiet).contents((2.0,), 4.0) == alone == ("noise",)
    tone = 1e-4 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)  # speaks against noise
    around = np.concatenate([tone.astype(np.float32), white(4)])
    assert listened(around).contents((4.0, 6.0), 1.0) == ("noise", "noise")


def test_a_tie_is_music() -> None:
    track = np.concatenate([np.zeros(10 * RATE, np.float32), chord(10)])
    assert listened(track).contents((8.0, 7.9, 8.1), 4.0) == ("music", "silence", "music")


def test_a_track_of_nothing_is_music() -> None:
    listener = Listener(RATE)
    listener.finish()
    assert listener.contents((0.0,), 3.0) == ("music",)


# --- invariants -------------------------------------------------------------------------


@pytest.mark.parametrize("block", [997, RATE, 100_000])
def test_how_blocks_are_cut_does_not_matter(block: int) -> None:
    track = np.concatenate([chord(20.3), white(20.4)])  # more than is measured together
    expected, found = listened(track), listened(track, block=block)
    np.testing.assert_array_equal(odds(found), odds(expected))
    starts = tuple(np.arange(0, 38.0, 3.0))
    assert found.contents(starts, 3.0) == expected.contents(starts, 3.0)


@pytest.mark.parametrize("decibels", [-20, 20])
def test_loudness_does_not_matter(decibels: float) -> None:
    track = np.concatenate([chord(), white(9)])
    louder = (track * 10 ** (decibels / 20)).astype(np.float32)
    # float32: the odds are sums of numbers of up to 50.
    np.testing.assert_allclose(
        odds(listened(louder))[:, 1:], odds(listened(track))[:, 1:], atol=0.01
    )


def test_an_offset_does_not_matter() -> None:
    track = np.concatenate([chord(), white(9)])
    moved = odds(listened(track + np.float32(0.3)))
    np.testing.assert_allclose(moved[:, 1:], odds(listened(track))[:, 1:], atol=0.05)


def test_three_numbers_a_second_are_kept() -> None:
    listener = listened(white(600, 8_000), 8_000, block=80_000)
    assert len(listener._kept) == 3 * 600
    assert len(listener._pending) <= content.AT_ONCE


# --- recordings -------------------------------------------------------------------------


def read(path: Path) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate


def heard(samples: np.ndarray, rate: int) -> Counter[Content]:
    starts = tuple(np.arange(0, len(samples) / rate - 3, 3.0))
    return Counter(listened(samples.astype(np.float32), rate).contents(starts, 3.0))


@pytest.mark.parametrize("name", ["198-209-0000", "3436-172162-0000", "5703-47212-0000"])
def test_recorded_speech_is_speech(shared: Path, name: str) -> None:
    samples, rate = read(shared / "audio" / "cc" / f"{name}.hq.ogg")
    changed = [
        (samples, rate), (samples * 0.1, rate), (np.clip(samples * 10, -1, 1), rate),
        (samples + 0.2, rate), (soxr.resample(samples, rate, 8_000), 8_000),
        (soxr.resample(samples, rate, 44_100), 44_100),
        (samples + white(len(samples) / rate, rate, level=0.1 * float(samples.std())), rate),
    ]  # fmt: skip
    for each, its_rate in changed:
        assert set(heard(each, its_rate)) == {"speech"}


def test_recorded_music_is_music(shared: Path) -> None:
    paths = sorted((shared / "audio" / "gtzan").rglob("*.wav"))
    assert len(paths) == 10
    for path in paths:
        assert set(heard(*read(path))) == {"music"}, path.name


def test_every_content_can_be_said() -> None:
    assert CONTENTS[0] == "music"  # which a tie is
    assert set(CONTENTS) == {"music", "speech", "noise", "silence"}
