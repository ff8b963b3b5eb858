"""The 518 features as a plain librosa script computes them, and what they are made of.

`plain_librosa` is FMA's script brought to today's librosa (`bins_per_octave` stated, `rms` for
`rmse`), without its slow filling of a pandas Series. It is what our own features are held
against, in the tests, and what their speed is, in `python -m tests.benchmarks.prepare handcrafted`.
"""

from pathlib import Path

import librosa
import numpy as np
from scipy import stats

from mgr_cli.features.handcrafted import COLUMNS, FORGOTTEN_RATE
from mgr_cli.plans import Form
from tests.benchmarks.rivals import at_own_rate as read

__all__ = ["plain_frames", "plain_librosa", "read", "store_features", "transforms"]


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


def store_features(path: Path, target: Path) -> None:
    """Compute the 518 features of a file and write them."""
    np.save(target / f"{path.stem}.npy", plain_librosa(*read(path), "corrected"))


def transforms(path: Path) -> int:
    """Do what the features cannot do without: decode, constant-Q transform, STFT."""
    waveform, sample_rate = read(path)
    cqt = librosa.cqt(
        waveform, sr=sample_rate, hop_length=512, bins_per_octave=12, n_bins=84, tuning=0.0
    )
    stft = librosa.stft(waveform, n_fft=2048, hop_length=512)
    return int(cqt.size + stft.size)
