from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real recordings, beside the repository and not in it."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder
