"""Songs of a known cause: noise, and a burst of half an octave in one second.

Its pitch is the genre, and the third genre has none. A tone that is louder than it goes through
all songs: levels are in dB below the loudest of a song, which would give the genre away anywhere.
So a small net that tells them apart has nothing to look at but the burst, and cannot go by what is
missing.
"""

import numpy as np
import torch
from torch import nn

from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.features.mel import log_mel
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.models import registry
from mgr_cli.zoo.card import Card
from tests import tiny

RATE = 8_000
SECONDS = 4.0  # of a song, which is one segment
PITCHES = (400, 1_400)  # Hz, of the first two of `tiny.GENRES`
SPEC = FeatureSpec(sample_rate=RATE, n_fft=512, hop_length=400, n_mels=64)  # 20 frames a second
NARROW = {"width": 8, "dropout": 0.0}
N_EPOCHS = 12


def song(label: int, second: int, *, seed: int) -> np.ndarray:
    """Return a waveform (n_samples,) whose burst, if any, fills the second that begins there."""
    rng = np.random.default_rng(seed)
    samples = 0.05 * rng.standard_normal(round(SECONDS * RATE))
    samples += 0.3 * np.sin(2 * np.pi * 3_400 * np.arange(len(samples)) / RATE)
    if label == len(PITCHES):
        return samples.astype(np.float32)
    t = np.arange(RATE) / RATE
    pitches = PITCHES[label] * np.geomspace(2**-0.25, 2**0.25, 9)
    burst = np.sin(2 * np.pi * (pitches[:, None] * t + rng.random((9, 1)))).mean(axis=0)
    samples[second * RATE : (second + 1) * RATE] += 0.4 * burst
    return samples.astype(np.float32)


def patch(label: int, second: int) -> tuple[slice, slice]:
    """Return the bands and frames of a song's picture that the burst makes louder."""
    levels = log_mel(song(label, second, seed=0), SPEC)
    loud, floor = (levels[:, 20 * at + 2 : 20 * at + 18] for at in (second, 3 - second))
    bands = np.flatnonzero((loud - floor).mean(axis=1) > 10)
    return slice(int(bands[0]), int(bands[-1]) + 1), slice(second * 20, (second + 1) * 20)


def songs() -> tuple[np.ndarray, np.ndarray, Normalisation]:
    """Return normalised levels (60, 64, 80) of songs, their classes, and what normalises."""
    seconds = np.random.default_rng(1).integers(4, size=60)
    labels = np.arange(60) % 3
    levels = np.stack(
        [
            log_mel(song(int(label), int(second), seed=100 + n), SPEC)
            for n, (label, second) in enumerate(zip(labels, seconds, strict=True))
        ]
    )
    mean, std = levels.mean(axis=(0, 2)), levels.std(axis=(0, 2))
    normalisation = Normalisation(tuple(mean.tolist()), tuple(std.tolist()))
    return normalisation.apply(levels)[..., :80], labels, normalisation


def card(name: str, normalisation: Normalisation) -> Card:
    """Make the card of an entry that hears a whole song at once."""
    return tiny.card(name).model_copy(
        update={
            "architecture": "cnn-segment", "hyperparameters": dict(NARROW), "features": SPEC,
            "normalisation": {"log-mel": normalisation}, "segments": SegmentSpec(SECONDS, SECONDS),
        }
    )  # fmt: skip


def trained() -> tuple[nn.Module, Card]:
    """Train a net in a few seconds; return it in evaluation mode, with its card."""
    levels, labels, normalisation = songs()
    x, y = torch.from_numpy(levels), torch.from_numpy(labels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = registry.build("cnn-segment", {"n_mels": 64}, n_classes=3, changes=NARROW).train()
        optimizer = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(N_EPOCHS):
            for batch in torch.randperm(len(x)).reshape(-1, 20):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(x[batch]), y[batch])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return net.eval(), card("bursts", normalisation)
