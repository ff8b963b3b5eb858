import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mgr_cli import commands
from mgr_cli.models.registry import ARCHITECTURES
from tests.commands.workspace import run

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch", "torchaudio", "lightning", "pandas", "librosa", "scipy", "sklearn", "matplotlib",
    "numpy", "pydantic", "soundfile", "av",
)  # fmt: skip
COMPLETIONS = {
    "bash": "mgr.bash", "zsh": "_mgr", "fish": "mgr.fish", "powershell": "mgr.ps1",
}  # fmt: skip


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
        (["predict"], "PATH"),
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
    subprocess.run(
        [sys.executable, "-m", "mgr_cli", "predict", "songs/hum/0.wav", "missing.mp3"],
        stdout=end, stderr=end, check=False,
    )  # fmt: skip
    os.close(end)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-ln-z]", "\n", shown)  # what moves or clears, not colours
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in re.split(r"[\r\n]+", plain)]
    assert any(line.endswith("songs/hum/0.wav") and "predicting" not in line for line in lines)
    assert "error: missing.mp3: no such file; check the path" in lines


def test_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert run("--version").stdout.strip() == f"mgr {version('mgr-cli')}"


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_completion_script_is_current(shell: str) -> None:
    script = process(_MGR_COMPLETE=f"source_{shell}").stdout
    shipped = (ROOT / "completions" / COMPLETIONS[shell]).read_text(encoding="utf-8")
    assert script == shipped, f"run: _MGR_COMPLETE=source_{shell} mgr > completions/…"


def test_architectures_and_entries_are_completed(inside: Path) -> None:
    offered = process(
        _MGR_COMPLETE="complete_bash", COMP_WORDS="mgr train --arch cnn", COMP_CWORD="3"
    ).stdout.split()
    assert offered == [name for name in ARCHITECTURES if name.startswith("cnn")]
    offered = process(
        _MGR_COMPLETE="complete_bash", COMP_WORDS="mgr predict --model sou", COMP_CWORD="3"
    ).stdout.split()
    assert offered == ["sounds"]


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
