"""What a card says in sentences, and what a person writes on it."""

from pathlib import Path

import numpy as np
import pytest

from mgr_cli import failures
from mgr_cli.errors import ZooError
from mgr_cli.trust import Trust
from mgr_cli.zoo import descriptions
from mgr_cli.zoo.card import CARD, MAX_TEXT, Assessment, load_card, save_card
from tests import tiny

FIGURES = Assessment(12, 48, "mean", {}, {})
FAILURES = failures.count(np.array([[3, 0, 1], [0, 4, 0], [2, 0, 2]]), tiny.GENRES)
TRUST = Trust(wanted=0.8, threshold=0.4, precision=0.9, coverage=0.5, n_tracks=12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_card(tmp_path, tiny.card())
    return tmp_path


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, "no look at the test split is recorded"),
        ({"looks": {"valid": 3}}, "no look at the test split is recorded"),
        ({"figures": {"test": FIGURES}}, "nobody has counted how often"),
        ({"looks": {"test": 1}}, "looked at once for this card, counting recorded looks alone"),
        ({"looks": {"test": 2}}, "looked at twice for"),
        ({"looks": {"test": 13, "valid": 1}}, "looked at 13 times for"),
    ],
)
def test_it_is_said_how_often_test_was_looked_at(known: dict[str, object], expected: str) -> None:
    chosen, looks = descriptions.choice(
        tiny.card().model_copy(update={"chosen": "by lot", **known})
    )
    assert chosen == "by lot"
    assert expected in looks


def test_what_nobody_has_said_is_said_to_be_so() -> None:
    assert descriptions.choice(tiny.card())[0] == "nobody has said how it was chosen"
    assert descriptions.misuse(tiny.card())[0] == "nobody has said what it is not for"


def test_an_entry_is_not_for_what_it_does_not_know() -> None:
    card = tiny.card().model_copy(update={"not_for": "weddings"})
    said, always = descriptions.misuse(card)
    assert said == "weddings"
    assert always.startswith("it knows 3 genres and nothing else")
    assert always.endswith("it names one of them")
    unsure = descriptions.misuse(card.model_copy(update={"trust": TRUST}))[1]
    assert unsure == f"{always}, or is unsure"


def test_failures_on_test_are_told_before_those_on_valid() -> None:
    card = tiny.card().model_copy(update={"failures": {"valid": FAILURES}})
    heading, said = descriptions.weaknesses(card)
    assert heading == "how it fails, on the 12 tracks of its valid split"
    assert said == failures.sentences(FAILURES)
    tested = failures.count(np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]]), tiny.GENRES)
    both = card.model_copy(update={"failures": {"valid": FAILURES, "test": tested}})
    assert descriptions.weaknesses(both) == (
        "how it fails, on the 3 tracks of its test split", failures.sentences(tested),
    )  # fmt: skip
    heading, (hint,) = descriptions.weaknesses(tiny.card())
    assert heading == "how it fails"
    assert "mgr eval --record" in hint


def test_what_is_described_is_on_the_card_and_all_else_stays(folder: Path) -> None:
    descriptions.describe(folder, chosen=" by\n lot ", not_for="演歌")
    expected = tiny.card().model_copy(update={"chosen": "by lot", "not_for": "演歌"})
    assert load_card(folder) == expected
    descriptions.describe(folder, chosen="", licence="CC0-1.0", provenance="x" * MAX_TEXT)
    changes = {"chosen": "", "licence": "CC0-1.0", "provenance": "x" * MAX_TEXT}
    assert load_card(folder) == expected.model_copy(update=changes)


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        ({"not_for": "x" * (MAX_TEXT + 1)}, "--not-for has 2,001 letters, a card takes 2,000"),
        ({"licence": " "}, "--licence is empty"),
        ({"provenance": ""}, "--provenance is empty"),
        ({"chosen": "\udcff"}, "--chosen has bytes that are no UTF-8"),
    ],
)
def test_what_no_card_takes_is_refused_and_nothing_is_written(
    folder: Path, texts: dict[str, str], match: str
) -> None:
    before = (folder / CARD).read_bytes()
    with pytest.raises(ZooError, match=match):
        descriptions.describe(folder, **({"not_for": "weddings"} | texts))
    assert (folder / CARD).read_bytes() == before
    assert [path.name for path in folder.iterdir()] == [CARD]
