"""What the README says is what the program does: its commands, tables and figures."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from mgr_cli.config import FEATURES, Recipe
from mgr_cli.data.sources import SOURCES
from mgr_cli.features.handcrafted import NAMES
from mgr_cli.models import registry
from mgr_cli.plans import PRESETS
from mgr_cli.recipes import training_of
from mgr_cli.sweeps import spaces
from mgr_cli.sweeps.sweep import read as read_sweep
from mgr_cli.zoo.card import Assessment, load_card
from tests.commands.workspace import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines() -> list[str]:
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", README, flags=re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


COMMANDS = [line for line in shell_lines() if line.startswith("mgr ")]


def architecture_table() -> str:
    rows = []
    for row in registry.ARCHITECTURES.values():
        length = row.segments.length(FEATURES.frame_rate) if row.segments else 1
        shape = {
            "n_mels": FEATURES.n_mels, "n_frames": length, "fmin": 0, "fmax": 11_025,
            "n_samples": 2**19,
        }  # fmt: skip
        net = registry.build(row.name, shape | {"n_columns": len(NAMES)}, n_classes=10)
        n_parameters = sum(p.numel() for p in net.parameters())
        rows.append(f"| `{row.name}` | {row.summary} ({row.source}) | {n_parameters:,} |")
    return "\n".join(rows)


def classical_table() -> str:
    rows = registry.CLASSICAL.values()
    return "\n".join(f"| `{row.name}` | {row.summary} ({row.source}) |" for row in rows)


def zoo_table() -> str:
    def accuracy(figures: Assessment) -> str:
        e = figures.track["accuracy"]
        return f"{100 * e.value:.1f} ({100 * e.low:.1f}–{100 * e.high:.1f})"

    rows = [
        "| entry | trained on | parameters | accuracy, valid | accuracy, test | F1 macro, test |"
    ]
    rows.append("|---|---|---|---|---|---|")
    default = (ROOT / "zoo" / "default.txt").read_text().strip()
    for path in sorted((ROOT / "zoo").glob("*/card.json")):
        card = load_card(path.parent)
        f1 = card.figures["test"].track["f1_macro"].value
        rows.append(
            f"| `{card.name}`{' (default)' if card.name == default else ''} | {card.dataset.name} "
            f"| {card.n_parameters:,} | {accuracy(card.figures['valid'])} "
            f"| {accuracy(card.figures['test'])} | {100 * f1:.1f} |"
        )
    return "\n".join(rows)


def preset_table() -> str:
    return "\n".join(f"  | `{name}` | {row.summary} |" for name, row in PRESETS.items())


def test_ci_does_what_a_newcomer_is_told() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    set_up = README.split("## Set up")[1].split("```sh\n")[1].split("```")[0].splitlines()
    assert len(set_up) == 2
    assert all(re.search(rf"^{re.escape(line)}( \|\| exit 1)?$", script, re.M) for line in set_up)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_the_readme_exists(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    named = words[:2] if words[0] == "zoo" else words[:1]
    shown = run(*named, "--help", env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    options = {word.split("=")[0] for word in words if word.startswith("--")}
    assert all(option in shown.stdout for option in options)


def test_inline_commands_of_the_readme_exist() -> None:
    named = set(re.findall(r"`mgr ([a-z]+)", README))
    assert named
    for name in named:
        assert run(name, "--help").exit_code == 0


def test_architectures_are_those_of_the_registry() -> None:
    assert architecture_table() in README


def test_figures_are_those_of_the_cards() -> None:
    assert zoo_table() in README


def test_presets_are_those_of_the_program() -> None:
    assert preset_table() in README


def test_layouts_are_those_of_the_program() -> None:
    table = README.split("### What is recognised")[1].split("### ")[0]
    assert re.findall(r"^\| `([a-z]+)` \|", table, flags=re.M) == list(SOURCES)


def test_recipe_of_the_readme_can_be_followed_and_names_every_field(tmp_path: Path) -> None:
    shown = README.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "mine.yaml").write_text(shown)
    plan = training_of(None, file=tmp_path / "mine.yaml", default="cnn1d-gru")
    assert (plan.architecture, plan.recipe.optimizer) == ("cnn2d-gru", "sgd")
    section = README.split("## Train your own")[1].split("## ")[0]
    for field in fields(Recipe):
        assert field.name in section


def test_sweep_of_the_readme_can_be_followed(tmp_path: Path) -> None:
    shown = README.split("## Tune")[1].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "sweep.yaml").write_text(shown)
    sweep = read_sweep(tmp_path / "sweep.yaml")
    drawn = {variable.name for variable in spaces.resolve(sweep, "cnn1d-lstm")}
    assert drawn == {"epochs", "learning_rate", "hidden_dim", "dropout"}
    assert sweep.assumed == ()


def borrowed_table() -> str:
    rows = []
    for row in registry.BORROWED.values():
        cuts = ", ".join(f"`{cut}`" for cut in row.cuts)
        rows.append(f"| `{row.name}` | {row.summary} ({row.source}) | {cuts} |")
    return "\n".join(rows)


def test_borrowed_nets_are_those_of_the_registry() -> None:
    assert borrowed_table() in README


def test_classical_rivals_are_those_of_the_registry() -> None:
    assert classical_table() in README
