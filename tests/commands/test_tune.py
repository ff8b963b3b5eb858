"""`mgr tune`, from a sweep file to an entry, a recipe, a table and a page."""

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.commands.workspace import run

# Line 8 is hidden_dim.
SWEEP = """\
program: train.py
method: random
metric: {name: val_loss, goal: minimize}
run_cap: 3
parameters:
  epochs: {value: 3}
  learning_rate: {distribution: log_uniform_values, min: 1e-3, max: 1e-1}
  hidden_dim: {values: [4, 8]}
  dropout: {min: 0.1, max: 0.3}
  num_layers: {value: 1}
  batch_size: {min: 4, max: 8}
early_terminate: {type: hyperband, min_iter: 1}
"""


def tune(folder: Path, *args: object) -> list[object]:
    return [
        "tune", *args, "--studies", folder / "studies", "--zoo", folder / "zoo", "--device", "cpu",
    ]  # fmt: skip


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return path


def test_plan_shows_brackets_and_runs_nothing(inside: Path, tmp_path: Path, sweep: Path) -> None:
    result = run(*tune(tmp_path, sweep, "--plan", "--trials", 20))
    assert result.exit_code == 0, result.stderr
    assert "program has no meaning here, and is ignored" in result.stderr
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    assert lines[0] == ["cnn1d-lstm-songs: 20 trials, random, minimize valid_loss"]
    drawn = {line[0].strip(): line[-1].strip() for line in lines[2:8]}
    assert drawn == {
        "epochs": "3",
        "learning_rate": "0.001 to 0.1, in logarithms",
        "hidden_dim": "one of 4, 8",
        "dropout": "0.1 to 0.3",
        "num_layers": "1",
        "batch_size": "4 to 8, whole numbers",
    }
    assert "Hyperband as published (Li et al., algorithm 1), R = 3, eta = 3" in result.stdout
    # Algorithm 1 with R = 3: three trials from one epoch, one of which goes on; two of three.
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["1", "3", "1", "3", "@", "1", "1", "@", "3", "5"] in rows
    assert ["0", "2", "3", "2", "@", "3", "6"] in rows
    assert re.fullmatch(r"about \d+ epochs, of 60 without", result.stdout.splitlines()[-1])
    assert not (tmp_path / "studies").exists()


def test_without_pruning_there_are_no_brackets(inside: Path, tmp_path: Path, sweep: Path) -> None:
    result = run(*tune(tmp_path, sweep, "--plan", "--no-prune"))
    assert result.exit_code == 0
    assert "Hyperband" not in result.stdout


def test_sweep_file_leaves_an_entry_a_recipe_a_table_and_a_page(
    inside: Path, tmp_path: Path, sweep: Path
) -> None:
    args = tune(tmp_path, sweep, "--licence", "CC0-1.0", "--name", "first")
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    told = [line for line in result.stdout.splitlines() if re.match(r"trial \d+: ", line)]
    assert [line.split(":")[0] for line in told] == ["trial 0", "trial 1", "trial 2"]
    assert re.match(
        r"trial 0: (done|stopped early) \d\.\d{4} after [13] epochs?, learning_rate=\S+ hidden_dim",
        told[0],
    )
    assert not re.search(r"\[[IW] |Warning|optuna", result.output)
    folder = tmp_path / "studies" / "first"
    assert {path.name for path in folder.iterdir() if path.name[0] != "."} == {
        "study.db", "study.json", "entries", "running", "trials.csv", "best.yaml", "report.html",
    }  # fmt: skip
    card = json.loads((tmp_path / "zoo" / "first-tuned" / "card.json").read_text())
    assert "found by the study first (random, trial " in card["provenance"]
    assert card["licence"] == "CC0-1.0"
    assert run("zoo", "verify", "--zoo", tmp_path / "zoo").exit_code == 0
    rows = list(csv.DictReader((folder / "trials.csv").open()))
    assert len(rows) == 3
    best = yaml.safe_load((folder / "best.yaml").read_text())
    assert best["arch"] == "cnn1d-lstm"
    assert best["recipe"]["epochs"] == 3
    assert best["set"]["num_layers"] == 1
    assert f"{best['recipe']['learning_rate']:.4g}" == rows[0]["learning_rate"]
    assert card["recipe"]["learning_rate"] == best["recipe"]["learning_rate"]
    assert "Plotly.newPlot" in (folder / "report.html").read_text()

    again = run(*args)  # it is done: nothing more is run, and the entry is there
    assert again.exit_code == 0, again.stderr
    assert not re.search(r"^trial \d+: ", again.stdout, re.M)
    assert [path.name for path in (tmp_path / "zoo").iterdir()] == ["first-tuned"]

    shown = run(*tune(tmp_path, "--show", "--name", "first"))
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[0] == "first: 3 trials"
    assert [line.split()[0] for line in shown.stdout.splitlines()[2:]] == [r["trial"] for r in rows]

    trained = run(
        "train", "--recipe", folder / "best.yaml", "--epochs", 1, "--zoo", tmp_path / "zoo",
        "--device", "cpu", "--name", "from-recipe",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    repeated = json.loads((tmp_path / "zoo" / "from-recipe" / "card.json").read_text())
    assert repeated["hyperparameters"] == card["hyperparameters"]
    assert repeated["recipe"] == card["recipe"] | {"epochs": 1}

    other = run(*tune(tmp_path, "--name", "first", "--seed", 7, sweep))
    assert other.exit_code == 2
    assert "this study searches something else" in other.stderr.splitlines()[-1]


def test_what_is_fitted_is_searched_on_its_grid(inside: Path, tmp_path: Path) -> None:
    result = run(*tune(tmp_path, "--arch", "linear-svc"))
    assert result.exit_code == 0, result.stderr
    told = [line for line in result.stdout.splitlines() if re.match(r"trial \d+: ", line)]
    assert len(told) > 2
    assert all(re.fullmatch(r"trial \d+: done \d\.\d{4}, c=\S+", line) for line in told)
    best = yaml.safe_load((tmp_path / "studies/linear-svc-songs/best.yaml").read_text())
    assert "recipe" not in best
    recipe = tmp_path / "studies/linear-svc-songs/best.yaml"
    trained = run("train", "--recipe", recipe, "--zoo", tmp_path / "zoo", "--name", "again")
    assert trained.exit_code == 0, trained.stderr
    one, two = (
        json.loads((tmp_path / "zoo" / name / "card.json").read_text())
        for name in ("linear-svc-songs-tuned", "again")
    )
    assert one["hyperparameters"] == two["hyperparameters"]
    assert one["figures"] == two["figures"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--arch", "cnn1d-ltsm"], "did you mean cnn1d-lstm"),
        (["--arch", "ffnn"], "ffnn has no search space of its own"),
        (["--name", "../x"], "'../x' cannot be the name of a study"),
        (["missing.yaml"], "missing.yaml"),
        (["--arch", "vgg16"], "`mgr train --arch vgg16`"),
        (["--show"], "no study here; start one with `mgr tune`"),
        (["--show", "--storage", "nosuch://x/y"], "nosuch://x/y: no database of studies answers"),
        (["--storage", "postgresql://127.0.0.1:9/x"], "no database of studies answers here"),
    ],
)
def test_what_cannot_be_searched_is_one_line(
    inside: Path, tmp_path: Path, args: list[str], said: str
) -> None:
    result = run(*tune(tmp_path, *args))
    assert result.exit_code == 2
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert said in line
    assert not list(tmp_path.rglob("card.json"))
    assert not list(tmp_path.rglob("study.json"))


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        (8, "  hiden_dim: {values: [4, 8]}", "is no parameter of cnn1d-lstm; did you mean"),
        (9, "  dropout: {min: 0.3, max: 0.1}", "expected min below max"),
        (4, "run_kap: 3", "run_kap"),
    ],
)
def test_error_of_a_sweep_file_names_its_line(
    inside: Path, tmp_path: Path, sweep: Path, line: int, instead: str, said: str
) -> None:
    lines = SWEEP.splitlines()
    lines[line - 1] = instead
    sweep.write_text("\n".join(lines))
    result = run(*tune(tmp_path, sweep))
    assert result.exit_code == 2
    assert result.stdout == ""
    error = result.stderr.strip().splitlines()[-1]
    assert f"{sweep}:{line}: " in error
    assert said in error
