"""Label tracks for Audacity: a text file a song, a line a stretch, to be imported beside its sound.

A line is start, stop (seconds) and label between tabs, as Audacity itself exports them.

References
----------
https://manual.audacityteam.org/man/importing_and_exporting_labels.html
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console
from mgr_cli.files import replacing

if TYPE_CHECKING:
    from mgr_cli.records import Record

LONGEST = 200  # bytes of a name, so that one for the time of writing is not too long either


class Labels:
    """Writes the labels of songs into a folder; nothing that is there is changed.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    paths : sequence of Path
        Songs in order. Each has a file of its name; where two have the same, the second gets "-2"
        behind it, whatever becomes of the first.
    called : callable
        The user's name of a genre.
    """

    def __init__(
        self, folder: Path, paths: Sequence[Path], *, called: Callable[[str], str] = str
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            console.fail(f"{folder}: no folder; name another one for --labels")
        self._failed = False
        self._targets = [folder / name for name in _names(paths)]
        self._called = called

    def __call__(self, place: int, record: "Record") -> None:
        """Write the labels of a song; say so where other ones are there."""
        if record.status == "error":
            return
        target, text = self._targets[place], written(record, self._called).encode()
        try:
            if not os.path.lexists(target):
                with replacing(target, durable=False) as part:
                    part.write_bytes(text)
            elif not target.is_file() or target.read_bytes() != text:
                self._failed = True
                console.error(f"{target}: something else is there; move it, or name another folder")
        except OSError as error:  # of this name alone, it may be
            self._failed = True
            console.error(f"{target}: cannot be written ({error.strerror or error})")

    def finish(self) -> bool:
        """Tell whether a song's file was there with other labels."""
        return self._failed


def written(record: "Record", called: Callable[[str], str] = str) -> str:
    """Write the stretches of a song as Audacity reads them."""
    from mgr_cli import records

    lines = []
    for each in records.merged(record.segments):
        name = called(each.genre) if each.content == "music" else each.content
        lines.append(f"{each.start:.6f}\t{each.stop:.6f}\t{console.plain(name)}\n")
    return "".join(lines)


def _names(paths: Sequence[Path]) -> list[str]:
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # the last one of a name, so that 50,000 of it are no burden
    names = []
    for path in paths:
        stem = os.fsdecode(os.fsencode(path.stem)[:LONGEST])
        name, number = stem, numbers.get(stem.lower(), 1)
        while name.lower() in taken:  # some disks do not tell case apart
            number += 1
            name = f"{stem}-{number}"
        numbers[stem.lower()] = number
        taken.add(name.lower())
        names.append(f"{name}.txt")
    return names
