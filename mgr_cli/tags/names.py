"""Names of genres: what an entry's classes are called in tags.

An entry says "hiphop"; a player expects "Hip-Hop". Without a file the name is that of the list of
ID3v1, where one is the same but for case, punctuation and how "and" is written; else the class
itself, with capitals where it has none. A file of the user's, in YAML, goes before that::

    hiphop: Hip-Hop/Rap
    rock: [Rock, Alternative]

Read backwards, the same names tell which class a tag means, so that songs whose tag says another
one than the entry can be found. What is compared there is letters and digits: "hip hop", "HipHop"
and "Hip-Hop" are one, "R&B" is "rnb". A tag of several values, or one that is a list ("Rock; Pop"),
means the classes of all of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from mutagen.id3 import TCON

from mgr_cli.files import read_yaml
from mgr_cli.tags.genres import MAX_GENRE, is_genre
from mgr_cli.tags.tag import TagError

_LIST = re.compile(r"[/;,|]")


@dataclass(frozen=True)
class Names:
    """What classes are called.

    Attributes
    ----------
    of : dict of tuple of str
        For each class, what is written for it.
    """

    of: Mapping[str, tuple[str, ...]]

    def meant(self, genres: Sequence[str]) -> frozenset[str]:
        """Return the classes that the genres of a tag mean; none where they mean no class."""
        parts = [part for genre in genres for part in _LIST.split(genre)]
        said = {_key(text) for text in (*genres, *parts, "/".join(genres))} - {""}
        return frozenset(
            name
            for name, texts in self.of.items()
            if said & {_key(text) for text in (name, *texts, "/".join(texts))}
        )

    def check(self) -> None:
        """See whether all of them can be written.

        Raises
        ------
        TagError
            If players would misread one, as they do a number.
        """
        for name, texts in self.of.items():
            if not all(map(is_genre, texts)) or sum(map(len, texts)) > MAX_GENRE:
                said = ascii("/".join(texts))[:100]
                raise TagError(
                    f"the genre {ascii(name)[:100]} cannot be called {said} in a tag: players "
                    "would misread; give it another name in a file, and that to --genre-names"
                )


def default(classes: Sequence[str]) -> Names:
    """Name classes as the list of ID3v1 does, or as they are."""
    known = {_key(genre): genre for genre in reversed(TCON.GENRES)}
    return Names({name: (known.get(_key(name)) or _capitals(name),) for name in classes})


def read(path: Path, classes: Sequence[str]) -> Names:
    """Read the names of classes; those that a file does not name keep the default.

    Parameters
    ----------
    path : Path
        YAML, from a class to a name or a list of them; of a megabyte at the most.
    classes : sequence of str
        Of the entry.

    Raises
    ------
    TagError
        If it cannot be read, or names a class that is not there.
    """
    try:
        found = read_yaml(path)
    except ValueError as error:
        raise TagError(str(error)) from error
    if not isinstance(found, dict) or not found:
        raise TagError(f"{path}: expected lines such as `hiphop: Hip-Hop/Rap`")
    of = dict(default(classes).of)
    for name, value in found.items():
        if name not in classes:
            raise TagError(f"{path}: the entry has no genre {name!r}, it has {', '.join(classes)}")
        texts = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(text, str) and is_genre(text) for text in texts):
            raise TagError(
                f"{path}: {name!r} is called {value!r}, expected a name or a list of names; one "
                "that YAML takes for something else stands in quotes"
            )
        of[name] = tuple(texts)
    return Names(of)


def _key(text: str) -> str:
    """Return what is compared of a text."""
    words = re.findall(r"[^\W_]+", normalize("NFKD", text.casefold()).replace("&", " n "))
    return "".join("n" if word == "and" else word for word in words)


def _capitals(name: str) -> str:
    """Write a name with capitals, unless it has some."""
    if name != name.lower():
        return name
    spaced = name.replace("_", " ")
    return re.sub(r"[^\W\d_]+", lambda word: word[0].capitalize(), spaced)
