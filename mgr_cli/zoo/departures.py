"""How an entry leaves a zoo: at once to everybody who looks, then from the disk."""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mgr_cli.errors import ZooError
from mgr_cli.zoo import entries


def removable(name: str, zoos: Sequence[Path]) -> Path:
    """Return the folder of an entry of one's own zoo, the first one, by its name or folder.

    Raises
    ------
    ZooError
        If there is none of that name, or it comes with the package.
    """
    own = entries.folders(zoos[:1])
    if name in own:
        return own[name]
    folder = entries.find(name, zoos)
    if folder.parent.resolve() == zoos[0].resolve():  # named by its path
        return folder
    where = "comes with the package" if folder.parent in zoos else "is in another folder"
    raise ZooError(f"{folder} {where}, not in your zoo {zoos[0]}; nothing is removed there")


def remove(folder: Path) -> bool:
    """Delete an entry; a run that is killed meanwhile leaves it whole, or a hidden rest of it.

    Parameters
    ----------
    folder : Path
        In a zoo.

    Returns
    -------
    bool
        Whether it was the one that the zoo's `default.txt` named, which is deleted then.
    """
    was_default = _is_default(folder)
    if was_default:  # first: a default that is not there would be an error for everybody
        (folder.parent / entries.DEFAULT).unlink()
    if folder.is_symlink():  # of one's own making: what it leads to is not ours
        folder.unlink()
        return was_default
    hidden = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        folder.rename(hidden / folder.name)
    finally:
        shutil.rmtree(hidden)
    return was_default


def _is_default(folder: Path) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        named = (folder.parent / entries.DEFAULT).read_text(encoding="utf-8").strip()
        return named == folder.name
    return False
