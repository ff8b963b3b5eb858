from pathlib import Path

import pytest

from tests.commands.workspace import run, write_songs


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with songs/, prepared/ and zoo/sounds, made by `mgr prepare` and `mgr train`."""
    root = tmp_path_factory.mktemp("work")
    songs = write_songs(root / "songs")
    prepared = run("prepare", songs, "--prepared", root / "prepared", "--jobs", 1)
    assert prepared.exit_code == 0, prepared.output
    trained = run(
        "train", "--arch", "cnn1d-lstm", "--name", "sounds", "--epochs", 6, "--batch-size", 8,
        "--prepared", root / "prepared", "--zoo", root / "zoo", "--device", "cpu",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    (root / "trained.txt").write_text(trained.stdout)
    return root


@pytest.fixture
def inside(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained folder as the current one, so that every default finds its own."""
    monkeypatch.chdir(trained)
    for name in ("MGR_ZOO", "MGR_MODEL", "MGR_PREPARED"):
        monkeypatch.delenv(name, raising=False)
    return trained
