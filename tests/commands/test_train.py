import json
from pathlib import Path

from mgr_cli.models.registry import ARCHITECTURES
from tests.commands.workspace import run


def test_training_shows_an_epoch_a_line_and_leaves_an_entry(inside: Path) -> None:
    shown = Path("trained.txt").read_text().splitlines()
    assert [line.split()[0] for line in shown[1:7]] == ["1", "2", "3", "4", "5", "6"]
    card = json.loads(Path("zoo/sounds/card.json").read_text())
    assert card["architecture"] == "cnn1d-lstm"
    assert card["recipe"]["epochs"] == 6
    assert set(card["figures"]) == {"valid"}  # test is looked at by `mgr eval` alone


def test_unknown_architecture_offers_close_names(inside: Path) -> None:
    result = run("train", "--arch", "cnn1d-ltsm")
    assert result.exit_code == 2
    assert "did you mean cnn1d-lstm" in result.stderr


def test_taken_name_is_refused_before_training(inside: Path) -> None:
    result = run("train", "--name", "sounds", "--epochs", 1)
    assert result.exit_code == 2
    assert "exists already" in result.stderr


def test_impossible_recipe_is_a_wrong_command(inside: Path) -> None:
    result = run("train", "--learning-rate", "-1")
    assert result.exit_code == 2
    assert "learning_rate" in result.stderr


def test_without_a_dataset_it_says_how_to_get_one(tmp_path: Path) -> None:
    result = run("train", "--prepared", tmp_path)
    assert result.exit_code == 2
    assert "mgr prepare" in result.stderr


def test_help_names_every_architecture() -> None:
    shown = "".join(run("train", "--help", env={"COLUMNS": "200"}).stdout.split())
    assert all(name in shown for name in ARCHITECTURES)
