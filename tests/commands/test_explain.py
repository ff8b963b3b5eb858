import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.workspace import run


@pytest.fixture(scope="session")
def forest(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit a forest to the log-mels of the trained folder's songs, in a zoo of its own."""
    zoo = tmp_path_factory.mktemp("forest")
    done = run(
        "train", "--arch", "random-forest", "--set", "n_estimators=10", "--name", "forest",
        "--prepared", trained / "prepared", "--zoo", zoo,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return zoo / "forest"


@pytest.mark.parametrize("entry", ["net", "forest"])
def test_features_of_any_entry_are_shuffled(
    inside: Path, forest: Path, tmp_path: Path, entry: str
) -> None:
    model = "sounds" if entry == "net" else str(forest)
    target = tmp_path / "new" / "picture.png"
    done = run(
        "explain", "--importance", "permutation", "--model", model, "--split", "train",
        "--repeats", 2, "--json", "--png", target,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stderr == f"picture: {target}\n"
    record = json.loads(done.stdout)
    assert list(record) == [
        "model", "dataset", "split", "repeats", "measure", "features", "families", "accuracy"
    ]  # fmt: skip
    named = ("sounds" if entry == "net" else "forest", "songs", "train", 2, "permutation")
    assert tuple(record.values())[:5] == named
    judged = run("eval", "--model", model, "--split", "train", "--json")
    assert record["accuracy"] == json.loads(judged.stdout)["track"]["accuracy"]["value"]
    assert len(record["features"]) == 16
    assert set(record["features"][0]) == {"name", "family", "value", "deviation"}
    assert all(-1 <= feature["value"] <= 1 for feature in record["features"])
    assert {family["name"].split(" (")[0] for family in record["families"]} == {
        "bass", "low mids", "high mids", "treble"
    }  # fmt: skip
    # A hum of 80 to 160 Hz, a hiss and clicks: shuffle all of a register, and something is lost.
    assert record["families"][0]["together"] > 0
    with Image.open(target) as picture:
        assert picture.width > 1_000


def test_impurities_need_no_dataset(
    forest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("explain", "--importance", "impurity", "--model", forest, "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["model"], record["measure"], record["accuracy"]) == ("forest", "impurity", None)
    assert len(record["features"]) == 7 * 128
    assert sum(feature["value"] for feature in record["features"]) == pytest.approx(1)
    assert {family["name"] for family in record["families"]} == {
        "kurtosis", "max", "mean", "median", "min", "skew", "std"
    }  # fmt: skip
    assert all(family["together"] is None for family in record["families"])
    assert Path("forest-impurity.png").stat().st_size > 10_000


def test_table_shows_the_first_features_and_their_families(forest: Path, tmp_path: Path) -> None:
    png = ("--png", tmp_path / "x.png")
    record = json.loads(
        run("explain", "--importance", "impurity", "-m", forest, "--json", *png).stdout
    )
    shown = run("explain", "--importance", "impurity", "-m", forest, "--top", 3, *png).stdout
    title, header, *rows = shown.split("\n\n")[0].splitlines()
    assert title == "forest, impurity importance, in % of all"
    assert header.split() == ["feature", "share", "family"]
    expected = [(each["name"], f"{100 * each['value']:.1f}") for each in record["features"][:3]]
    assert [tuple(re.split(r"\s{2,}", row)[:2]) for row in rows] == expected
    title, header, *rows = shown.split("\n\n")[1].splitlines()
    assert (title, header.split()) == ("by family", ["family", "features", "share"])
    assert [row.split()[0] for row in rows] == [each["name"] for each in record["families"][:3]]


def test_table_of_drops_says_what_they_are_drops_of(inside: Path, tmp_path: Path) -> None:
    done = run(
        "explain", "--importance", "permutation", "--repeats", 1, "--split", "train",
        "--png", tmp_path / "x.png",
    )  # fmt: skip
    assert re.search(
        r"^sounds, permutation importance on songs, train: accuracy [\d.]+ %, and by how many "
        r"points it drops\nfeature +drop +± +family\n.* Hz ",
        done.stdout,
    )
    assert re.search(r"^family +features +together +± +sum of single drops$", done.stdout, re.M)
    assert len(done.stdout.splitlines()) == 2 + 16 + 1 + 2 + 4
    assert "-0.0" not in done.stdout


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ((), "say --filters, --map or --importance"),
        (("--importance", "shap"), "'impurity', 'permutation'"),
        (("--importance", "impurity"), "sounds (cnn1d-lstm) has no impurities"),
        (("--importance", "permutation", "--repeats", 0), "--repeats"),
        (("--importance", "permutation", "--model", "nobody"), "no entry 'nobody'"),
        (("--importance", "permutation", "--data", "nothing"), "nothing"),
    ],
)
def test_wrong_command_is_one_line_and_no_picture(
    inside: Path, args: tuple[object, ...], word: str
) -> None:
    done = run("explain", *args, "--zoo", "zoo", "--prepared", "prepared")
    assert (done.exit_code, done.stdout) == (2, "")
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(inside.glob("*.png"))


def test_help_says_every_default() -> None:
    shown = run("explain", "--help", env={"COLUMNS": "250"}).stdout
    assert "(default: " in shown
    assert not re.search(r" [.;](\s|$)", shown)  # what rich leaves of "[default: …].", as markup


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("songs/hum/0.wav", "--html", "p.html"), "--html means nothing to a song"),
        (("songs/hum/0.wav", "--picture", "mel", "--json"), "--json means nothing to --picture"),
        (("--filters", "1", "--split", "test"), "--split means nothing to --filters"),
        (("--map", "pca", "--top", 3), "--top means nothing to --map"),
        (("--importance", "impurity", "--repeats", 2), "--repeats means nothing to --importance"),
        (("--filters", "1", "--listen", "x.wav"), "--listen means nothing to --filters"),
        (("--map", "pca", "--png", "x", "--html", "x"), "--png and --html both go to x"),
    ],
)
def test_option_of_another_view_is_refused(
    inside: Path, args: tuple[object, ...], word: str
) -> None:
    done = run("explain", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


def test_entry_that_predicts_is_the_one_that_is_explained(inside: Path, forest: Path) -> None:
    zoo = inside / "two"
    shutil.copytree("zoo/sounds", zoo / "sounds")
    shutil.copytree(forest, zoo / "forest")  # is newer
    (zoo / "default.txt").write_text("sounds\n")
    shown = run("explain", "--filters", "list", "--zoo", zoo, "--json")
    shutil.rmtree(zoo)
    assert json.loads(shown.stdout)["model"] == "sounds"
