"""Statistics of which notes sound together, and which follow each other.

Mel bands above 500 Hz lie about as far apart as notes do. What stands out of a running median over
frequency is read at the pitches of the equal-tempered scale, and folded into chroma. All statistics
stay as they are where a piece is played in another key: how much of the chroma a circle of
fifths, of thirds or of semitones holds, which intervals sound together, by which interval the
chords move, and how soon they change.

References
----------
T. Fujishima, "Realtime chord recognition of musical sound", ICMC 1999: chroma.
G. Bernardes, D. Cocharro, M. Caetano, C. Guedes, M. E. P. Davies, "A multi-level tonal interval
space for modelling pitch relatedness and musical consonance", Journal of New Music Research
45(4), 2016: Fourier transforms of chroma, and what each coefficient stands for.
"""

import numpy as np
import torch
from torch import Tensor

from mgr_cli.features.mel import hz_to_mel
from mgr_cli.models.families import Families, deviation, fixed, median
from mgr_cli.models.layers import check

LOWEST, OCTAVES = 440.0, 4  # Hz; at most
SEMITONES = 12
CIRCLES = 6  # of semitones, tritones, major thirds, minor thirds, whole tones, fifths
INTERVALS = 24  # semitones
GAPS = (1, 2, 4, 8, 16, 32)  # frames between two chords that are compared
CHANGE = 8  # frames within which chords move on: 0.6 s at 12.9 a second


class Tonality(Families):
    """Five kinds of statistics of a log-mel's tones, standardised.

    Parameters
    ----------
    n_mels, n_frames : int
        Of the log-mel.
    fmin, fmax : float
        Edges of its bands, in Hz.
    """

    pitches: Tensor
    circles: Tensor

    def __init__(self, n_mels: int, n_frames: int, *, fmin: float, fmax: float) -> None:
        super().__init__()
        check("n_frames", n_frames, 2, 2**15)
        check("fmax", fmax, 2 * LOWEST, 10**6)
        octaves = min(OCTAVES, int(np.log2(fmax / LOWEST)))
        hz = LOWEST * 2 ** (np.arange(SEMITONES * octaves) / SEMITONES)
        low, high = hz_to_mel(np.array([fmin, fmax]))
        places = (hz_to_mel(hz) - low) / (high - low) * (n_mels + 1) - 1
        shares = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(n_mels)))
        turns = np.outer(np.arange(1, CIRCLES + 1), np.arange(SEMITONES)) / SEMITONES
        waves = np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)])
        self.register_buffer("pitches", fixed(shares))
        self.register_buffer("circles", fixed(waves))
        self._gaps = [gap for gap in GAPS if gap < n_frames]
        self._change = min(CHANGE, n_frames - 1)
        self._n_intervals = min(INTERVALS, len(hz) - 1)
        self._level([3 * CIRCLES + self._n_intervals + SEMITONES + len(self._gaps)])

    def forward(self, tones: Tensor) -> Tensor:
        """Map (batch, n_mels, n_frames), in decibels, none below 0, to (batch, dim)."""
        notes = self.pitches @ tones
        chroma = torch.unflatten(notes, 1, (-1, SEMITONES)).sum(dim=1)
        smooth = median(chroma)
        held = self._circles(smooth)
        standing = _unit(smooth - smooth.mean(dim=1, keepdim=True))
        kept = [
            (standing[:, :, gap:] * standing[:, :, :-gap]).sum(dim=1).mean(dim=1, keepdim=True)
            for gap in self._gaps
        ]
        found = [
            self._circles(chroma.mean(dim=2, keepdim=True))[:, :, 0],
            held.mean(dim=2), deviation(held),
            self._intervals(notes), self._moves(smooth), *kept,
        ]  # fmt: skip
        return self._levelled(found)

    def _circles(self, chroma: Tensor) -> Tensor:
        """Map (batch, 12, any) to how much of it each circle holds, (batch, CIRCLES, any)."""
        waves = (self.circles @ chroma).square()
        power = waves[:, :CIRCLES] + waves[:, CIRCLES:]
        return (power + 1e-6).sqrt() / (chroma.sum(dim=1, keepdim=True) + 1)

    def _intervals(self, notes: Tensor) -> Tensor:
        """Map (batch, notes, n_frames) to the autocorrelation over notes, (batch, intervals)."""
        x = notes - notes.mean(dim=1, keepdim=True)
        n = x.shape[1]
        shifts = range(self._n_intervals + 1)
        found = [(x[:, by:] * x[:, : n - by]).sum(dim=1).mean(dim=1) for by in shifts]
        return torch.stack(found[1:], dim=1) / (found[0] + 1)[:, None]

    def _moves(self, chroma: Tensor) -> Tensor:
        """Map (batch, 12, n_frames) to how like it is a moment later, 0 to 11 semitones higher."""
        before, after = _unit(chroma[:, :, : -self._change]), _unit(chroma[:, :, self._change :])
        twice = torch.cat([before, before], dim=1)
        found = [
            (after * twice[:, SEMITONES - by : 2 * SEMITONES - by]).sum(dim=1).mean(dim=1)
            for by in range(SEMITONES)
        ]
        return torch.stack(found, dim=1)


def _unit(x: Tensor) -> Tensor:
    """Divide by the length over the middle axis, which may be 0."""
    return x / (x.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()
