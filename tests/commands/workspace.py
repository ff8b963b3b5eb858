"""A folder in which the whole program has been run once, on three sounds anybody can tell."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from typer.testing import CliRunner, Result

from mgr_cli.commands.app import app

SAMPLE_RATE = 22_050
TRACKS = 8
SECONDS = 4.0


def run(*args: object, env: dict[str, str] | None = None) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(app, [str(arg) for arg in args], env=env)


def hum(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.sin(2 * np.pi * rng.uniform(80, 160) * time))


def hiss(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(len(time)) * 0.3


def clicks(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = np.zeros(len(time))
    wave[:: int(rng.uniform(0.15, 0.25) * SAMPLE_RATE)] = 1.0
    return wave


GENRES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "clicks": clicks,
    "hiss": hiss,
    "hum": hum,
}


def write_songs(root: Path) -> Path:
    """Write one folder a genre with wav files."""
    rng = np.random.default_rng(0)
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    for genre, sound in GENRES.items():
        (root / genre).mkdir(parents=True)
        for number in range(TRACKS):
            wave = sound(time, rng) * rng.uniform(0.1, 0.8) + 1e-3 * rng.standard_normal(len(time))
            soundfile.write(root / genre / f"{number}.wav", wave.astype(np.float32), SAMPLE_RATE)
    return root
