import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgr_cli.explanation import maximisation
from mgr_cli.models.classical import gaussian_nb
from mgr_cli.zoo import entries
from mgr_cli.zoo.weights import Judge
from tests import tiny
from tests.commands.workspace import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an untrained net in zoo/tiny; ascent is short."""
    monkeypatch.chdir(tmp_path)
    for name in ("MGR_ZOO", "MGR_MODEL", "MGR_PREPARED"):
        monkeypatch.delenv(name, raising=False)
    assert maximisation.maximise.__kwdefaults__ is not None
    monkeypatch.setitem(maximisation.maximise.__kwdefaults__, "n_steps", 5)
    tiny.entry(tmp_path / "zoo")
    return tmp_path


def test_filters_are_drawn_and_told(folder: Path) -> None:
    done = run("explain", "--filters", 5, "--n-filters", 3, "-m", "tiny")
    assert done.exit_code == 0, done.output
    title, header, *rows = done.stdout.splitlines()
    assert title == "tiny, blocks.1.body.3 (Conv2d 3 × 3): 3 of 4 filters"
    assert re.split(r"\s{2,}", header) == ["filter", "at the mean", "reached", "stands out at"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert done.stderr == "picture: tiny-filters-5.png\n"
    with Image.open("tiny-filters-5.png") as picture:
        assert picture.width > 500


def test_json_says_what_was_reached(folder: Path) -> None:
    done = run("explain", "--filters", "stem.0", "-m", "tiny", "--json", "--png", "new/x.png")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert list(record) == ["model", "layer", "input", "seed", "filters"]
    assert record["layer"] == {
        "number": 1, "name": "stem.0", "what": "Conv2d 3 × 3", "n_filters": 2
    }  # fmt: skip
    assert (record["model"], record["input"], record["seed"]) == ("tiny", "log-mel", 0)
    assert [each["number"] for each in record["filters"]] == [1, 2]
    assert all(each["reached"] >= each["at_mean"] for each in record["filters"])
    assert set(record["filters"][0]) == {"number", "at_mean", "reached", "peak_hz", "dead"}
    assert Path("new/x.png").exists()


def test_same_seed_gives_the_same_picture(folder: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("explain", "--filters", 2, "-m", "tiny", "--seed", seed, "--png", f"{name}.png")
    first, again, other = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert first == again != other


def test_first_layer_brings_its_kernels(folder: Path) -> None:
    for layer in (1, 2):
        run("explain", "--filters", layer, "-m", "tiny", "--png", f"{layer}.png")
    sizes = []
    for layer in (1, 2):
        with Image.open(f"{layer}.png") as picture:
            sizes.append(picture.height)
    assert sizes[0] > 1.5 * sizes[1]


def test_layers_are_listed(folder: Path) -> None:
    done = run("explain", "--filters", "list", "-m", "tiny")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[2].split() == ["1", "stem.0", "Conv2d", "3", "×", "3", "2"]
    assert len(lines) == 2 + 12
    record = json.loads(run("explain", "--filters", "list", "-m", "tiny", "--json").stdout)
    assert record["layers"][0] == {
        "number": 1, "name": "stem.0", "what": "Conv2d 3 × 3", "n_filters": 2
    }  # fmt: skip
    assert not list(folder.glob("*.png"))


def test_pipeline_has_no_filters(folder: Path) -> None:
    rng = np.random.default_rng(0)
    pipeline = gaussian_nb(seed=0).fit(rng.normal(size=(30, 7 * 16)), np.arange(30) % 3)
    card = tiny.card("bayes").model_copy(update={"architecture": "gaussian-nb", "recipe": None})
    entries.save(card, Judge(pipeline), folder / "zoo", rng=rng)
    done = run("explain", "--filters", 1, "-m", "bayes")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "bayes (gaussian-nb) is a pipeline of scikit-learn, and has no filters" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("layer", ["99", "nothing", "head.1"])
def test_unknown_layer_is_one_line_and_no_picture(folder: Path, layer: str) -> None:
    done = run("explain", "--filters", layer, "-m", "tiny")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"no layer '{layer}'" in done.stderr
    assert "12 blocks.3.shortcut.0 (8)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(folder.glob("*.png"))
