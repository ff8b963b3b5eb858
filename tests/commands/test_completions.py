"""Completion, as the program answers it and as people see it: in bash, zsh and fish."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mgr_cli.models.registry import ARCHITECTURES
from tests import tiny
from tests.commands.test_app import process

FOLDER = Path(__file__).parents[2] / "completions"
SCRIPTS = {"bash": "mgr.bash", "zsh": "_mgr", "fish": "mgr.fish", "powershell": "mgr.ps1"}
SECONDS = 30.0  # that a shell may take, on a busy machine

START = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "bind 'set bell-style none'; source {script}",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep",
    ),
}
"""How a shell is begun, and what it is told so that it completes; zsh finds the script itself."""

FIRST_TIME = """
# zsh loads this file when it is first asked; without this the first Tab would do nothing.
[ "$funcstack[1]" = _mgr ] && _mgr_completion "$@"
"""

TYPED = [
    ("mgr predict --model soun", "sounds"),
    ("mgr train --arch cnn1d-l", "cnn1d-lstm"),
    ("mgr zoo ver", "verify"),
    ("mgr zoo export sounds --format saf", "safetensors"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with zoo/sounds, and bin/mgr for shells."""
    root = tmp_path_factory.mktemp("shells")
    for name in ("sounds", "sound $(touch pwned) `x` 'y", "sound;x"):
        tiny.entry(root / "zoo", name)
    (root / "bin").mkdir()
    code = "import sys; sys.argv[0] = 'mgr'; from mgr_cli.commands.app import main; main()"
    (root / "bin" / "mgr").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    (root / "bin" / "mgr").chmod(0o755)
    return root


@pytest.fixture
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("MGR_ZOO", raising=False)
    yield place
    assert not (place / "pwned").exists()


def offered(line: str) -> list[str]:
    return process(
        _MGR_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(line.count(" "))
    ).stdout.split()


def needs(shell: str) -> None:
    if os.name == "nt" or not shutil.which(shell):
        pytest.skip(f"{shell} is not on this machine")


# What the program answers.


@pytest.mark.parametrize("shell", SCRIPTS)
def test_completion_script_is_current(shell: str) -> None:
    # Without the blank line at the head: zsh looks for #compdef on the first.
    script = process(_MGR_COMPLETE=f"source_{shell}").stdout.strip() + "\n"
    script += FIRST_TIME if shell == "zsh" else ""
    shipped = (FOLDER / SCRIPTS[shell]).read_text(encoding="utf-8")
    assert script == shipped, f"run: _MGR_COMPLETE=source_{shell} mgr | sed '/./,$!d' > …"


def test_names_are_completed_and_none_that_a_shell_would_take_for_a_command(there: Path) -> None:
    assert offered("mgr train --arch cnn") == [
        name for name in ARCHITECTURES if name.startswith("cnn")
    ]
    assert offered("mgr predict --model sou") == ["sounds"]
    assert offered("mgr zoo show --zoo nowhere sou") == []
    assert offered("mgr zoo remove sou") == ["sounds"]


def test_only_ones_own_entries_are_offered_for_removal(there: Path) -> None:
    assert "vit-gtzan" in offered("mgr zoo show ")
    assert offered("mgr zoo remove ") == ["sounds"]


# What people see.


def test_fish_completes(there: Path) -> None:
    needs("fish")
    asked = "; ".join(f"complete -C '{typed}'" for typed, _ in TYPED)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {FOLDER / 'mgr.fish'}; {asked}"],
        capture_output=True, text=True, check=True, timeout=SECONDS * len(TYPED),
    )  # fmt: skip
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [word for _, word in TYPED]


@pytest.mark.parametrize("shell", START)
def test_a_shell_on_a_terminal_completes(shell: str, there: Path) -> None:
    needs(shell)
    argv, setup = START[shell]
    import pty

    child, terminal = pty.fork()
    if not child:
        os.execvp(argv[0], argv)
    try:
        told = setup.format(folder=FOLDER, script=FOLDER / SCRIPTS[shell])
        os.write(terminal, f"PS1='> '; {told}; echo READ''Y\n".encode())
        read_until(terminal, "READY")
        for typed, word in TYPED:
            os.write(terminal, f"{typed}\t".encode())
            read_until(terminal, typed.rpartition(" ")[0] + " " + word)
            os.write(terminal, b"\x15")  # clears the line
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def read_until(terminal: int, text: str) -> None:
    """Read what a terminal shows until a text is on it."""
    shown, end = "", time.monotonic() + SECONDS
    while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown):
        left = end - time.monotonic()
        assert left > 0, f"{text!r} is not in {shown!r}"
        if select.select([terminal], [], [], left)[0]:
            shown += os.read(terminal, 65_536).decode(errors="replace")
