"""How long the 518 features take, beside a plain librosa script and beside decoding alone.

    python -m tests.benchmarks.handcrafted AUDIO...

Processor time on one clip after the other, all rivals in turn, the best of a few rounds:
only the ratios mean anything. `plain_librosa` is FMA's script brought to today's librosa
(`bins_per_octave` stated, `rms` for `rmse`), without its slow filling of a pandas Series.
The first table is the clips, the second where our time goes on all of them together.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
from scipy import stats

from mgr_cli.features import spectral
from mgr_cli.features.handcrafted import COLUMNS, FORGOTTEN_RATE, extract
from mgr_cli.features.statistics import summarise
from mgr_cli.plans import Form

ROUNDS = 5


def plain_frames(waveform: np.ndarray, sample_rate: int, form: Form) -> dict[str, np.ndarray]:
    """Compute the 74 features of every frame as FMA's `features.py` does."""
    rate = sample_rate if form == "corrected" else FORGOTTEN_RATE
    feature = librosa.feature
    cqt = np.abs(
        librosa.cqt(
            waveform, sr=sample_rate, hop_length=512, bins_per_octave=12, n_bins=84, tuning=None
        )
    )
    cens = feature.chroma_cens(C=cqt, n_chroma=12, n_octaves=7, bins_per_octave=12)
    stft = np.abs(librosa.stft(waveform, n_fft=2048, hop_length=512))
    mel = feature.melspectrogram(sr=sample_rate, S=stft**2)
    return {
        "zcr": feature.zero_crossing_rate(waveform, frame_length=2048, hop_length=512),
        "chroma_cqt": feature.chroma_cqt(C=cqt, n_chroma=12, n_octaves=7, bins_per_octave=12),
        "chroma_cens": cens,
        "tonnetz": feature.tonnetz(chroma=cens),
        "chroma_stft": feature.chroma_stft(S=stft**2, n_chroma=12, sr=rate),
        "rmse": feature.rms(S=stft),
        "spectral_centroid": feature.spectral_centroid(S=stft, sr=rate),
        "spectral_bandwidth": feature.spectral_bandwidth(S=stft, sr=rate),
        "spectral_contrast": feature.spectral_contrast(S=stft, n_bands=6, sr=rate),
        "spectral_rolloff": feature.spectral_rolloff(S=stft, sr=rate),
        "mfcc": feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20),
    }


def plain_librosa(waveform: np.ndarray, sample_rate: int, form: Form) -> np.ndarray:
    """Compute the 518 features in the order of `COLUMNS`, the straightforward way."""
    found = {}
    for name, values in plain_frames(waveform, sample_rate, form).items():
        found[name, "mean"] = np.mean(values, axis=1)
        found[name, "std"] = np.std(values, axis=1)
        found[name, "skew"] = stats.skew(values, axis=1)
        found[name, "kurtosis"] = stats.kurtosis(values, axis=1)
        found[name, "median"] = np.median(values, axis=1)
        found[name, "min"] = np.min(values, axis=1)
        found[name, "max"] = np.max(values, axis=1)
    return np.array([found[name, statistic][int(i) - 1] for name, statistic, i in COLUMNS])


def read(path: Path) -> tuple[np.ndarray, int]:
    """Decode to mono at the file's own rate."""
    samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.mean(axis=1)), sample_rate


def best(rivals: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Time each in turn, once to warm up and some rounds; processor seconds, the best."""
    seconds = dict.fromkeys(rivals, float("inf"))
    for round_ in range(1 + ROUNDS):
        for name, run in rivals.items():
            start = time.process_time()
            run()
            if round_:
                seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


def rivals(path: Path) -> dict[str, Callable[[], object]]:
    waveform, sample_rate = read(path)
    return {
        "decode": lambda: read(path),
        "ours": lambda: extract(waveform, sample_rate),
        "plain": lambda: plain_librosa(waveform, sample_rate, "corrected"),
    }


def steps(path: Path) -> dict[str, Callable[[], object]]:
    waveform, sample_rate = read(path)
    frames = spectral.magnitudes(waveform)
    some = np.random.default_rng(0).random((74, len(frames)))
    mel = librosa.filters.mel(sr=sample_rate, n_fft=2048)
    return {
        "constant-Q": lambda: librosa.cqt(waveform, sr=sample_rate, n_bins=84, tuning=0.0),
        "STFT": lambda: spectral.magnitudes(waveform),
        "contrast": lambda: spectral.contrast(frames, sample_rate),
        "rolloff": lambda: spectral.rolloff(frames, sample_rate),
        "mel power": lambda: spectral.filtered_power(frames, mel),
        "tuning of CQT": lambda: spectral.tuning(frames, sample_rate, exponent=1),
        "chroma + tuning": lambda: spectral.chroma(frames, sample_rate),
        "centroid + width": lambda: spectral.centroid_and_bandwidth(frames, sample_rate),
        "rms": lambda: spectral.rms(frames),
        "zero crossings": lambda: spectral.zero_crossings(waveform),
        "statistics": lambda: summarise(some),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("audio", nargs="+", type=Path)
    paths: list[Path] = parser.parse_args().audio
    warnings.simplefilter("ignore")

    print("clip                      rate   decode    ours   plain  ours/plain  with decode")
    share: dict[str, float] = {}
    total = 0.0
    for path in paths:
        seconds = best(rivals(path))
        decode, ours, plain = seconds.values()
        print(
            f"{path.name:22.22} {soundfile.info(path).samplerate:7} {decode:8.3f} {ours:7.3f}"
            f" {plain:7.3f} {ours / plain:11.2f} {(decode + ours) / (decode + plain):10.2f}"
        )
        total += ours
        for name, spent in best(steps(path)).items():
            share[name] = share.get(name, 0.0) + spent
    print("\nstep               share of ours")
    for name, spent in sorted(share.items(), key=lambda row: -row[1]):
        print(f"{name:18} {spent / total:14.0%}")
    print(f"{'the rest':18} {1 - sum(share.values()) / total:14.0%}")


if __name__ == "__main__":
    main()
