"""What a prediction does not import: each of these takes longer than the song."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mgr_cli.models import registry
from mgr_cli.zoo import entries, weights
from tests import tiny

HEAVY = (
    "captum", "joblib", "librosa", "lightning", "matplotlib", "numba", "onnx", "optuna", "pandas",
    "pyarrow", "scipy", "skl2onnx", "sklearn", "skops", "torch", "torchaudio", "torchvision",
)  # fmt: skip


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * tiny.SPEC.sample_rate)
    soundfile.write(path, noise, tiny.SPEC.sample_rate)
    return path


def of_net(zoo: Path) -> Path:
    return entries.save(tiny.card(), tiny.net(), zoo, rng=np.random.default_rng(0))


def of_pipeline(zoo: Path) -> Path:
    rng = np.random.default_rng(0)
    name = "logistic-regression"
    pipeline = registry.build_pipeline(name, seed=0)
    pipeline.fit(rng.standard_normal((30, 7 * tiny.SPEC.n_mels)), np.arange(30) % 3)
    card = tiny.card().model_copy(
        update={"architecture": name, "hyperparameters": {}, "recipe": None}
    )
    return entries.save(card, weights.Judge(pipeline), zoo, rng=rng)


def imported(program: str, *arguments: object) -> tuple[list[str], str]:
    """Run a program in a new process; return what of `HEAVY` it imported, and what it printed."""
    asked = f"{program}\nprint(*[name for name in {HEAVY} if name in sys.modules], sep=',')"
    done = subprocess.run(
        [sys.executable, "-c", asked, *map(str, arguments)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *printed, found = done.stdout.splitlines()
    return [name for name in found.split(",") if name], "\n".join(printed)


LIBRARY = """
import sys
from pathlib import Path
import mgr_cli
predictor = mgr_cli.Predictor.load(Path(sys.argv[1]))
print(predictor.from_file(Path(sys.argv[2])).genre)
"""
COMMAND = """
import sys
from mgr_cli.commands.app import app
sys.argv = ["mgr", "predict", sys.argv[2], "--model", sys.argv[1], "--device", "cpu"]
try:
    app()
except SystemExit as end:
    assert not end.code
"""


def test_nobody_is_told_of_a_prediction(song: Path, tmp_path: Path) -> None:
    # onnxruntime's telemetry numbers its sessions in a file of the temporary folder.
    (tmp_path / "temporary").mkdir()
    told = {"TMPDIR": str(tmp_path / "temporary")}
    told |= {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "TMPDIR")}
    entry = of_net(tmp_path / "zoo")
    subprocess.run([sys.executable, "-c", LIBRARY, str(entry), str(song)], env=told, check=True)
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("save", [of_net, of_pipeline])
def test_library_predicts_without_what_is_heavy(
    save: Callable[[Path], Path], song: Path, tmp_path: Path
) -> None:
    found, printed = imported(LIBRARY, save(tmp_path / "zoo"), song)
    assert found == []
    assert printed in tiny.GENRES


def test_command_predicts_without_what_is_heavy(song: Path, tmp_path: Path) -> None:
    found, printed = imported(COMMAND, of_net(tmp_path / "zoo"), song)
    assert found == []
    assert any(genre in printed for genre in tiny.GENRES)


def test_the_test_would_see_it(song: Path, tmp_path: Path) -> None:
    program = LIBRARY.replace("[1]))", '[1]), runtime="torch")')
    assert "torch" in imported(program, of_net(tmp_path / "zoo"), song)[0]
