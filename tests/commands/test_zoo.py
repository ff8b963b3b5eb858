import shutil
from pathlib import Path

import pytest
from torch import nn

from mgr_cli.models.fitted import n_parameters
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo.card import load_card
from tests.commands.workspace import run

SHIPPED = sorted(path.parent for path in (Path(__file__).parents[2] / "zoo").glob("*/card.json"))


def test_list_shows_own_and_shipped_entries(inside: Path) -> None:
    shown = run("zoo", "list", env={"COLUMNS": "160"}).stdout
    assert "sounds" in shown
    assert all(folder.name in shown for folder in SHIPPED)


def test_verify_passes_what_is_sound_and_fails_what_is_not(inside: Path, tmp_path: Path) -> None:
    assert run("zoo", "verify", "sounds").exit_code == 0
    shutil.copytree("zoo/sounds", tmp_path / "sounds")
    with (tmp_path / "sounds" / "golden.safetensors").open("ab") as file:
        file.write(b"x")
    result = run("zoo", "verify", "sounds", "--zoo", tmp_path)
    assert result.exit_code == 1
    assert "digest" in result.stderr


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_entry_still_computes_what_it_computed(folder: Path) -> None:
    assert entries.verify(folder) <= entries.GOLDEN_TOLERANCE


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_card_has_figures_and_a_licence(folder: Path) -> None:
    card = load_card(folder)
    assert {"valid", "test"} <= set(card.figures)
    assert card.licence != "not stated"
    model = weights.load_model(folder, card)
    if isinstance(model, nn.Module):
        assert card.n_parameters == sum(p.numel() for p in model.parameters())
    else:
        assert card.n_parameters == n_parameters(model)


def test_zoo_stays_small() -> None:
    zoo = Path(__file__).parents[2] / "zoo"
    assert sum(file.stat().st_size for file in zoo.rglob("*") if file.is_file()) < 40e6
