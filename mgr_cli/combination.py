"""From several entries to one that asks them all: see `models.committee`.

The members must hear the same, the same way: genres, front end and normalisation, and they must
come of the same split of the same dataset, so that none of them has seen what the others are tested
on. The committee hears what the member with the longest segments hears. How sure it is, and from
which confidence on it is believed, is fitted on the validation split anew.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mgr_cli.config import PRECISION, Progress, silent
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DatasetError, ZooError
from mgr_cli.features.normalisation import alike
from mgr_cli.models import registry
from mgr_cli.models.committee import AND, committee, described
from mgr_cli.publication import PACKAGES, shelve
from mgr_cli.training import Trained
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import MAX_TEXT, Card, load_card

ARCHITECTURE = "committee"
_SAME = ("classes", "eats", "features", "vote")
"""What the cards of members agree in."""


def combine(
    folders: Sequence[Path],
    dataset: PreparedDataset,
    zoo: Path,
    *,
    name: str,
    licence: str | None = None,
    precision: float = PRECISION,
    progress: Progress = silent,
) -> Path:
    """Save a committee of entries as an entry of its own, with its figures on validation.

    Parameters
    ----------
    folders : sequence of Path
        Of its members, two at least.
    dataset : PreparedDataset
        That they were trained on.
    zoo : Path
        Where the entry goes.
    name : str
        Of the entry.
    licence : str, optional
        Of the weights; that of the members, if they have the same, by default.
    precision : float
        Share of right answers among those that are to be believed.
    progress : callable
        Called after each validation track.

    Returns
    -------
    Path
        Folder of the entry.

    Raises
    ------
    ZooError
        If the name is taken, or a member is none that a committee can have.
    DatasetError
        If it is not the dataset of the members.
    """
    cards = [load_card(folder) for folder in folders]
    _check(cards)
    first = max(cards, key=_n_frames)  # what it hears is what the committee hears
    if dataset.split_digest != first.dataset.split_digest:
        raise DatasetError(
            f"{dataset.name}: not the split that {first.name} was trained on, which is that of "
            f"{first.dataset.name}; a committee is judged on the validation tracks of its members"
        )
    members = AND.join(_seat(card, _n_frames(first)) for card in cards)
    net = committee(**first.inputs.dimensions, n_classes=len(first.classes), members=members)
    for member, folder, card in zip(net.members, folders, cards, strict=True):
        member.get_submodule("net").load_state_dict(weights.load_net(folder, card).state_dict())
    licences = {card.licence for card in cards}
    card = first.model_copy(
        update={
            "name": name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "architecture": ARCHITECTURE,
            "hyperparameters": registry.hyperparameters(ARCHITECTURE, {"members": members}),
            "recipe": None,
            "best_epoch": 0,
            "n_epochs": 0,
            "training_seconds": round(sum(card.training_seconds for card in cards), 1),
            "teacher": None,
            "rounded": all(card.rounded for card in cards),
            "temperature": 1.0,
            "trust": None,
            "figures": {},
            "failures": {},
            "looks": {},
            "not_for": "",
            "provenance": _told(cards),
            "chosen": "its members were given; the run that combined them had no other candidate",
            "licence": licence or (licences.pop() if len(licences) == 1 else "not stated"),
            "versions": {package: version(package) for package in PACKAGES[Trained]},
        }
    )
    return shelve(card, net.eval(), dataset, zoo, precision=precision, progress=progress)


def _check(cards: Sequence[Card]) -> None:
    """Refuse entries that cannot sit side by side."""
    if len(cards) < 2:
        raise ZooError("a committee has two members at least; name more entries")
    first = cards[0]
    for card in cards:
        if card.architecture not in registry.ARCHITECTURES or card.eats != ("log-mel",):
            raise ZooError(
                f"{card.name} cannot sit on a committee, whose members are nets that eat log-mels"
            )
        if card.architecture == ARCHITECTURE:
            raise ZooError(f"{card.name} is a committee itself; name its members")
        for field in _SAME:
            if getattr(card, field) != getattr(first, field):
                raise ZooError(f"{first.name} and {card.name} differ in their {field}")
        if not alike(card.normalisation, first.normalisation):
            raise ZooError(f"{first.name} and {card.name} differ in their normalisation")
        if card.dataset.split_digest != first.dataset.split_digest:
            raise ZooError(
                f"{first.name} and {card.name} were trained on different splits, "
                f"{first.dataset.name} and {card.dataset.name}"
            )


def _n_frames(card: Card) -> int:
    return card.inputs.dimensions["n_frames"]


def _seat(card: Card, n_frames: int) -> str:
    """Write a member as the committee, which hears so many frames, reads it."""
    heard = _n_frames(card)
    at = heard if heard < n_frames else None
    return described(card.architecture, card.hyperparameters, n_frames=at)


def _told(cards: Sequence[Card]) -> str:
    """Say whom it consists of, and what they were trained from."""
    members = ", ".join(f"{card.name} (seed {card.seed}; {card.chosen})" for card in cards)
    return f"a committee of {members}; each {cards[0].provenance}"[:MAX_TEXT]
