from pathlib import Path
from zipfile import ZipFile

import pytest

from mgr_cli import files
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import load_card
from tests import tiny
from tests.commands.workspace import run


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo with one entry, in an empty folder."""
    monkeypatch.delenv("MGR_ZOO", raising=False)
    monkeypatch.chdir(tmp_path)
    entries.add_graph(tiny.entry(tmp_path / "zoo"))
    return tmp_path / "zoo"


@pytest.mark.parametrize(
    ("args", "made"),
    [
        ([], "tiny.zip"),
        (["--format", "safetensors"], "tiny.zip"),
        (["--format", "onnx"], "tiny.onnx"),
        (["-f", "hf"], "tiny-hf"),
        (["-f", "onnx", "-o", "x/y.onnx"], "x/y.onnx"),
        (["-f", "onnx", "-o", "zoo"], "zoo/tiny.onnx"),
    ],
)
def test_export_writes_where_it_is_told(args: list[str], made: str, zoo: Path) -> None:
    done = run("zoo", "export", "tiny", *args)
    assert done.exit_code == 0
    assert done.stderr.startswith(made)
    if Path(made).is_file():
        assert files.sha256(Path(made)) in done.stderr
    done = run("zoo", "export", "tiny", *args)
    assert done.exit_code == 2
    assert "exists already" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("format", ["safetensors", "hf"])
def test_import_takes_what_export_wrote(format: str, zoo: Path) -> None:
    run("zoo", "export", "tiny", "--format", format, "--output", "there")
    done = run("zoo", "import", "there")
    assert done.exit_code == 2
    assert "--name" in done.stderr
    done = run("zoo", "import", "there", "--name", "theirs")
    assert done.exit_code == 0
    assert "mgr zoo show theirs" in done.stderr
    assert load_card(zoo / "theirs").name == "theirs"
    assert run("zoo", "import", "there", "--zoo", "another").exit_code == 0
    assert load_card(Path("another/tiny")) == load_card(zoo / "tiny")


def test_what_is_refused_is_one_line_and_leaves_nothing(zoo: Path) -> None:
    with ZipFile("bad.zip", "w") as archive:
        archive.writestr("../../evil", "x")
    Path("weights.pth").write_bytes(b"PK\3\4")
    Path("empty").mkdir()
    for source, match in (
        ("bad.zip", "no file of an entry"),
        ("weights.pth", "a pickle is a program"),
        ("empty", "no card.json"),
        ("missing.zip", "does not exist"),
    ):
        done = run("zoo", "import", source)
        assert done.exit_code == 2
        assert match in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in zoo.iterdir()] == ["tiny"]
    assert sorted(path.name for path in Path().iterdir()) == [
        "bad.zip", "empty", "weights.pth", "zoo",
    ]  # fmt: skip
