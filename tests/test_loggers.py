"""Each logger keeps the figures of every epoch, and reads them back itself."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mgr_cli import loggers, training
from mgr_cli.config import LoggerName
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import TrainingError
from mgr_cli.trainer import Machine
from mgr_cli.training import Trained
from tests import tiny

SETTINGS: Mapping[str, Any] = {"arch": tiny.ARCHITECTURE, "recipe": {"epochs": 3}}


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("easy"))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def train(dataset: PreparedDataset, folder: Path, name: LoggerName) -> Trained:
    return training.train(
        dataset, tiny.ARCHITECTURE, recipe=replace(tiny.RECIPE, epochs=3),
        hyperparameters=dict(tiny.NARROW), segments=tiny.SEGMENTS, machine=Machine(device="cpu"),
        logger=loggers.make(name, folder, "mine", SETTINGS),
    )  # fmt: skip


def test_tensorboard_has_the_curves(easy: PreparedDataset, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained = train(easy, tmp_path / "logs", "tensorboard")
    (folder,) = (tmp_path / "logs" / "mine").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    found = [event.value for event in events.Scalars("valid_loss")]
    assert found == pytest.approx([epoch.valid_loss for epoch in trained.history], rel=1e-6)
    assert {"train_loss", "valid_accuracy", "valid_precision", "valid_recall", "valid_f1"} <= set(
        events.Tags()["scalars"]
    )
    assert "epochs: 3" in (folder / "hparams.yaml").read_text()


def test_mlflow_has_the_curves_and_the_settings(easy: PreparedDataset, tmp_path: Path) -> None:
    import mlflow

    trained = train(easy, tmp_path / "logs", "mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/logs/mlflow.db")
    experiment = client.get_experiment_by_name("mgr")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    found = [point.value for point in client.get_metric_history(run.info.run_id, "valid_accuracy")]
    assert found == pytest.approx([epoch.valid_accuracy for epoch in trained.history])
    assert run.data.params["recipe/epochs"] == "3"
    assert run.info.run_name == "mine"


def test_wandb_keeps_a_run_without_an_account(easy: PreparedDataset, tmp_path: Path) -> None:
    import wandb

    trained = train(easy, tmp_path / "logs", "wandb")
    assert wandb.run is not None
    summary = dict(wandb.run.summary)
    wandb.finish()
    assert summary["valid_f1"] == pytest.approx(trained.history[-1].valid_f1)
    (kept,) = (tmp_path / "logs" / "wandb").glob("offline-run-*/run-*.wandb")
    assert kept.stat().st_size > 0


def test_without_a_name_there_is_none(tmp_path: Path) -> None:
    assert loggers.make(None, tmp_path / "logs", "mine", SETTINGS) is None
    assert not (tmp_path / "logs").exists()


def test_one_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"wandb is not installed; .*'mgr-cli\[wandb\]'"):
        loggers.make("wandb", tmp_path, "mine", SETTINGS)
