"""The README of a Hugging Face folder; that all of it comes back is told in `test_exports`."""

import numpy as np

from mgr_cli import failures
from mgr_cli.zoo import hub
from mgr_cli.zoo.card import Assessment, Card
from tests import tiny

NASTY = "<script>|`\x1b[31m *x*\n# y"


def described(**changes: object) -> Card:
    figures = {"test": Assessment(12, 48, "mean", {}, {})}
    missed = failures.count(np.array([[4, 0, 0], [1, 3, 0], [0, 3, 1]]), tiny.GENRES)
    changes = {"chosen": "by lot", "not_for": "weddings", "looks": {"test": 2}} | changes
    return tiny.card().model_copy(
        update={"figures": figures, "failures": {"test": missed}, **changes}
    )


def text(card: Card) -> str:
    """Return the README below its head."""
    return hub.files(card)["README.md"].removeprefix("---\n").split("\n---\n", 1)[1]


def section(card: Card, title: str) -> list[str]:
    """Return the points of a list of a section."""
    body = text(card).split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [line for line in body.splitlines() if line.startswith("- ")]


def test_sections_are_those_of_a_model_card() -> None:
    titles = [line for line in text(described()).splitlines() if line.startswith("## ")]
    assert titles == [
        "## Intended use", "## Training", "## Figures", "## Limitations", "## Licence",
    ]  # fmt: skip


def test_it_says_what_the_entry_is_not_for_how_it_was_chosen_and_how_it_fails() -> None:
    card = described()
    assert section(card, "Intended use")[0] == "- Weddings."
    assert section(card, "Training") == [
        "- By lot.",
        "- The test split was looked at twice for this card, counting recorded looks alone.",
    ]
    assert section(card, "Limitations") == [
        "- Rock is recognised least (25 % of 4 tracks).",
        "- Blues is recognised best (all of 4 tracks).",
        "- Of 4 rock tracks 3 were taken for jazz.",
    ]
    assert "How it fails, on the 12 tracks of its test split:" in text(card)


def test_a_strangers_words_stay_on_their_line_and_are_no_markup() -> None:
    card = described(
        chosen=NASTY, not_for=NASTY, classes=(NASTY, "b", "c"),
        failures={"test": failures.count(np.full((3, 3), 2), (NASTY, "b", "c"))},
    )  # fmt: skip
    said = text(card)
    assert "<script>" not in said
    assert "\x1b" not in said
    assert not [line for line in said.splitlines() if line.startswith("# y")]
    for title in ("Intended use", "Training", "Limitations"):
        assert any(r"&lt;script&gt;" in point for point in section(card, title))
