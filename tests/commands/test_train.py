import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mgr_cli import training
from mgr_cli.commands import runs
from mgr_cli.commands import train as train_command
from mgr_cli.errors import DivergenceError, TrainingError
from mgr_cli.models import registry
from mgr_cli.models.registry import ARCHITECTURES, CLASSICAL
from mgr_cli.task import Epoch, Task
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


def test_list_shows_every_architecture_and_trains_nothing(tmp_path: Path) -> None:
    result = run("train", "--list", "--zoo", tmp_path / "zoo", env={"COLUMNS": "300"})
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ARCHITECTURES)
    assert "hidden_dim=128" in result.stdout
    assert not (tmp_path / "zoo").exists()


def test_settings_and_recipe_file_reach_the_card(inside: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "arch: cnn1d-gru\nset: {hidden_dim: 32, num_layers: 2}\nsegments: {seconds: 2}\n"
        "recipe: {optimizer: sgd, learning_rate: 1e-2, epochs: 1, batch_size: 8}\n"
    )
    result = run(
        "train", "--recipe", recipe, "--set", "hidden_dim=16", "dropout=0.2", "--lr", 0.02,
        "--name", "made", "--zoo", tmp_path / "zoo", "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    card = json.loads((tmp_path / "zoo/made/card.json").read_text())
    assert card["architecture"] == "cnn1d-gru"
    assert card["hyperparameters"] == {"hidden_dim": 16, "num_layers": 2, "dropout": 0.2}
    assert (card["recipe"]["optimizer"], card["recipe"]["learning_rate"]) == ("sgd", 0.02)
    assert card["segments"]["seconds"] == 2.0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--set", "colour=3"), "no hyper-parameter 'colour'; it has hidden_dim"),
        (("--set", "hidden_dim=x"), "hidden_dim is 'x', expected int"),
        (("--set", "hidden_dim"), "expected name=value"),
        (("dropout=",), "expected name=value"),
        (("--recipe", "absent.yaml"), "cannot be read"),
    ],
)
def test_setting_that_does_not_fit_is_one_line(
    inside: Path, args: tuple[str, ...], message: str
) -> None:
    result = run("train", "--arch", "cnn1d-gru", *args)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr


def test_stopped_run_is_resumed_by_the_same_command(inside: Path, tmp_path: Path) -> None:
    args = (
        "train", "--arch", "cnn1d-gru", "--epochs", 3, "--batch-size", 8,
        "--zoo", tmp_path / "zoo", "--device", "cpu",
    )  # fmt: skip
    whole = run(*args, "--name", "whole")
    assert whole.exit_code == 0, whole.stderr
    assert list((tmp_path / "zoo/.training").iterdir()) == []
    original = summary_of_epochs(whole.stdout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_show", stop_after(2))
        assert run(*args, "--name", "stopped").exit_code == 130
    assert len(list((tmp_path / "zoo/.training").iterdir())) == 1
    assert not (tmp_path / "zoo/stopped").exists()
    assert "--resume would go on with it" in run(*args, "--epochs", 3, "--name", "anew").stderr

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_show", stop_after(2))
        run(*args)
    again = run(*args, "--resume", "--name", "resumed")
    assert again.exit_code == 0, again.stderr
    assert summary_of_epochs(again.stdout) == original[1:]
    weights = [
        (tmp_path / "zoo" / n / "model.safetensors").read_bytes() for n in ("whole", "resumed")
    ]
    assert weights[0] == weights[1]
    assert "begins anew" in run(*args, "--resume", "--lr", 0.5).stderr


def summary_of_epochs(shown: str) -> list[list[str]]:
    """Return the columns of each epoch but the seconds."""
    rows = [line.split() for line in shown.splitlines() if line[:5].strip().isdigit()]
    return [[word for word in row if word != "*"][:-1] for row in rows]


def stop_after(number: int) -> Callable[[Epoch], None]:
    def show(epoch: Epoch) -> None:
        if epoch.number == number:
            raise KeyboardInterrupt

    return show


def test_all_are_compared_and_those_that_are_done_not_trained_again(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: ARCHITECTURES[name] for name in ("cnn1d", "cnn1d-gru")}
    monkeypatch.setattr(train_command, "ARCHITECTURES", few)
    args = (
        "train", "--arch", "all", "--epochs", 1, "--batch-size", 8,
        "--zoo", tmp_path / "zoo", "--device", "cpu",
    )  # fmt: skip
    first = run(*args)
    assert first.exit_code == 0, first.stderr
    entries = sorted(path.name for path in (tmp_path / "zoo").glob("[!.]*"))
    assert entries == ["cnn1d-gru-songs", "cnn1d-songs"]
    board = first.stdout.split("validation split")[1]
    assert all(entry in board for entry in entries)
    again = run(*args, "--resume")
    assert again.stdout.split("validation split")[1] == board
    assert "is kept" not in again.stdout
    assert sorted(path.name for path in (tmp_path / "zoo").glob("[!.]*")) == entries


def test_half_the_space_is_another_entry(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_command, "ARCHITECTURES", {"cnn1d": ARCHITECTURES["cnn1d"]})
    zoo = tmp_path / "zoo"
    args = ("train", "--arch", "all", "--epochs", 1, "--resume", "--zoo", zoo, "--device", "cpu")
    for half in ((), ("--half",), ("--half",), ()):
        result = run(*args, *half)
        assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in zoo.glob("[!.]*")) == ["cnn1d-songs", "cnn1d-songs-2"]
    whole, rounded = (zoo / name / "model.safetensors" for name in ("cnn1d-songs", "cnn1d-songs-2"))
    assert rounded.stat().st_size < 0.6 * whole.stat().st_size
    assert run("zoo", "verify", "cnn1d-songs-2", "--zoo", zoo).exit_code == 0


def test_teacher_is_named_on_the_card_and_must_hear_the_same(inside: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    net = ("train", "--arch", "cnn1d-lstm", "--epochs", 1, "--set", "hidden_dim=8")
    args = (*net, "--device", "cpu", "--zoo", zoo, "--teacher")
    result = run(*args, "zoo/sounds", "--name", "pupil")
    assert result.exit_code == 0, result.stderr
    teacher = json.loads(Path("zoo/sounds/card.json").read_text())
    card = json.loads((zoo / "pupil" / "card.json").read_text())
    assert card["teacher"] == {"name": "sounds", "sha256": teacher["weights"]["sha256"]}
    result = run(*args, "pupil", "--set", "seconds=2")
    assert (result.exit_code, result.stdout.count("is kept")) == (2, 0)
    assert "pupil hears 3 s at a time" in result.stderr
    result = run("train", "--arch", "ridge", "--teacher", "zoo/sounds", "--zoo", zoo)
    assert (result.exit_code, "ridge is fitted" in result.stderr) == (2, True)


def test_net_that_fails_does_not_end_the_comparison(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: ARCHITECTURES[name] for name in ("cnn1d", "cnn1d-gru")}
    monkeypatch.setattr(train_command, "ARCHITECTURES", few)
    original = training.train

    def fail(dataset: Any, architecture: str, **options: Any) -> training.Trained:
        if architecture == "cnn1d":
            raise TrainingError("the loss is nan at step 3 of epoch 1")
        return original(dataset, architecture, **options)

    monkeypatch.setattr(training, "train", fail)
    args = ("--epochs", 1, "--batch-size", 8, "--zoo", tmp_path / "zoo", "--device", "cpu")
    result = run("train", "--arch", "all", *args)
    assert result.exit_code == 1
    assert "cnn1d: the loss is nan" in result.stderr
    assert "cnn1d-gru-songs" in result.stdout.split("validation split")[1]


def test_all_with_settings_of_one_is_refused(inside: Path) -> None:
    assert run("train", "--arch", "all", "--set", "dropout=0.1").exit_code == 2


def test_recipe_of_a_net_is_set_as_its_hyperparameters_are(inside: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    args = ("--arch", "cnn1d", "--epochs", 1, "--zoo", zoo, "--device", "cpu")
    result = run("train", *args, "--set", "dropout=0.1", "gain=6", "optimizer=sgd")
    assert result.exit_code == 0, result.stderr
    card = json.loads((zoo / "cnn1d-songs" / "card.json").read_text())
    assert card["hyperparameters"] == {"dropout": 0.1}
    assert (card["recipe"]["gain"], card["recipe"]["optimizer"]) == (6.0, "sgd")
    wrong = run("train", *args, "--set", "gain=loud")
    assert wrong.exit_code == 2
    assert "gain is 'loud', expected float" in wrong.stderr


def test_minutes_shorten_a_run_and_a_run_that_goes_on_keeps_its_epochs(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter([2, 7])
    monkeypatch.setattr(training, "epochs_within", lambda *_, **__: next(counted))
    args = ("train", "--arch", "cnn1d", "--zoo", tmp_path / "zoo", "--device", "cpu")
    first = run(*args, "--minutes", 0.5)
    assert first.exit_code == 0, first.stderr
    assert "2 epochs fit into 0.5 minutes" in first.stderr
    assert len(summary_of_epochs(first.stdout)) == 2
    again = run(*args, "--minutes", 0.5, "--resume")
    assert summary_of_epochs(again.stdout) == summary_of_epochs(first.stdout)
    other = run(*args, "--minutes", 0.5)
    assert len(summary_of_epochs(other.stdout)) == 7


def test_run_that_diverges_leaves_its_best_epoch_and_says_so(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Task.training_step

    def explode(self: Task, batch: Any, index: int) -> Any:
        if self.current_epoch == 1:
            raise DivergenceError("the loss is nan at step 9 of epoch 2")
        return original(self, batch, index)

    monkeypatch.setattr(Task, "training_step", explode)
    zoo = tmp_path / "zoo"
    result = run("train", "--arch", "cnn1d", "--epochs", 3, "--zoo", zoo, "--device", "cpu")
    assert result.exit_code == 1
    assert "stopped early: the loss is nan at step 9 of epoch 2" in result.stderr
    card = json.loads((zoo / "cnn1d-songs" / "card.json").read_text())
    assert (card["best_epoch"], card["n_epochs"]) == (1, 1)
    assert not list((zoo / ".training").glob("*.ckpt"))


def test_net_that_eats_something_else_names_the_prepare(inside: Path, tmp_path: Path) -> None:
    result = run("train", "--arch", "wave-cnn1d", "--zoo", tmp_path / "zoo")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "no waveform features, it has log-mel" in result.stderr
    assert "mgr prepare" in result.stderr
    assert "--features log-mel,waveform" in result.stderr


def test_logger_is_told(inside: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    args = ("--arch", "cnn1d", "--epochs", 1, "--zoo", zoo, "--device", "cpu")
    result = run("train", *args, "--logger", "tensorboard")
    assert result.exit_code == 0, result.stderr
    assert list((zoo / ".logs" / "cnn1d-songs").glob("*/events.*"))
    unknown = run("train", *args, "--logger", "carrier-pigeon")
    assert unknown.exit_code == 2
    assert "tensorboard" in unknown.stderr


def test_pipeline_is_fitted_and_predicts(inside: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    result = run("train", "--arch", "random-forest", "--set", "n_estimators=9", "--zoo", zoo)
    assert result.exit_code == 0, result.stderr
    assert "random-forest-songs" in result.stdout
    card = json.loads((zoo / "random-forest-songs" / "card.json").read_text())
    assert card["hyperparameters"]["n_estimators"] == 9
    song = next(Path("songs").rglob("*.wav"))
    predicted = run("predict", song, "--zoo", zoo, "--json")
    assert predicted.exit_code == 0, predicted.stderr
    assert json.loads(predicted.stdout)["model"] == "random-forest-songs"


def test_all_pipelines_are_compared(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: CLASSICAL[name] for name in ("ridge", "gaussian-nb")}
    monkeypatch.setattr(registry, "CLASSICAL", few)
    result = run("train", "--arch", "all-classical", "--zoo", tmp_path / "zoo")
    assert result.exit_code == 0, result.stderr
    assert "fitted, s" in result.stdout
    assert all(f"{name}-songs" in result.stdout for name in few)


def test_pipeline_has_no_recipe(inside: Path, tmp_path: Path) -> None:
    for options in (("--epochs", 3), ("--minutes", 1), ("--resume",), ("--half",)):
        result = run("train", "--arch", "ridge", *options, "--zoo", tmp_path / "zoo")
        assert result.exit_code == 2
        assert "ridge is fitted" in result.stderr
