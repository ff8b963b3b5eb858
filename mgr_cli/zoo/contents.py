"""The files that an entry has: their names, and how large each may be."""

from collections.abc import Mapping

from mgr_cli.config import MAX_CARD_BYTES, MAX_WEIGHTS_BYTES
from mgr_cli.zoo import backbones, golden, weights
from mgr_cli.zoo.card import CARD, Card
from mgr_cli.zoo.graphs import GRAPH
from mgr_cli.zoo.sessions import MAX_GRAPH_BYTES

EXTRAS = ("history.csv", "curves.png")  # that training leaves beside a card, which names neither
HUB_ONLY = frozenset({"README.md", "config.json", "preprocessor_config.json", ".gitattributes"})
"""What a Hugging Face repository has more; it is made of the card, and passed over."""

LIMITS: Mapping[str, int] = {
    CARD: MAX_CARD_BYTES,
    weights.WEIGHTS: MAX_WEIGHTS_BYTES,
    weights.PIPELINE: MAX_WEIGHTS_BYTES,
    golden.FILE: 2**26,  # two segments of 2^22 values, and what a net makes of them
    GRAPH: MAX_GRAPH_BYTES,
    backbones.WEIGHTS: MAX_WEIGHTS_BYTES,
    backbones.SETTINGS: MAX_CARD_BYTES,
    **dict.fromkeys(EXTRAS, 2**24),
}
"""Bytes of each file that an entry may have, at the most."""


def files_of(card: Card) -> tuple[str, ...]:
    """Name the files of an entry: its card, and what that names."""
    named = [card.weights, card.golden, *(card.borrowed.files if card.borrowed else ())]
    if card.graph is not None:
        named.append(card.graph.file)
    return (CARD, *(each.file for each in named))
