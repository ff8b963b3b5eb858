"""What a card says in sentences: how its entry was chosen, what it is not for, how it fails.

A card is a *model card* [1]_: beside what the entry is, it has its intended use, and its
limitations. What no program knows, a person writes with `describe`; the rest is counted, and put
into words here, for the terminal and for the hub alike.

A *look* is what a test is worn out by: who judges candidates on the test split and keeps the best
chooses by it, and its figure is no longer that of tracks never seen. So a card counts how often
figures of a split were put on it that it did not have. `findings.recorded` does, for
`mgr eval --record`. The same figures once more are a reproduction and no look; figures from before
there was a count are one. What was judged without ``--record``, or of sister entries, stands on no
card: the count is the least that it can have been, and the rest is for a person to tell.

References
----------
.. [1] M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019: intended use (4.2),
   metrics (4.4), evaluation and training data (4.5, 4.6), caveats (4.9).
"""

from pathlib import Path

from mgr_cli import failures
from mgr_cli.errors import ZooError
from mgr_cli.zoo.card import MAX_TEXT, Card, load_card, save_card


def choice(card: Card) -> tuple[str, ...]:
    """Say how an entry was chosen among candidates, and how often test was looked at."""
    return (card.chosen or "nobody has said how it was chosen", _looks(card))


def _looks(card: Card) -> str:
    number = card.looks.get("test", 0)
    if not number and "test" in card.figures:
        return "the test split was looked at; nobody has counted how often"
    if not number:
        return "no look at the test split is recorded"
    times = {1: "once", 2: "twice"}.get(number, f"{number:,} times")
    return f"the test split was looked at {times} for this card, counting recorded looks alone"


def misuse(card: Card) -> tuple[str, ...]:
    """Say what an entry is not for: what a person has written, and what holds of all entries."""
    unsure = ", or is unsure" if card.trust is not None else ""
    return (
        card.not_for or "nobody has said what it is not for",
        f"it knows {len(card.classes)} genres and nothing else: of whatever it is given, be it "
        f"speech or noise, it names one of them{unsure}",
    )


def weaknesses(card: Card) -> tuple[str, tuple[str, ...]]:
    """Say how an entry fails on its test split, or where that is not recorded on another.

    Returns
    -------
    heading : str
        Which tracks it is said of.
    sentences : tuple of str
        As of `failures.sentences`; one that says how to get them where there are none.
    """
    for split in ("test", "valid", "train"):
        if found := card.failures.get(split):
            heading = f"how it fails, on the {found.n_tracks:,} tracks of its {split} split"
            return heading, failures.sentences(found)
    return "how it fails", ("not recorded; `mgr eval --record` does it",)


def describe(
    folder: Path,
    *,
    chosen: str | None = None,
    not_for: str | None = None,
    provenance: str | None = None,
    licence: str | None = None,
) -> None:
    """Write what a person says of an entry to its card; what is None stays as it is.

    Parameters
    ----------
    folder : Path
        Of the entry.
    chosen : str, optional
        How it was chosen among candidates; empty if nothing is to be said.
    not_for : str, optional
        What it is not for; empty if nothing is to be said.
    provenance : str, optional
        What it was trained from.
    licence : str, optional
        Of the weights.

    Raises
    ------
    ZooError
        If the entry has no readable card, or a text is too long for one, is not Unicode, or is
        empty where a card must have one. Nothing is written then.
    """
    texts = {"chosen": chosen, "not_for": not_for, "provenance": provenance, "licence": licence}
    card = load_card(folder)
    said = {key: _on_a_line(key, text) for key, text in texts.items() if text is not None}
    save_card(folder, card.model_copy(update=said))


def _on_a_line(key: str, text: str) -> str:
    """Return a text as a card takes it."""
    option, line = f"--{key.replace('_', '-')}", " ".join(text.split())
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise ZooError(f"{option} has bytes that are no UTF-8; type the text anew") from error
    if len(line) > MAX_TEXT:
        raise ZooError(f"{option} has {len(line):,} letters, a card takes {MAX_TEXT:,}; shorten it")
    if not line and Card.model_fields[key].is_required():
        raise ZooError(f"{option} is empty, and every card says it; give it some words")
    return line
