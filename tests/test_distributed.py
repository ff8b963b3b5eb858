"""Two processes that train together, against one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mgr_cli.data import prepared
from mgr_cli.zoo.card import load_card

# Without masks and mixtures: those are drawn apart by each process.
TRAIN = (
    *("train", "--arch", "ffnn", "--data", "songs", "--device", "cpu", "--epochs", "4"),
    *("--lr", "0.01", "--batch-size", "9", "--set", "layers=8", "patience=4"),
    *("--precision", "float32"),  # of bfloat16 sums over halves would differ in the third digit
)


def mgr(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if "RANK" not in key}
    return subprocess.run(
        [sys.executable, "-m", "mgr_cli", *arguments], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare a table of 40 tracks, of which 32 are trained on: three batches of 9, one of 5."""
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    rows = ["track_id,genre," + ",".join(f"x{n}" for n in range(6))]
    for number in range(40):
        values = rng.normal(number % 2, 1.0, 6)
        rows.append(f"t{number},{'jazz' if number % 2 else 'rock'}," + ",".join(map(str, values)))
    (folder / "songs.csv").write_text("\n".join(rows) + "\n")
    done = mgr(folder, "prepare", "songs.csv")
    assert done.returncode == 0, done.stderr
    assert prepared.load(folder / "prepared" / "songs").counts()["train"] == 32
    return folder


@pytest.mark.slow
def test_two_processes_learn_what_one_does(songs: Path) -> None:
    weights, losses = [], []
    for zoo, options in (("one", ()), ("two", ("--devices", "2"))):
        done = mgr(songs, *TRAIN, "--zoo", zoo, *options)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("is kept") == 1  # one of them speaks
        weights.append(load_file(songs / zoo / "ffnn-songs" / "model.safetensors"))
        history = (songs / zoo / "ffnn-songs" / "history.csv").read_text().splitlines()
        losses.append([float(row.split(",")[2]) for row in history[1:]])
        assert load_card(songs / zoo / "ffnn-songs").n_epochs == 4
    # Sums over halves round apart, and Adam divides by roots of small numbers.
    for key, value in weights[0].items():
        np.testing.assert_allclose(weights[1][key], value, atol=1e-5)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert losses[0][-1] < losses[0][0]


def test_what_cannot_be_done_together_is_refused(songs: Path) -> None:
    done = mgr(songs, *TRAIN, "--devices", "2", "--minutes", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--minutes" in done.stderr
    done = mgr(songs, "train", "--arch", "all", "--devices", "2")
    assert done.returncode == 2
    assert "--devices" in done.stderr
