"""What features are called, and which of them are of one family.

A column of numbers is called as its table calls it, and belongs to what is left of that name
without statistic and number: ``mfcc.mean.01``, ``mfcc1_var`` and ``mfcc`` are of the family mfcc,
``vggish_017`` is of vggish. Mel bands are called by what they hear, in Hz, and belong to one of
four registers; a statistic of theirs belongs to all others of its sort.
"""

import re
from itertools import pairwise

import numpy as np

from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import hz_to_mel, mel_to_hz
from mgr_cli.features.statistics import STATISTICS

REGISTERS = (
    (250.0, "bass (to 250 Hz)"),
    (1_000.0, "low mids (to 1 kHz)"),
    (4_000.0, "high mids (to 4 kHz)"),
    (float("inf"), "treble (from 4 kHz)"),
)
"""Where each ends, and its name; those in the middle are of two octaves."""

# At the end of a column's name: numbers, and statistics that are set off.
_TAIL = re.compile(rf"([\W_]*\d+|[\W_]+({'|'.join((*STATISTICS, 'var'))}))+$")

Named = list[tuple[str, str]]
"""The names of features, each with that of its family."""


def columns(names: tuple[str, ...]) -> Named:
    """Find the family of each column."""
    return [(name, _TAIL.sub("", name) or "unnamed") for name in names]


def statistics(spec: FeatureSpec) -> Named:
    """Name the numbers that sum up log-mels over time, in the order of `inputs.tabulated`."""
    ranges = [name for name, _ in runs(spec, spec.n_mels)]
    return [(f"{statistic} of {name}", statistic) for statistic in STATISTICS for name in ranges]


def runs(spec: FeatureSpec, n_runs: int) -> Named:
    """Name runs of neighbouring mel bands by what they hear, each with its register.

    Two runs meet where the triangles of their outermost bands cross. A run belongs to the
    register that its middle lies in.

    Parameters
    ----------
    spec : FeatureSpec
        Of the bands.
    n_runs : int
        One to `n_mels`; see `run_of_band` for how long they are.
    """
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))
    firsts = np.searchsorted(run_of_band(spec.n_mels, n_runs), np.arange(n_runs + 1))
    # Band m is centred on edge m + 1 of n_mels + 2, and crosses the one before half a step lower.
    edges = mel_to_hz(low + (high - low) * (firsts + 0.5) / (spec.n_mels + 1))
    return [
        (f"{start:,.0f}–{stop:,.0f} Hz", _register((start + stop) / 2))
        for start, stop in pairwise(edges.tolist())
    ]


def run_of_band(n_mels: int, n_runs: int) -> np.ndarray:
    """Return the number of each band's run [shape=(n_mels,)]; all are as long, within a band."""
    return np.arange(n_mels) * n_runs // n_mels


def _register(hz: float) -> str:
    return next(name for end, name in REGISTERS if hz < end)
