import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgr_cli.models.classical import gaussian_nb
from mgr_cli.zoo import entries
from mgr_cli.zoo.weights import Judge
from tests import tiny
from tests.commands.workspace import run


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prepared/tiny, and an untrained net and a pipeline in its zoo."""
    root = tmp_path_factory.mktemp("maps")
    dataset = tiny.dataset(root / "prepared" / "tiny")
    digest = {"split_digest": dataset.split_digest}
    trained_on = tiny.card().dataset.model_copy(update=digest)
    rng = np.random.default_rng(0)
    card = tiny.card("tiny").model_copy(update={"dataset": trained_on})
    entries.save(card, tiny.net(), root / "zoo", rng=rng)
    pipeline = gaussian_nb(seed=0).fit(rng.normal(size=(30, 7 * 16)), np.arange(30) % 3)
    changes = {"name": "bayes", "architecture": "gaussian-nb", "recipe": None}
    entries.save(card.model_copy(update=changes), Judge(pipeline), root / "zoo", rng=rng)
    return root


@pytest.fixture
def inside(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one; zoo and datasets are told by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MGR_MODEL", raising=False)
    monkeypatch.setenv("MGR_ZOO", str(workplace / "zoo"))
    monkeypatch.setenv("MGR_PREPARED", str(workplace / "prepared"))
    return tmp_path


def test_map_is_drawn_told_and_can_be_pointed_at(inside: Path) -> None:
    done = run("explain", "--map", "pca", "-m", "tiny", "--split", "valid")
    assert done.exit_code == 0, done.output
    stem = "tiny-tiny-valid-embeddings-pca-2d"
    assert done.stderr == f"picture: {stem}.png\npage: {stem}.html\n"
    title, header, *rows = done.stdout.splitlines()
    assert title == "tiny: PCA of embeddings, tiny, valid, 6 tracks"
    assert header.startswith("genre by the 5 nearest others")
    assert [re.split(r"\s{2,}", row)[0] for row in rows[:3]] == [
        "in all dimensions", "on the map", "always the commonest genre"
    ]  # fmt: skip
    assert "33.3" in rows[2]
    assert rows[3].startswith("component 1 (")
    with Image.open(f"{stem}.png") as picture:
        assert picture.width > 1_000
    page = Path(f"{stem}.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "valid-rock-1" in page


def test_json_has_every_track_with_its_place(inside: Path) -> None:
    done = run(
        "explain", "--map", "lda", "-m", "bayes", "--split", "test", "--json", "--seed", 4,
        "--png", "new/a.png", "--html", "new/a.html",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert list(record) == [
        "model", "dataset", "split", "seed", "projection", "of", "n_columns", "axes", "remark",
        "neighbours", "tracks",
    ]  # fmt: skip
    named = ("bayes", "tiny", "test", 4, "lda", "features", 112)
    assert tuple(record.values())[:7] == named
    assert set(record["neighbours"]) == {"n_neighbours", "in_all", "on_map", "commonest"}
    assert len(record["tracks"]) == 6
    first = record["tracks"][0]
    assert (first["track_id"], first["path"]) == ("test-blues-0", "test-blues-0.wav")
    assert first["genre"] == "blues"
    assert first["prediction"] in tiny.GENRES
    assert 1 / 3 <= first["confidence"] <= 1
    assert len(first["coordinates"]) == 2
    assert sorted(path.name for path in Path("new").iterdir()) == ["a.html", "a.png"]


def test_three_dimensions_are_drawn(inside: Path) -> None:
    done = run(
        "explain", "--map", "tsne", "-m", "tiny", "--dimensions", 3, "--json", "--split", "test"
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert len(record["axes"]) == len(record["tracks"][0]["coordinates"]) == 3
    page = Path("tiny-tiny-test-embeddings-tsne-3d.html").read_text(encoding="utf-8")
    assert re.search(r'"type":\s*"scatter3d"', page)


def test_same_seed_gives_the_same_bytes(inside: Path) -> None:
    for name in "ab":
        options = ("--png", f"{name}.png", "--html", f"{name}.html")
        run("explain", "--map", "tsne", "-m", "tiny", "--split", "train", *options)
    for kind in ("png", "html"):
        assert Path(f"a.{kind}").read_bytes() == Path(f"b.{kind}").read_bytes()


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("lda", "-m", "tiny", "--dimensions", 3), "LDA of 3 genres has at most 2 dimensions"),
        (("pca", "-m", "bayes", "--of", "embeddings"), "is no net, and embeds nothing"),
        (("pca", "-m", "nobody"), "no entry 'nobody'"),
        (("pca", "-m", "tiny", "--data", "nothing"), "nothing"),
        (("umap", "-m", "tiny"), "'pca'"),
        (("pca", "-m", "tiny", "--dimensions", 4), "--dimensions"),
    ],
)
def test_wrong_command_is_one_line_and_no_picture(
    inside: Path, args: tuple[object, ...], word: str
) -> None:
    done = run("explain", "--map", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(inside.iterdir())
