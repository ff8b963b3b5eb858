import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from torch import nn

from mgr_cli import failures
from mgr_cli.commands import console
from mgr_cli.intervals import Estimate
from mgr_cli.models.fitted import n_parameters
from mgr_cli.trust import Trust
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo import golden as golden_sample
from mgr_cli.zoo.card import Assessment, load_card, save_card
from tests import tiny
from tests.commands.workspace import run

SHIPPED = sorted(path.parent for path in (Path(__file__).parents[2] / "zoo").glob("*/card.json"))


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of one's own with an entry that is measured, in an empty folder."""
    for name in ("MGR_ZOO", "MGR_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tiny.entry(tmp_path / "zoo")
    figures = Assessment(12, 48, "mean", {"accuracy": Estimate(0.5, 0.25, 0.85)}, {})
    save_card(folder, load_card(folder).model_copy(update={"figures": {"valid": figures}}))
    return tmp_path / "zoo"


def change(folder: Path, **updates: object) -> None:
    save_card(folder, load_card(folder).model_copy(update=updates))


# list


def test_list_shows_own_and_shipped_entries(zoo: Path) -> None:
    shown = run("zoo", "list").stdout
    assert all(folder.name in shown for folder in SHIPPED)
    (own,) = [line for line in shown.splitlines() if line.startswith("tiny")]
    size = f"{sum(path.stat().st_size for path in (zoo / 'tiny').iterdir()) / 1000:.0f} kB"
    assert re.split(r"  +", own) == [
        "tiny *", "50.0 ± 30", "–", "log-mel 0.5 s", "3", "another", "2,609", size,
    ]  # fmt: skip


def test_list_fits_on_a_terminal_of_120_and_of_80_columns(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {}
    for width in (120, 80):
        terminal = Console(force_terminal=True, width=width, soft_wrap=True, file=io.StringIO())
        monkeypatch.setattr(console, "out", terminal)
        assert run("zoo", "list").exit_code == 0
        assert isinstance(terminal.file, io.StringIO)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.file.getvalue())
        lines[width] = plain.splitlines()
        assert max(map(len, lines[width])) <= width
    assert len(lines[80]) == 2 * len(lines[120])
    words = [{word for line in each for word in line.split()} for each in lines.values()]
    assert words[0] == words[1]


def test_list_as_json_is_an_object_a_line(zoo: Path) -> None:
    done = run("zoo", "list", "--json")
    records = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert records.keys() == {"tiny"} | {folder.name for folder in SHIPPED}
    assert records["tiny"]["default"] is True
    assert records["tiny"]["accuracy"] == {"valid": {"value": 0.5, "low": 0.25, "high": 0.85}}
    assert records["tiny"]["n_parameters"] == 2609


def test_a_damaged_entry_costs_a_line(zoo: Path) -> None:
    (zoo / "broken").mkdir()
    (zoo / "broken" / "card.json").write_text("{")
    done = run("zoo", "list")
    assert done.exit_code == 1
    assert "tiny" in done.stdout
    assert [line for line in done.stderr.splitlines() if "error" in line] == [
        line for line in done.stderr.splitlines() if "broken" in line
    ]
    done = run("zoo", "list", "--json")
    assert done.exit_code == 1
    (bad,) = [each for each in map(json.loads, done.stdout.splitlines()) if each["status"] != "ok"]
    assert bad["name"] == "broken"


def test_a_default_that_is_not_there_is_told_and_hides_nothing(zoo: Path) -> None:
    (zoo / "default.txt").write_text("gone")
    done = run("zoo", "list")
    assert done.exit_code == 1
    assert "tiny" in done.stdout
    assert "mgr zoo default" in done.stderr


# show


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_show_tells_the_whole_card(folder: Path) -> None:
    done = run("zoo", "show", folder)
    card = load_card(folder)
    said = " ".join(done.stdout.split())
    named = [card.architecture, *card.classes, card.dataset.name, card.licence, card.provenance]
    digests = [card.weights.sha256, card.golden.sha256]
    accuracy = f"{100 * card.figures['test'].track['accuracy'].value:.1f} ("
    for text in (*named, *digests, accuracy, f"{card.n_parameters:,}", card.created):
        assert text in said
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_show_as_json_is_the_card(zoo: Path) -> None:
    shown = run("zoo", "show", "tiny", "--json").stdout
    assert shown == (zoo / "tiny" / "card.json").read_text()


def test_show_says_how_far_an_entry_can_be_trusted(zoo: Path) -> None:
    trust = Trust(wanted=0.8, threshold=0.432, precision=0.9, coverage=0.5, n_tracks=12)
    change(zoo / "tiny", trust=trust, graph=None, no_graph="too odd")
    said = " ".join(run("zoo", "show").stdout.split())
    assert "below 43.2 %: of 12 validation tracks 50 % are above, 90.0 % of them right" in said
    assert "none: too odd" in said


def test_show_says_how_it_was_chosen_how_it_fails_and_what_it_is_not_for(zoo: Path) -> None:
    missed = failures.count(np.array([[4, 0, 0], [1, 3, 0], [0, 3, 1]]), tiny.GENRES)
    change(
        zoo / "tiny", chosen="by lot", not_for="weddings", looks={"test": 2},
        failures={"valid": missed},
    )  # fmt: skip
    shown = run("zoo", "show", "tiny").stdout
    sections = {each.splitlines()[0]: each.splitlines()[1:] for each in shown.split("\n\n")}
    assert sections["what it is not for"][0] == "  -  weddings"
    assert sections["how it was chosen"][0] == "  -  by lot"
    assert "the test split was looked at twice" in shown
    assert sections["how it fails, on the 12 tracks of its valid split"] == [
        "  -  rock is recognised least (25 % of 4 tracks)",
        "  -  blues is recognised best (all of 4 tracks)",
        "  -  of 4 rock tracks 3 were taken for jazz",
    ]


def test_a_strangers_text_is_no_markup_and_no_command(zoo: Path) -> None:
    nasty = "[bold]x[/bold] \x1b[2J\x07\n\u202e y"
    missed = failures.count(np.diag([4, 4, 2]) + np.eye(3, k=-2, dtype=int) * 2, (nasty, "b", "c"))
    change(
        zoo / "tiny", licence=nasty, provenance=nasty, versions={nasty: nasty}, chosen=nasty,
        not_for=nasty, classes=(nasty, "b", "c"), failures={"valid": missed},
    )  # fmt: skip
    shown = run("zoo", "show", "tiny").stdout
    assert "[bold]x[/bold] [2J y" in shown
    assert "of 4 c tracks 2 were taken for [bold]x[/bold] [2J y" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


# describe


def test_describe_writes_what_a_person_says(zoo: Path) -> None:
    before = load_card(zoo / "tiny")
    done = run("zoo", "describe", "tiny", "--chosen", "by lot", "--not-for", "[bold]weddings")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr.endswith("chosen, not-for on its card\n")
    said = {"chosen": "by lot", "not_for": "[bold]weddings"}
    assert load_card(zoo / "tiny") == before.model_copy(update=said)
    assert run("zoo", "describe", zoo / "tiny", "--licence", "CC0-1.0").exit_code == 0
    assert run("zoo", "describe", "tiny", "--provenance", "noise").exit_code == 0
    said |= {"licence": "CC0-1.0", "provenance": "noise"}
    assert load_card(zoo / "tiny") == before.model_copy(update=said)


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["tiny"], "nothing to write; say --chosen"),
        (["tinny", "--chosen", "x"], "did you mean tiny"),
        (["-x", "--chosen", "x"], "No such option: -x"),
        (["--chosen", "x", "--", "-x"], "no entry '-x'"),
        ([SHIPPED[0].name, "--chosen", "x"], "is not in your zoo"),
        ([SHIPPED[0], "--chosen", "x"], "is not in your zoo"),
        (["tiny", "--not-for", "x" * 2_001], "--not-for has 2,001 letters"),
    ],
)
def test_what_cannot_be_described_costs_a_line(zoo: Path, args: list[object], match: str) -> None:
    before = [folder.joinpath("card.json").read_bytes() for folder in (zoo / "tiny", SHIPPED[0])]
    done = run("zoo", "describe", *args)
    assert done.exit_code == 2
    assert match in done.stderr
    assert len(done.stderr.splitlines()) == 1
    after = [folder.joinpath("card.json").read_bytes() for folder in (zoo / "tiny", SHIPPED[0])]
    assert after == before


# verify


def test_verify_passes_what_is_sound_and_fails_what_is_not(zoo: Path) -> None:
    entries.add_graph(zoo / "tiny")
    done = run("zoo", "verify", "tiny")
    assert done.exit_code == 0
    assert re.fullmatch(
        r"tiny: sound, golden sample within \d\.\de[-+]\d\d, ONNX within \d\.\de-\d\d\n",
        done.stdout,
    )
    change(zoo / "tiny", graph=None, no_graph="too odd")
    assert run("zoo", "verify", "tiny").stdout.endswith("no ONNX: too odd\n")
    with (zoo / "tiny" / "golden.safetensors").open("ab") as file:
        file.write(b"x")
    done = run("zoo", "verify", "tiny")
    assert done.exit_code == 1
    assert "digest" in done.stderr


# default


def test_default_is_said_and_chosen(zoo: Path) -> None:
    assert run("zoo", "default").stdout == "tiny\n"
    shipped = "short-chunk-resnet-gtzan"
    assert run("zoo", "default", shipped).exit_code == 0
    assert (zoo / "default.txt").read_text() == f"{shipped}\n"
    assert run("zoo", "default").stdout == f"{shipped}\n"
    assert entries.default_entry(entries.places(zoo)).name == shipped


def test_what_cannot_judge_a_song_is_no_default(zoo: Path) -> None:
    tiny.entry(zoo, "deaf")
    change(
        zoo / "deaf", eats=("table",), normalisation={"table": tiny.NORMALISATION}, segments=None,
        columns=tuple(f"column {number}" for number in range(16)),
    )  # fmt: skip
    assert "hears no sound" in run("zoo", "default", "deaf").stderr
    for wrong, match in (("tinny", "did you mean tiny"), (str(SHIPPED[0]), "in no zoo")):
        done = run("zoo", "default", wrong)
        assert done.exit_code == 2
        assert match in done.stderr
    assert not (zoo / "default.txt").exists()


# remove


def test_remove_deletes_entries_of_ones_own(zoo: Path) -> None:
    tiny.entry(zoo, "other")
    assert run("zoo", "default", "other").exit_code == 0
    done = run("zoo", "remove", "tiny", "zoo/other", "tiny", "--yes")
    assert done.exit_code == 0
    assert "default" in done.stderr
    assert list(zoo.iterdir()) == []


def test_nothing_is_removed_unasked_or_elsewhere_or_if_one_name_is_wrong(zoo: Path) -> None:
    tiny.entry(zoo.parent / "theirs")
    before = sorted(zoo.parent.rglob("*"))
    for args, match in (
        (["tiny"], "--yes"),
        (["tiny", SHIPPED[0].name, "--yes"], "comes with the package"),
        (["tiny", "tinny", "--yes"], "did you mean"),
        ([SHIPPED[0], "--yes"], "comes with the package"),
        (["theirs/tiny", "--yes"], "another folder"),
    ):
        done = run("zoo", "remove", *args)
        assert done.exit_code == 2
        assert match in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert sorted(zoo.parent.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 130)])
def test_remove_asks_on_a_terminal(zoo: Path, answer: bytes, code: int) -> None:
    import pty

    terminal, end = pty.openpty()
    os.write(terminal, answer)
    done = subprocess.run(
        [sys.executable, "-m", "mgr_cli", "zoo", "remove", "tiny"], stdin=end, capture_output=True,
        check=False,
    )  # fmt: skip
    os.close(end)
    os.close(terminal)
    assert done.returncode == code
    assert b"for good?" in done.stderr
    assert (zoo / "tiny").exists() == bool(code)


@pytest.mark.skipif(os.name == "nt", reason="Windows makes no links unasked")
def test_a_linked_entry_is_removed_and_what_it_leads_to_stays(zoo: Path) -> None:
    (zoo / "tiny").rename(zoo.parent / "elsewhere")
    (zoo / "tiny").symlink_to(zoo.parent / "elsewhere")
    assert run("zoo", "remove", "tiny", "--yes").exit_code == 0
    assert not (zoo / "tiny").is_symlink()
    assert (zoo.parent / "elsewhere" / "card.json").exists()


# What is shipped.


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_entry_still_computes_what_it_computed(folder: Path) -> None:
    assert entries.verify(folder).difference <= golden_sample.TOLERANCE


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
