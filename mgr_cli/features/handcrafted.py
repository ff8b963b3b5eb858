"""The 518 hand-crafted features of a track, column for column as FMA names them.

Eleven families of features, 74 numbers a frame, are summed up over the track by seven
statistics (`features.statistics`):

=====================  ==  ==========================================================
chroma_cens            12  smoothed, quantised pitch classes of the constant-Q transform
chroma_cqt             12  its pitch classes
chroma_stft            12  pitch classes of the STFT's power
mfcc                   20  cosine transform of 128 log-mel bands
rmse                    1  root mean square of the windowed frame
spectral_bandwidth      1  Hz, of the magnitude
spectral_centroid       1  Hz
spectral_contrast       7  dB, of 6 octaves above 200 Hz and what is below
spectral_rolloff        1  Hz
tonnetz                 6  tonal centroids of chroma_cens
zcr                     1  changes of sign in a sample
=====================  ==  ==========================================================

Frames are 2,048 samples every 512 at the track's own rate, the only place in this package where
a rate is not converted first: so FMA's script has it, and so a feature in frames is not the same
length of time in two tracks.

Two forms. FMA's script forgot to hand the rate to five families (chroma_stft and the four
spectral ones), whose frequencies are therefore those of a rate of 22,050 Hz, whatever the
track's: half of the true ones at 44,100 Hz. ``fma-compat`` repeats this, ``corrected`` does not.
The published `features.csv` was made so with librosa 0.5, from whole tracks and not from the
30 s clips. What librosa has changed since is in its current form here, in both forms: a track is
extended by zeros, where it was mirrored; soxr resamples, where resampy did; and the rms is that
of the samples, where it was that of the bins, √(2048² / 2050) = 45.2 times as much. One default
changed the meaning of FMA's call and is set back: chroma of a transform of 12 bins an octave,
where librosa now takes 36 for granted.

References
----------
M. Defferrard et al., "FMA: A dataset for music analysis", ISMIR 2017, and its `features.py`.
M. Müller and S. Ewert, "Chroma toolbox", ISMIR 2011 (CENS).
C. Harte et al., "Detecting harmonic change in musical audio", 2006 (tonnetz).
"""

import warnings

import numpy as np

from mgr_cli.config import FeatureSpec
from mgr_cli.errors import AudioError
from mgr_cli.features import spectral
from mgr_cli.features.mel import mel_filters
from mgr_cli.features.statistics import STATISTICS, summarise
from mgr_cli.plans import FORMS, Form

FAMILIES = {
    "chroma_cens": 12,
    "chroma_cqt": 12,
    "chroma_stft": 12,
    "mfcc": 20,
    "rmse": 1,
    "spectral_bandwidth": 1,
    "spectral_centroid": 1,
    "spectral_contrast": 7,
    "spectral_rolloff": 1,
    "tonnetz": 6,
    "zcr": 1,
}
"""How many numbers a frame each family has, in FMA's order."""

COLUMNS: tuple[tuple[str, str, str], ...] = tuple(
    (family, statistic, f"{number:02d}")
    for family, n_numbers in FAMILIES.items()
    for statistic in STATISTICS
    for number in range(1, n_numbers + 1)
)
"""Feature, statistic and number of each of the 518 columns, in FMA's (sorted) order."""

NAMES: tuple[str, ...] = tuple(".".join(column) for column in COLUMNS)
"""The same as one name a column, ``mfcc.mean.01``."""

FORGOTTEN_RATE = 22_050  # Hz: librosa's default, where FMA's script does not hand over the rate
LOWEST_RATES = {"corrected": 12_801, "fma-compat": 8_600}  # Hz
N_OCTAVES = 7  # of the constant-Q transform, from C1 (32.7 Hz)
N_MFCC = 20


def extract(waveform: np.ndarray, sample_rate: int, *, form: Form = "corrected") -> np.ndarray:
    """Compute the 518 features of a track.

    Takes about 4 GB of memory for an hour at 44,100 Hz.

    Parameters
    ----------
    waveform : np.ndarray [shape=(n_samples,)]
        At the track's own rate, mono, in [-1, 1]. At least one frame, 2,048 samples. Where it
        is shorter than the longest filter of the constant-Q transform (0.5 s), silence is
        taken for what is missing.
    sample_rate : int
        In Hz.
    form : {"corrected", "fma-compat"}
        Whether all families know the rate, or those do not that FMA's script forgot.

    Returns
    -------
    np.ndarray [shape=(518,)]
        float32 in the order of `COLUMNS`, always finite: a feature that does not move, as in
        silence, has skewness 0 and kurtosis −3.

    Raises
    ------
    AudioError
        If the track is shorter than a frame, or its rate too low for the highest band: not
        above 12,800 Hz, or 8,600 Hz for ``fma-compat``.
    ValueError
        If the waveform is not one-dimensional or not finite, or the form is unknown.
    """
    _validate(waveform, sample_rate, form)
    families = frames(np.ascontiguousarray(waveform, np.float32), sample_rate, form=form)
    return np.concatenate([summarise(families[name]).ravel() for name in FAMILIES]).astype(
        np.float32
    )


def frames(
    waveform: np.ndarray, sample_rate: int, *, form: Form = "corrected"
) -> dict[str, np.ndarray]:
    """Compute the 74 features of every frame; see `extract` for what is legal.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_numbers, n_frames)]
        By family.
    """
    rate = sample_rate if form == "corrected" else FORGOTTEN_RATE
    spectrum = spectral.magnitudes(waveform)
    centroid, bandwidth = spectral.centroid_and_bandwidth(spectrum, rate)
    return {
        **_tonal(waveform, spectrum, sample_rate),
        "chroma_stft": spectral.chroma(spectrum, rate),
        "mfcc": _mfcc(spectrum, sample_rate),
        "rmse": spectral.rms(spectrum),
        "spectral_bandwidth": bandwidth[None],
        "spectral_centroid": centroid[None],
        "spectral_contrast": spectral.contrast(spectrum, rate),
        "spectral_rolloff": spectral.rolloff(spectrum, rate),
        "zcr": spectral.zero_crossings(waveform),
    }


def _validate(waveform: np.ndarray, sample_rate: int, form: Form) -> None:
    if form not in FORMS:
        raise ValueError(f"form is {form!r}, not one of {', '.join(FORMS)}")
    if waveform.ndim != 1:
        raise ValueError(f"a waveform has one dimension, not shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise ValueError("the waveform has values that are not finite")
    if sample_rate < LOWEST_RATES[form]:
        raise AudioError(
            f"a sample rate of {sample_rate} Hz is too low for the 518 features, which reach up"
            f" to {LOWEST_RATES[form] // 2} Hz; resample the track to 22050 Hz first"
        )
    if len(waveform) < spectral.N_FFT:
        raise AudioError(
            f"{len(waveform)} samples are too few for the 518 features, which need a frame of"
            f" {spectral.N_FFT}; leave the track out"
        )


def _tonal(waveform: np.ndarray, spectrum: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Compute the families that come from the constant-Q transform."""
    import librosa

    with warnings.catch_warnings():
        # Octaves by octave the waveform is halved, and a short one then has less than a window.
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")
        transform = librosa.cqt(
            waveform,
            sr=sample_rate,
            hop_length=spectral.HOP_LENGTH,
            n_bins=N_OCTAVES * spectral.N_CHROMA,
            bins_per_octave=spectral.N_CHROMA,
            tuning=spectral.tuning(spectrum, sample_rate, exponent=1),
        )
    options = {
        "C": np.abs(transform),
        "n_chroma": spectral.N_CHROMA,
        "n_octaves": N_OCTAVES,
        "bins_per_octave": spectral.N_CHROMA,  # librosa 0.5's default; it is 36 today
    }
    cens = librosa.feature.chroma_cens(**options)
    return {
        "chroma_cqt": librosa.feature.chroma_cqt(**options),
        "chroma_cens": cens,
        "tonnetz": librosa.feature.tonnetz(chroma=cens),
    }


def _mfcc(spectrum: np.ndarray, sample_rate: int) -> np.ndarray:
    import librosa

    filters = mel_filters(FeatureSpec(sample_rate=sample_rate, n_fft=spectral.N_FFT))
    levels = librosa.power_to_db(spectral.filtered_power(spectrum, filters))
    coefficients: np.ndarray = librosa.feature.mfcc(S=levels, n_mfcc=N_MFCC)
    return coefficients
