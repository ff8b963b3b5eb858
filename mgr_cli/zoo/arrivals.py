"""How an entry that comes from elsewhere gets into a zoo: looked at first, and moved in whole.

Its card is read, and the names and sizes of its files are checked, before any of it is unpacked.
It is then unpacked beside the entries under a hidden name, its digests are checked, and it must
compute what it computed when it was saved; only then it gets its name. Nothing is ever unpickled.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mgr_cli.errors import ZooError
from mgr_cli.zoo import archives, entries
from mgr_cli.zoo.archives import Member
from mgr_cli.zoo.card import CARD, Card, load_card, save_card
from mgr_cli.zoo.contents import EXTRAS, LIMITS, files_of


def admit(source: Path, zoos: Sequence[Path], *, name: str | None = None) -> Path:
    """Take an entry from a folder or an archive into a zoo.

    Parameters
    ----------
    source : Path
        A folder of a zoo, a Hugging Face folder that `exports` wrote, or an archive of either.
    zoos : sequence of Path
        The first one gets it; no entry of any of them may have its name.
    name : str, optional
        What it shall be called; by default what its card says.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ZooError
        If anything in it is not as it must be, it does not compute what it says, or the name is
        taken. Then nothing of it is left.
    """
    with archives.opened(source) as members:
        card = _card(source, members)
        wanted = _wanted(source, members, card)
        called = card.name if name is None else name
        if called in entries.folders(zoos):
            raise ZooError(f"there is an entry {called!r} already; choose another --name")
        with entries.arriving(called, zoos[0]) as part:
            try:
                archives.unpack(wanted, part)
                if called != card.name:
                    save_card(part, card.model_copy(update={"name": called}))
                entries.verify(part)
            except ZooError as error:  # its place for now says nothing to anybody
                raise ZooError(str(error).replace(str(part), str(source))) from error
    return zoos[0] / called


def _card(source: Path, members: Mapping[str, Member]) -> Card:
    with TemporaryDirectory(prefix="mgr-") as folder:
        archives.unpack({CARD: members[CARD]}, Path(folder))
        try:
            return load_card(Path(folder))
        except ZooError as error:
            raise ZooError(str(error).replace(folder, str(source))) from error


def _wanted(source: Path, members: Mapping[str, Member], card: Card) -> dict[str, Member]:
    """Choose what the card names, and what it need not name."""
    named = files_of(card)
    for name in named:
        if name not in LIMITS or name in EXTRAS or named.count(name) > 1:
            raise ZooError(f"{source}: its card names {name[:80]!r}, which no entry has, or twice")
        if name not in members:
            raise ZooError(f"{source}: its card names {name}, which is not there")
    return {name: each for name, each in members.items() if name in (*named, *EXTRAS)}
