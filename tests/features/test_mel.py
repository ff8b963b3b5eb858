import tracemalloc
from dataclasses import replace
from math import floor
from pathlib import Path
from typing import get_args

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from PIL import Image

from mgr_cli import audio
from mgr_cli.config import FeatureSpec, Scale
from mgr_cli.features import mel

# Two Fourier transforms in single precision. Their rounding, some 1e-7 of the loudest bin,
# weighs most in bands 80 dB below it, whose amplitude is 1e-4 of its: measured 1.3e-4 dB on
# the tracks below, against references in single and in double precision alike.
SINGLE_PRECISION_DB = 3e-4

GENRES = (
    "blues", "classical", "country", "disco", "hiphop",
    "jazz", "metal", "pop", "reggae", "rock",
)  # fmt: skip
GTZAN = [f"gtzan/{genre}/{genre}.00000.wav" for genre in GENRES]
FMA = [
    f"fma/000/{number:06d}.mp3"
    for number in (2, 5, 182, 255, 256, 368, 459, 574, 676, 690)  # 3 is not in FMA-small
]
EMOTIFY = ["emotify/classical/001.mp3", "emotify/electronic/001.mp3"]  # the widest ranges
REAL = [*GTZAN, *FMA[:2], "fma/000/000255.mp3", *EMOTIFY]

SPECS = {
    "default": FeatureSpec(),
    "seed 003": FeatureSpec(sample_rate=44_100, n_fft=4_096, hop_length=1_024),
    "narrow": FeatureSpec(fmin=300.0, fmax=3_000.0, n_mels=40, n_fft=1_024),
    "speech": FeatureSpec(
        sample_rate=16_000, n_fft=400, hop_length=160, n_mels=64, fmin=20.0, fmax=7_600.0
    ),
    "hop beyond window": FeatureSpec(n_fft=512, hop_length=1_000, n_mels=20),
    "odd window": FeatureSpec(n_fft=1_023, hop_length=300, n_mels=32),
    "40 dB": FeatureSpec(top_db=40.0),
}


def noise(n_samples: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def powers(blocks: list[np.ndarray], spec: FeatureSpec) -> tuple[np.ndarray, float, float]:
    frames = mel.PowerFrames(spec)
    power = np.concatenate([*(frames.push(block) for block in blocks), frames.finish()])
    return power, frames.highest, frames.lowest


def by_librosa(waveform: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.fmax,
    )
    levels: np.ndarray = librosa.power_to_db(power, ref=np.max, top_db=spec.top_db)
    return levels


def by_torchaudio(waveform: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    # In double precision: torchaudio builds its filters in the default dtype, and their
    # rounding in float32 alone makes 3.4e-3 dB on these tracks.
    torch.set_default_dtype(torch.float64)
    try:
        transform = torchaudio.transforms.MelSpectrogram(
            sample_rate=spec.sample_rate,
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            n_mels=spec.n_mels,
            f_min=spec.fmin,
            f_max=spec.fmax,
            power=2,
            norm="slaney",
            mel_scale="slaney",
            center=True,
            pad_mode="constant",
        )
    finally:
        torch.set_default_dtype(torch.float32)
    power = transform(torch.from_numpy(waveform.astype(np.float64))).numpy()
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    levels: np.ndarray = np.maximum(decibel - decibel.max(), -spec.top_db)
    return levels


def own_rate(path: Path) -> int:
    with audio.open_stream(path, sample_rate=22_050) as stream:
        return stream.info.sample_rate


@pytest.mark.parametrize("name", REAL)
def test_real_tracks_agree_with_librosa_and_torchaudio(shared: Path, name: str) -> None:
    path = shared / "audio" / name
    spec = FeatureSpec(sample_rate=own_rate(path))
    waveform = audio.load(path, sample_rate=spec.sample_rate)
    levels = mel.log_mel(waveform, spec)
    for reference in (by_librosa(waveform, spec), by_torchaudio(waveform, spec)):
        np.testing.assert_allclose(levels, reference, rtol=0, atol=SINGLE_PRECISION_DB)
    assert (levels > -spec.top_db).mean() > 0.5  # it is not the floor that was compared


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_other_front_ends_agree_with_librosa_and_torchaudio(spec: FeatureSpec) -> None:
    # A fading sweep over noise: something to see in every band, over 100 dB.
    time = np.arange(3 * spec.sample_rate) / spec.sample_rate
    sweep = np.exp(-2 * time) * np.sin(2 * np.pi * 700 * time**2)
    waveform = (0.5 * sweep + 1e-5 * noise(len(time))).astype(np.float32)
    levels = mel.log_mel(waveform, spec)
    assert np.ptp(levels) > spec.top_db - 20
    references = [by_librosa(waveform, spec)]
    if spec.n_fft % 2 == 0:  # torchaudio takes the last bin of an odd transform for sr / 2
        references.append(by_torchaudio(waveform, spec))
    for reference in references:
        np.testing.assert_allclose(levels, reference, rtol=0, atol=SINGLE_PRECISION_DB)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_filters_are_librosas(spec: FeatureSpec) -> None:
    reference = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.fmin, fmax=spec.fmax
    )
    # Both are rounded to float32, of which the last bit is 1.2e-7.
    np.testing.assert_allclose(mel.mel_filters(spec), reference, rtol=2.4e-7)


def test_every_filter_passes_the_same_power_of_white_noise() -> None:
    spec = FeatureSpec(n_fft=65_536, n_mels=40)
    areas = mel.mel_filters(spec).sum(axis=1) * spec.sample_rate / spec.n_fft
    # Sums over bins 0.3 Hz apart of triangles that are 100 Hz wide or more.
    np.testing.assert_allclose(areas, 1, rtol=1e-4)


def test_slaney_scale_has_three_mels_in_200_hz_and_27_to_a_factor_of_6_4() -> None:
    hz = np.array([0, 200 / 3, 200, 1_000, 1_000 * 6.4 ** (1 / 27), 6_400, 40_960])
    mels = np.array([0, 1, 3, 15, 16, 42, 69])
    np.testing.assert_allclose(mel.hz_to_mel(hz), mels, rtol=1e-12)
    np.testing.assert_allclose(mel.mel_to_hz(mels), hz, rtol=1e-12)


def test_window_is_the_periodic_hann() -> None:
    np.testing.assert_allclose(mel.hann(8)[:5], [0, 0.1464466, 0.5, 0.8535534, 1], atol=1e-7)
    assert mel.hann(8)[7] == mel.hann(8)[1] != mel.hann(8)[0]


def test_filters_and_window_are_shared_and_cannot_be_changed() -> None:
    for array in (mel.mel_filters(FeatureSpec()), mel.hann(64)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_first_frame_is_centred_on_the_first_sample() -> None:
    # A click at sample 0. The window of 16 is 1 at its centre, so frame 0 has the power 1 in
    # every bin. In frame 1, four samples on, the click stands at the window's sample 4,
    # which is 0.5: a quarter of the power. In frame 2 it stands at sample 0, which is 0.
    spec = FeatureSpec(sample_rate=8_000, n_fft=16, hop_length=4, n_mels=3)
    click = np.zeros(12, np.float32)
    click[0] = 1
    power, highest, lowest = powers([click], spec)
    flat = mel.mel_filters(spec).sum(axis=1)
    expected = np.outer([1, 0.25, 0, 0], flat)
    np.testing.assert_allclose(power, expected, rtol=1e-6, atol=1e-12)
    assert highest == pytest.approx(flat.max(), rel=1e-6)
    assert lowest == pytest.approx(0, abs=1e-12)
    # 10 log10 of a quarter is -6.02 dB; the band of the largest filter sets the reference.
    # Nothing counts as -100 dB.
    levels = mel.log_mel(click, spec)
    nothing = -100 - 10 * np.log10(flat.max())
    expected_levels = [0, -6.0206, nothing, nothing]
    np.testing.assert_allclose(levels[flat.argmax()], expected_levels, atol=1e-4)


def test_last_frame_is_centred_on_the_last_sample_of_a_hop() -> None:
    # Eight samples at a hop of 4: frames at 0, 4 and 8, the last one centred just behind the
    # end. A click at sample 7 stands in it one sample before the centre.
    spec = FeatureSpec(sample_rate=8_000, n_fft=16, hop_length=4, n_mels=1)
    click = np.zeros(8, np.float32)
    click[7] = 1
    power, *_ = powers([click], spec)
    assert power.shape == (3, 1)
    flat = mel.mel_filters(spec).sum()
    beside = (0.5 - 0.5 * np.cos(2 * np.pi * 7 / 16)) ** 2
    assert power[2, 0] == pytest.approx(beside * flat, rel=1e-6)


@pytest.mark.parametrize("band", [0, 4, 12, 20, 33, 40])
def test_sine_peaks_in_the_band_that_is_centred_on_it(band: int) -> None:
    # 41 bands up to 6,400 Hz, 42 mels: one mel from edge to edge, band m centred at m + 1,
    # below 1 kHz (15 mels) at (m + 1) · 200 / 3 Hz, above at 1,000 · 6.4 ** ((m - 14) / 27).
    spec = FeatureSpec(sample_rate=16_000, n_fft=4_096, n_mels=41, fmax=6_400.0)
    hz = (band + 1) * 200 / 3 if band < 14 else 1_000 * 6.4 ** ((band - 14) / 27)
    sine = np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000).astype(np.float32)
    levels = mel.log_mel(sine, spec)[:, 4:-4]  # where the window is full
    assert (levels.argmax(axis=0) == band).all()


@pytest.mark.parametrize("scale", get_args(Scale))
def test_silence_is_zero(scale: Scale) -> None:
    levels = mel.log_mel(np.zeros(22_050, np.float32), FeatureSpec(scale=scale))
    assert levels.shape == (128, 44)
    assert (levels == 0).all()


def test_level_does_not_depend_on_loudness() -> None:
    waveform = noise(8_000)
    halved = mel.log_mel(waveform / 2, FeatureSpec())
    # A power of two: only the logarithms round, at 80 dB to 1e-5.
    np.testing.assert_allclose(halved, mel.log_mel(waveform, FeatureSpec()), atol=3e-5)


def test_power_below_minus_100_decibel_counts_as_that() -> None:
    # The click of the first test, so faint that its power is below 1e-10 everywhere.
    click = np.zeros(12, np.float32)
    click[0] = 1e-6
    spec = FeatureSpec(sample_rate=8_000, n_fft=16, hop_length=4, n_mels=3)
    assert (mel.log_mel(click, spec) == 0).all()


@pytest.mark.parametrize("top_db", [20.0, 60.0])
@pytest.mark.parametrize("hz", [100, 440, 1_000, 5_000])
def test_levels_lie_between_top_db_and_zero(top_db: float, hz: int) -> None:
    sine = np.sin(2 * np.pi * hz * np.arange(22_050) / 22_050).astype(np.float32)
    levels = mel.log_mel(sine, FeatureSpec(top_db=top_db))
    assert levels.min() == -top_db
    assert -1e-5 < levels.max() <= 0  # single precision at 100 dB


def test_minmax_stretches_to_the_tracks_own_range() -> None:
    waveform = noise(22_050)  # its range is some 25 dB, well above the floor
    decibel = mel.log_mel(waveform, FeatureSpec()).astype(np.float64)
    assert decibel.min() > -60
    stretched = mel.log_mel(waveform, FeatureSpec(scale="minmax"))
    expected = (decibel - decibel.min()) / (decibel.max() - decibel.min())
    np.testing.assert_allclose(stretched, expected, atol=1e-6)  # float32 at 1
    assert (stretched.min(), stretched.max()) == (0, 1)


@pytest.mark.parametrize("decimation", [1.5, 2.0, 1293 / 387.5, 7.3, 20.1875])
def test_decimation_keeps_the_middle_frame_of_every_column(decimation: float) -> None:
    waveform = noise(100_000)
    waveform[:300] *= 50  # frame 0 is the loudest; no decimation keeps it, levels refer to it
    whole = FeatureSpec(n_fft=256, hop_length=100, n_mels=16)
    frames = mel.log_mel(waveform, whole)
    kept = [floor((j + 0.5) * decimation) for j in range(1_001)]
    kept = [frame for frame in kept if frame < 1_001]
    if decimation >= 2:
        assert 0 not in kept
    # The same numbers but for the matrix product's order of summation: 1e-5 at 80 dB.
    np.testing.assert_allclose(
        mel.log_mel(waveform, replace(whole, decimation=decimation)), frames[:, kept], atol=3e-5
    )


def test_minmax_refers_to_frames_that_are_not_kept() -> None:
    waveform = noise(20_000)
    waveform[:200] *= 30
    waveform[9_000:9_400] *= 1e-3
    spec = FeatureSpec(n_fft=256, hop_length=100, n_mels=16, scale="minmax")
    frames = mel.log_mel(waveform, spec)
    kept = mel.log_mel(waveform, replace(spec, decimation=40.0))
    np.testing.assert_allclose(kept, frames[:, 20::40], atol=1e-6)
    assert kept.min() > 0.01
    assert kept.max() < 0.99


@pytest.mark.parametrize("seed", range(60))
def test_blocks_of_any_size_give_the_frames_of_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = FeatureSpec(
        n_fft=int(rng.integers(16, 300)),
        hop_length=int(rng.integers(1, 900)),  # often longer than the window
        n_mels=5,
        decimation=float(rng.choice([1.0, rng.uniform(1, 9)])),
    )
    waveform = noise(int(rng.integers(1, 6_000)), seed=seed)
    cuts = np.sort(rng.integers(0, len(waveform) + 1, int(rng.integers(1, 30))))
    blocks = np.split(waveform, cuts)  # some of them empty
    power, highest, lowest = powers(blocks, spec)
    expected, *extremes = powers([waveform], spec)
    # The matrix product sums in an order that depends on its height: measured 5e-7.
    np.testing.assert_allclose(power, expected, rtol=3e-6)
    assert (highest, lowest) == pytest.approx(extremes, rel=3e-6)
    assert len(power) == spec.n_frames(len(waveform))


@pytest.mark.parametrize("hop_length", [1, 5, 16, 40])
def test_single_samples_give_the_frames_of_one_block(hop_length: int) -> None:
    spec = FeatureSpec(n_fft=16, hop_length=hop_length, n_mels=2)
    waveform = noise(230)
    power, *_ = powers(list(waveform[:, None]), spec)
    np.testing.assert_allclose(power, powers([waveform], spec)[0], rtol=3e-6)


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    # 20,000 overlapping frames of 1,024 are 80 MB before they are transformed.
    spec = FeatureSpec(n_fft=1_024, hop_length=16, n_mels=4)
    waveform = noise(20_000 * 16)
    mel.mel_filters(spec)
    tracemalloc.start()
    try:
        powers([waveform], spec)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6  # measured 14 MB


@pytest.mark.parametrize("n_fft", [16, 17])
@pytest.mark.parametrize("decimation", [1.0, 1.0001, 1.5, 2.0, 1293 / 387.5, 2584 / 128, 999.5])
def test_n_frames_is_what_comes_out(n_fft: int, decimation: float) -> None:
    spec = FeatureSpec(n_fft=n_fft, hop_length=3, n_mels=1, decimation=decimation)
    waveform = noise(5_000)
    lengths = [*range(1, 100), *range(100, 5_000, 37), *range(4_990, 5_001)]
    measured = [powers([waveform[:n]], spec)[0].shape[0] for n in lengths]
    assert measured == [spec.n_frames(n) for n in lengths]


def test_waveform_has_one_dimension() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        mel.log_mel(np.zeros((2, 100), np.float32), FeatureSpec())


def assert_draws(picture: Path, waveform: np.ndarray, spec: FeatureSpec) -> None:
    """Hold the grey levels of a waveform against a picture of them.

    They are within one level, and not closer: the pictures went through a colour map, whose
    neighbours are mixed up. Measured: 11 to 16 % of GTZAN's pixels and 13 to 22 % of FMA's
    are one level off, all others equal.
    """
    drawn = np.asarray(Image.open(picture), np.int64)[::-1]  # row 0 is the highest band
    greys = np.rint(mel.log_mel(waveform, spec) * 255).astype(np.int64)
    assert greys.shape == drawn.shape
    differences = np.abs(greys - drawn)
    assert differences.max() <= 1
    assert (differences == 1).mean() < 0.25


@pytest.mark.parametrize("name", GTZAN)
def test_gtzan_track_reproduces_its_picture(shared: Path, name: str) -> None:
    path = shared / "audio" / name
    waveform = audio.load(path, sample_rate=22_050)
    n_frames = FeatureSpec().n_frames(len(waveform))
    picture = shared / "data/gtzan_logmel" / path.parent.name / f"{path.stem}.png"
    assert_draws(picture, waveform, FeatureSpec(scale="minmax", decimation=n_frames / 387.5))


@pytest.mark.parametrize("name", FMA)
def test_fma_track_reproduces_its_picture(shared: Path, name: str) -> None:
    path = shared / "audio" / name
    # The first 30 s: three of the clips are 119 samples longer, and with them, one frame
    # more, other columns are drawn (up to 105 grey levels off).
    waveform = audio.load(path, sample_rate=44_100)[: 30 * 44_100]
    spec = FeatureSpec(sample_rate=44_100, scale="minmax")
    (picture,) = (shared / "data/fma_small_logmel").glob(f"*/{path.stem}.png")
    assert_draws(picture, waveform, replace(spec, decimation=spec.n_frames(len(waveform)) / 128))
