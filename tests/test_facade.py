import subprocess
import sys
from importlib import import_module

import pytest

import mgr_cli

HOMES = {
    "Dealing": "preparation",
    "FeatureSpec": "config",
    "Machine": "trainer",
    "MgrError": "errors",
    "Prediction": "prediction",
    "Predictor": "prediction",
    "Recipe": "config",
    "SegmentSpec": "config",
    "Wishes": "data.sources",
    "default_entry": "zoo.entries",
    "evaluate": "evaluation",
    "explain": "explanation.songs",
    "fit": "fitting",
    "handcrafted_features": "features.handcrafted",
    "load_audio": "audio",
    "load_dataset": "data.prepared",
    "log_mel": "features.mel",
    "prepare": "preparation",
    "publish": "publication",
    "train": "training",
}
RENAMED = {"handcrafted_features": "extract", "load_audio": "load", "load_dataset": "load"}

HEAVY = ("numpy", "torch", "pandas", "sklearn", "scipy", "librosa", "lightning", "matplotlib",
         "torchaudio", "soundfile", "av", "soxr", "pydantic", "typer", "rich", "PIL")  # fmt: skip


def test_the_facade_is_these_names() -> None:
    assert sorted(HOMES) == sorted(mgr_cli.__all__)
    assert dir(mgr_cli) == sorted(mgr_cli.__all__)


@pytest.mark.parametrize("name", HOMES)
def test_every_name_is_the_object_of_its_home(name: str) -> None:
    home = import_module(f"mgr_cli.{HOMES[name]}")
    thing = getattr(mgr_cli, name)
    assert thing is getattr(home, RENAMED.get(name, name))
    assert thing.__module__ == home.__name__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'mgr_cli' has no attribute 'recognise'"):
        _ = mgr_cli.recognise


@pytest.mark.parametrize(
    "statement",
    ["import mgr_cli", "from mgr_cli import MgrError, Recipe", "import mgr_cli.models.registry"],
)
def test_nothing_heavy_is_imported_before_it_is_used(statement: str) -> None:
    program = f"import sys; {statement}; print([n for n in {HEAVY} if n in sys.modules])"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_help_loads_no_net_and_no_table() -> None:
    """What every start of the program imports, and what a newcomer waits for."""
    program = (
        "import sys; import mgr_cli.commands.app;"
        f"print([n for n in {HEAVY} if n in sys.modules and n not in ('typer', 'rich')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
