"""Who keeps a run's curves beside the entry: TensorBoard, Weights & Biases, MLflow."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from mgr_cli.config import LoggerName
from mgr_cli.errors import TrainingError

PROJECT = "mgr"
PACKAGES: Mapping[LoggerName, str] = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
}
"""What must be installed for each."""


def make(
    name: LoggerName | None, folder: Path, run: str, settings: Mapping[str, Any]
) -> Logger | None:
    """Make one of Lightning's loggers.

    Parameters
    ----------
    name : {"tensorboard", "wandb", "mlflow"}, optional
        Which; None makes none. Where W&B and MLflow send things is theirs to know, from
        WANDB_MODE and MLFLOW_TRACKING_URI; without those, W&B asks for an account and MLflow
        writes to the folder.
    folder : Path
        Where files go.
    run : str
        What the run is called.
    settings : mapping
        Of the run, kept with it.

    Raises
    ------
    TrainingError
        If what is needed is not installed.
    """
    if name is None:
        return None
    if find_spec(PACKAGES[name]) is None:
        raise TrainingError(
            f"{PACKAGES[name]} is not installed; install it with `pip install 'mgr-cli[{name}]'`"
        )
    from lightning.pytorch import loggers

    folder.mkdir(parents=True, exist_ok=True)
    logger: Logger
    match name:
        case "tensorboard":
            logger = loggers.TensorBoardLogger(folder, name=run)
        case "wandb":
            logger = loggers.WandbLogger(name=run, project=PROJECT, save_dir=folder)
        case "mlflow":
            from os import environ

            place = environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve()}/mlflow.db")
            logger = loggers.MLFlowLogger(PROJECT, run_name=run, tracking_uri=place)
    logger.log_hyperparams(dict(settings))
    return logger
