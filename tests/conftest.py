import os
import random
from pathlib import Path

import pytest

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before a test imports onnxruntime
if "PYTEST_XDIST_WORKER" in os.environ:  # there is one a core, and threads that wait cost more
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before a test imports numpy or torch


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep journals and logs out of the folder of whoever runs the tests."""
    monkeypatch.setenv("MGR_STATE", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(autouse=True, scope="module")
def _modules_own_chance() -> None:
    """Start what the tests of a module share from the same random state."""
    _seed()


@pytest.fixture(autouse=True)
def _own_chance() -> None:
    """Start every test from the same random state, whichever tests ran before it."""
    _seed()


def _seed() -> None:
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real recordings, beside the repository and not in it."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder
