from collections.abc import Callable
from dataclasses import replace

import librosa
import numpy as np
import pytest
from scipy import stats

from mgr_cli.config import FeatureSpec
from mgr_cli.features import naming
from mgr_cli.features.handcrafted import COLUMNS, FAMILIES, NAMES
from mgr_cli.inputs import tabulated
from tests import tiny

SPECS = {
    "gtzan": FeatureSpec(),
    "fma": FeatureSpec(sample_rate=44_100, n_fft=4_096),
    "speech": FeatureSpec(sample_rate=16_000, n_mels=40, fmin=60.0, fmax=7_600.0),
}


def bounds(name: str) -> tuple[float, float]:
    """Read the frequencies in a name, which are rounded to 1 Hz."""
    low, high = name.removesuffix(" Hz").replace(",", "").split("–")
    return float(low), float(high)


def centres(spec: FeatureSpec) -> np.ndarray:
    """Return the frequency that each band hears best, as librosa has it."""
    edges = librosa.mel_frequencies(spec.n_mels + 2, fmin=spec.fmin, fmax=spec.highest)
    return np.asarray(edges[1:-1])


def test_columns_of_fma_are_of_its_eleven_families() -> None:
    assert naming.columns(NAMES) == [
        (name, family) for name, (family, _, _) in zip(NAMES, COLUMNS, strict=True)
    ]
    assert {family for _, family in naming.columns(NAMES)} == set(FAMILIES)


@pytest.mark.parametrize(
    ("column", "family"),
    [
        ("vggish_017", "vggish"),
        ("mfcc1_mean", "mfcc"),  # as GTZAN's table has it
        ("chroma_stft_var", "chroma_stft"),
        ("tempo", "tempo"),
        ("maximum", "maximum"),
        ("mp3_rate", "mp3_rate"),
        ("mean", "mean"),
        ("17", "unnamed"),
    ],
)
def test_family_of_a_foreign_column_lacks_statistic_and_number(column: str, family: str) -> None:
    assert naming.columns((column,)) == [(column, family)]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("n_runs", [1, 7, 16, 40])
def test_runs_hear_their_bands_and_meet(spec: FeatureSpec, n_runs: int) -> None:
    ranges = [bounds(name) for name, _ in naming.runs(spec, n_runs)]
    assert len(ranges) == n_runs
    owners = naming.run_of_band(spec.n_mels, n_runs)
    for hz, owner in zip(centres(spec), owners, strict=True):
        low, high = ranges[owner]
        assert low - 0.5 < hz < high + 0.5
    assert [high for _, high in ranges[:-1]] == [low for low, _ in ranges[1:]]


@pytest.mark.parametrize(("n_mels", "n_runs"), [(128, 16), (40, 16), (17, 5), (3, 3)])
def test_bands_are_dealt_out_evenly_and_in_order(n_mels: int, n_runs: int) -> None:
    owners = naming.run_of_band(n_mels, n_runs)
    lengths = np.bincount(owners)
    assert len(owners) == n_mels
    assert (np.diff(owners) >= 0).all()
    assert (len(lengths), lengths.max() - lengths.min() <= 1) == (n_runs, True)


def test_registers_are_those_of_the_middle_of_a_run() -> None:
    registers = [register for _, register in naming.runs(FeatureSpec(), 16)]
    # By hand: middles at 116 Hz, then 323 to 943 Hz, then 1,171 to 3,395 Hz, then from 4,199 Hz.
    expected = ["bass"] + 4 * ["low mids"] + 6 * ["high mids"] + 5 * ["treble"]
    assert [register.split(" (")[0] for register in registers] == expected


def test_statistics_are_named_in_the_order_that_they_are_computed_in() -> None:
    spec = replace(tiny.SPEC, n_mels=5)
    x = np.random.default_rng(0).gamma(1.0, size=(1, 5, 30)).astype(np.float32)
    reference: dict[str, Callable[[np.ndarray], float]] = {
        "kurtosis": stats.kurtosis, "max": np.max, "mean": np.mean, "median": np.median,
        "min": np.min, "skew": stats.skew, "std": np.std,
    }  # fmt: skip
    values = tabulated((x,))[0]
    names = naming.statistics(spec)
    assert len(names) == len(values) == 7 * 5
    for value, (name, family) in zip(values, names, strict=True):
        statistic, _, where = name.partition(" of ")
        assert statistic == family
        low, high = bounds(where)
        (band,) = np.flatnonzero((centres(spec) > low) & (centres(spec) < high))
        # float32 has seven digits, and float64 goes before it.
        assert value == pytest.approx(reference[statistic](x[0, band].astype(float)), rel=1e-6)
