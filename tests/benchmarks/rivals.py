"""What a user would otherwise do, in plain librosa and torch, and the bounds nobody gets under.

Little is imported at the top, and nothing of ours that the rivals do not need: what starts in a
process of its own must not be slower than a script that somebody writes.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from mgr_cli.config import FeatureSpec
    from mgr_cli.zoo.card import Card

RATE = 22_050

COLD_SCRIPT = """
import json, sys
from pathlib import Path
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import load_card
from tests.benchmarks.rivals import probabilities
folder, name = sys.argv[1:]
card = load_card(Path(folder))
print(json.dumps(probabilities(Path(name), card, weights.load_net(Path(folder), card)).tolist()))
"""
"""The rival of a cold start: of ours it takes the weights, and how the entry cuts."""


def decode(path: Path) -> int:
    """Do what cannot be left out: decode, average channels, resample."""
    import soxr

    mono, rate = at_own_rate(path)
    return len(soxr.resample(mono, rate, RATE, quality="HQ") if rate != RATE else mono)


def at_own_rate(path: Path) -> tuple[np.ndarray, int]:
    """Decode to mono at the file's own rate; channels are added, which is faster than a mean."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        mono += samples[:, channel]
    mono /= samples.shape[1]
    return mono, rate


def decode_alone(path: Path) -> int:
    """Decode to mono at the file's own rate, and return no more than the length."""
    return len(at_own_rate(path)[0])


def log_mel(path: Path, spec: "FeatureSpec") -> np.ndarray:
    """Compute the log-mels of a file as a tutorial does, float32 [shape=(n_mels, n_frames)]."""
    import librosa

    waveform, rate = librosa.load(path, sr=spec.sample_rate)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=rate, n_fft=spec.n_fft, hop_length=spec.hop_length, n_mels=spec.n_mels,
        fmin=spec.fmin, fmax=spec.fmax,
    )  # fmt: skip
    levels: np.ndarray = librosa.power_to_db(power, ref=np.max, top_db=spec.top_db)
    return levels


def store_log_mel(path: Path, target: Path, spec: "FeatureSpec") -> None:
    """Compute the log-mels of a file and write them, halves as ours are."""
    np.save(target / f"{path.stem}.npy", log_mel(path, spec).astype(np.float16))


def probabilities(path: Path, card: "Card", net: "nn.Module") -> np.ndarray:
    """Judge a file by an entry that eats log-mels, all of it at once, by mean probability.

    Returns
    -------
    np.ndarray [shape=(n_classes,)]
        In class order.
    """
    import torch

    from mgr_cli import segments as cutting

    spec, inputs = card.features, card.inputs
    levels = log_mel(path, spec)
    kept = np.floor((np.arange(levels.shape[1] / spec.decimation) + 0.5) * spec.decimation)
    levels = levels[:, kept[kept < levels.shape[1]].astype(int)]
    if spec.scale == "minmax":
        levels = (levels - levels.min()) / (levels.max() - levels.min())
    cut = cutting.cut(levels, length=inputs.length, hop=inputs.hop)
    batch = card.normalisation["log-mel"].apply(cut)
    with torch.inference_mode():
        probs = net(torch.from_numpy(np.ascontiguousarray(batch, np.float32))).softmax(dim=1)
    pooled: np.ndarray = probs.mean(dim=0).numpy()
    return pooled
