"""`mgr train` of what scikit-learn fits, on grids and behind borrowed nets."""

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torchvision.models import resnet18

from mgr_cli.commands import rivals
from mgr_cli.models import registry
from mgr_cli.models.rows import SHARES
from tests.commands.workspace import run

AVERAGE = ("--set", "cut=avg_pool")


def cached() -> set[tuple[Path, int]]:
    """List what borrowed nets have left, and when."""
    paths = Path("prepared/.features").rglob("*.row")
    return {(path, path.stat().st_mtime_ns) for path in paths}


def test_grid_is_searched_and_told(inside: Path, tmp_path: Path) -> None:
    result = run("train", "--arch", "svc-rbf", "--grid", "--jobs", 1, "--zoo", tmp_path)
    assert result.exit_code == 0, result.stderr
    card = json.loads((tmp_path / "svc-rbf-songs" / "card.json").read_text())
    told = re.search(r"svc-rbf: c=(\S+) gamma=(\S+), of 12 the best in (\d+) folds", result.stderr)
    assert told is not None
    found = {key: card["hyperparameters"][key] for key in ("c", "gamma")}
    assert found == {"c": float(told[1]), "gamma": float(told[2])}
    assert card["search"]["n_folds"] == int(told[3])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["ridge", "--grid"], "ridge has no grid"),
        (["linear-svc", "--grid", "--set", "c=1"], "or --set has fixed all of it"),
        (["cnn1d", "--grid"], "cnn1d is trained: --weights and --grid are for what is fitted"),
        (["cnn1d", "--weights", "random"], "cnn1d is trained"),
        (["all-classical", "--grid"], "leave --grid and --recipe out"),
        (["all-classical", "--set", "c=1"], "leave --set and --name out"),
        (["all-vgg16", "--name", "x"], "leave --set and --name out"),
        (["all-ridge"], "unknown architecture 'all-ridge'"),
        (["vgg16"], "vgg16 needs weights: --weights DEFAULT"),
        (["vgg16", "--epochs", "3"], "vgg16 is fitted"),
        (["vgg16", "--set", "cut=fc3", "--weights", "random"], "cut is 'fc3', expected one of"),
        (["vgg16", "--set", "classifier=tree"], "classifier is 'tree', expected one of mlp"),
        (["vgg16", "--set", "pca=2", "--weights", "random"], "pca is 2.0, outside 0"),
        (["vgg16", "--set", "classifier=mlp", "gamma=1"], "no hyper-parameter 'gamma'"),
        (["hf", "--weights", "random"], "random/config.json: cannot be read"),
        (["hf:"], "a folder stands behind hf: alone"),
        (["vgg16:here", "--weights", "random"], "a folder stands behind hf: alone"),
        (["hf:there", "--weights", "here"], "the weights are those of there"),
        (["hf:there"], "there/config.json: cannot be read"),
    ],
)
def test_what_does_not_fit_together_is_one_line(
    inside: Path, tmp_path: Path, args: list[str], said: str
) -> None:
    result = run("train", "--arch", *args, "--zoo", tmp_path / "zoo")
    assert result.exit_code == 2
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert said in line
    assert not list((tmp_path / "zoo").glob("*/card.json"))


def test_borrowed_net_is_probed_and_predicts(inside: Path, tmp_path: Path) -> None:
    before = cached()
    weights = ("--weights", "random", "--jobs", 1, "--zoo", tmp_path)
    args = ("train", "--arch", "resnet50", *AVERAGE, "classifier=linear-svc", *weights)
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    assert "random weights of seed 0, which nobody has trained" in result.stderr
    row = result.stdout.splitlines()[-1].split()
    assert row[:4] == ["resnet50-songs", "avg_pool", "2048", "0.9"]
    assert row[-1] == "23,508,032"
    song = next(Path("songs").rglob("*.wav"))
    predicted = run("predict", song, "--zoo", tmp_path, "--model", "resnet50-songs", "--json")
    assert predicted.exit_code == 0, predicted.stderr
    assert json.loads(predicted.stdout)["genre"] in {"clicks", "hiss", "hum"}
    assert run("zoo", "verify", "--zoo", tmp_path).exit_code == 0
    # What the net has computed once is found again: the second run fits alone.
    kept = cached()
    assert len(kept - before) == 21  # train and valid; test is not looked at
    assert run(*args).exit_code == 0
    assert cached() == kept
    first, second = (tmp_path / f"resnet50-songs{n}/backbone.safetensors" for n in ("", "-2"))
    assert first.samefile(second)


def test_table_has_a_row_for_each_cut_share_and_rival(inside: Path, tmp_path: Path) -> None:
    result = run(
        "train", "--arch", "all-resnet50", "--weights", "random", "--jobs", 1, "--zoo", tmp_path,
        *AVERAGE, "pca=0.9",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()[-3:]]
    assert [(row[1], row[3], row[5]) for row in rows] == [
        ("avg_pool", "0.9", rival) for rival in ("linear-svc", "svc-rbf", "mlp")
    ]
    assert len(list(tmp_path.glob("*/card.json"))) == 3


def test_whole_table_is_the_seeds(inside: Path) -> None:
    vgg = rivals.combinations("vgg16", {})
    assert len(vgg) == 3 * 3 * 3
    found = {(plan.values["cut"], plan.values["pca"], plan.values["classifier"]) for plan in vgg}
    cuts = registry.BORROWED["vgg16"].cuts
    assert found == {
        (cut, share, rival)
        for cut in cuts
        for share in SHARES
        for rival in ("linear-svc", "svc-rbf", "mlp")
    }
    assert set(cuts) == {"block5_pool", "fc1", "fc2"}
    assert len(rivals.combinations("resnet50", {"classifier": "svc-rbf", "c": 1.0})) == 2 * 3


def test_state_dict_of_another_net_is_refused(inside: Path, tmp_path: Path) -> None:
    path = tmp_path / "resnet18.safetensors"
    save_file(resnet18().state_dict(), path)
    result = run("train", "--arch", "resnet50", "--weights", path, "--zoo", tmp_path)
    assert result.exit_code == 2
    assert "it is the state dict of another net than resnet50" in result.stderr


def test_recipe_file_names_the_row_and_its_segments(inside: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "arch: extra-trees\nset: {n_estimators: 7}\nsegments: {seconds: 1, hop_seconds: 1}\n"
    )
    result = run("train", "--recipe", recipe, "--zoo", tmp_path)
    assert result.exit_code == 0, result.stderr
    card = json.loads((tmp_path / "extra-trees-songs" / "card.json").read_text())
    assert card["hyperparameters"]["n_estimators"] == 7
    assert card["segments"] == {"seconds": 1.0, "hop_seconds": 1.0}
    recipe.write_text("arch: extra-trees\nrecipe: {epochs: 3}\n")
    refused = run("train", "--recipe", recipe, "--zoo", tmp_path)
    assert refused.exit_code == 2
    assert "extra-trees is fitted, it has no recipe" in refused.stderr
