"""Music genre recognition, as a library; `mgr` is its command line.

The names below are imported when they are first used, so that ``import mgr_cli`` costs
nothing:

>>> import mgr_cli
>>> predictor = mgr_cli.Predictor.load(mgr_cli.default_entry())  # doctest: +SKIP
>>> predictor.from_file(path).genre  # doctest: +SKIP
'disco'
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mgr_cli.audio import load as load_audio
    from mgr_cli.config import FeatureSpec, Recipe, SegmentSpec
    from mgr_cli.data.prepared import load as load_dataset
    from mgr_cli.data.sources import Wishes
    from mgr_cli.errors import MgrError
    from mgr_cli.evaluation import evaluate
    from mgr_cli.explanation.songs import explain
    from mgr_cli.features.handcrafted import extract as handcrafted_features
    from mgr_cli.features.mel import log_mel
    from mgr_cli.fitting import fit
    from mgr_cli.prediction import Prediction, Predictor
    from mgr_cli.preparation import Dealing, prepare
    from mgr_cli.publication import publish
    from mgr_cli.trainer import Machine
    from mgr_cli.training import train
    from mgr_cli.zoo.entries import default_entry

__all__ = [
    "Dealing", "FeatureSpec", "Machine", "MgrError", "Prediction", "Predictor", "Recipe",
    "SegmentSpec", "Wishes", "default_entry", "evaluate", "explain", "fit",
    "handcrafted_features", "load_audio", "load_dataset", "log_mel", "prepare", "publish", "train",
]  # fmt: skip

_HOMES = {
    "Dealing": "mgr_cli.preparation:Dealing",
    "FeatureSpec": "mgr_cli.config:FeatureSpec",
    "Machine": "mgr_cli.trainer:Machine",
    "MgrError": "mgr_cli.errors:MgrError",
    "Prediction": "mgr_cli.prediction:Prediction",
    "Predictor": "mgr_cli.prediction:Predictor",
    "Recipe": "mgr_cli.config:Recipe",
    "SegmentSpec": "mgr_cli.config:SegmentSpec",
    "Wishes": "mgr_cli.data.sources:Wishes",
    "default_entry": "mgr_cli.zoo.entries:default_entry",
    "evaluate": "mgr_cli.evaluation:evaluate",
    "explain": "mgr_cli.explanation.songs:explain",
    "fit": "mgr_cli.fitting:fit",
    "handcrafted_features": "mgr_cli.features.handcrafted:extract",
    "load_audio": "mgr_cli.audio:load",
    "load_dataset": "mgr_cli.data.prepared:load",
    "log_mel": "mgr_cli.features.mel:log_mel",
    "prepare": "mgr_cli.preparation:prepare",
    "publish": "mgr_cli.publication:publish",
    "train": "mgr_cli.training:train",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mgr_cli' has no attribute {name!r}")
    module, attribute = _HOMES[name].split(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
