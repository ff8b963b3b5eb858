import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mgr_cli import commands
from tests.commands.workspace import run

HEAVY = (
    "torch", "torchaudio", "lightning", "pandas", "librosa", "scipy", "sklearn", "matplotlib",
    "numpy", "pydantic", "soundfile", "av",
)  # fmt: skip


def process(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    code = "import sys; sys.argv[0] = 'mgr'; from mgr_cli.commands.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env=os.environ | {"NO_COLOR": "1"} | env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom mgr_cli.commands.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("heavy: []")


@pytest.mark.parametrize("args", [[], ["--help"], ["predict", "-h"], ["zoo"]])
def test_help_is_shown(args: list[str]) -> None:
    assert "Usage" in run(*args).output


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["predcit"], "predict"),
        (["predict"], "no songs"),
        (["predict", "x.mp3", "--vote", "loudest"], "majority"),
        (["eval", "--split", "dev"], "valid"),
        (["train", "--seed", "-1"], "seed"),
    ],
)
def test_wrong_command_is_one_line_and_exit_2(args: list[str], word: str) -> None:
    done = process(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert word in done.stderr


def test_native_libraries_are_silent_on_stderr(tmp_path: Path) -> None:
    # libmpg123 complains of this in three lines of its own.
    (tmp_path / "x.mp3").write_bytes(b"\xff\xfb\x90\x00" + bytes(range(256)) * 300)
    done = process("predict", str(tmp_path / "x.mp3"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_data_goes_to_stdout_while_the_bar_is_on_a_terminal(inside: Path) -> None:
    import pty

    terminal, end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "mgr_cli", "predict", "--json", "songs/hum"],
        stdout=subprocess.PIPE, stderr=end, check=True,
    )  # fmt: skip
    os.close(end)
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 8
    assert b"predicting" in os.read(terminal, 100_000)
    os.close(terminal)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_lines_on_a_terminal_are_not_written_into_the_bar(inside: Path) -> None:
    import pty

    terminal, end = pty.openpty()
    words = [sys.executable, "-m", "mgr_cli", "predict", "songs/hum/0.wav", "missing.mp3"]
    with subprocess.Popen(words, stdout=end, stderr=end):
        os.close(end)
        read = []
        with suppress(OSError):  # a terminal that nobody writes to any more
            while part := os.read(terminal, 4_096):
                read.append(part)
    os.close(terminal)
    shown = b"".join(read).decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-ln-z]", "\n", shown)  # what moves or clears, not colours
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in re.split(r"[\r\n]+", plain)]
    assert any(line.endswith("songs/hum/0.wav") and "predicting" not in line for line in lines)
    assert "error: missing.mp3: no such file; check the path" in lines


def test_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert run("--version").stdout.strip() == f"mgr {version('mgr-cli')}"


def test_every_command_has_its_file() -> None:
    folder = Path(commands.__file__).parent
    assert {"predict", "prepare", "train", "eval", "explain", "zoo"} <= {
        p.stem for p in folder.glob("*.py")
    }


@pytest.mark.parametrize("command", ["prepare", "train", "tune", "eval", "predict", "explain"])
def test_help_says_every_default(command: str) -> None:
    shown = run(command, "--help", env={"COLUMNS": "250"}).stdout
    assert "(default: " in shown
    assert not re.search(r" [.;](\s|$)", shown)  # what rich leaves of "[default: …].", as markup
