"""A small share of the fuzz; the whole of it is ``python -m tests.fuzz.audio`` and `library`."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the fuzz forks a child a file")


def fuzz(script: str, *options: str) -> str:
    """Run one and return what it printed, after checking that it ended well."""
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{script}", "--jobs", "2", *options],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_every_broken_file_is_read_or_refused_in_one_line() -> None:
    assert "60 files, 0 faults" in fuzz("audio", "--n", "60", "--no-bombs", "--light")


def test_every_broken_file_of_a_library_has_one_record() -> None:
    assert "150 of 150 files have one record" in fuzz("library", "--n", "150")


@pytest.mark.slow
def test_every_one_of_two_thousand_broken_files_has_one_record() -> None:
    assert "2000 of 2000 files have one record" in fuzz("library", "--n", "2000", "--seed", "1")
