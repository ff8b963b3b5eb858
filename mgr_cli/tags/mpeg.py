"""MP3 files: an ID3v2 tag before the audio, and perhaps APEv2 and ID3v1 behind it.

What stands behind the audio is left as it is. Where it is all that there is, a player shows it;
where there is ID3v2 too, most players show that, and only that. So a new ID3v2 tag beside an ID3v1
takes over what that says, else the title would be gone from many a display. (foobar2000 prefers
APEv2, and goes on showing its genre.)
"""

from io import BytesIO
from typing import BinaryIO

from mutagen import MutagenError
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, ParseID3v1
from mutagen.mp3 import MPEGInfo

from mgr_cli.tags import id3
from mgr_cli.tags.tag import Located, TagError, length, spliced

_V1 = 128  # bytes


def located(file: BinaryIO) -> Located:
    """Find the tag of an MP3.

    Raises
    ------
    TagError
        If the file is none.
    """
    file.seek(0)
    data = id3.read(file)
    try:
        MPEGInfo(file, len(data or b""))
    except MutagenError as error:
        raise TagError("no tags can be written to a file of this kind") from error

    old = data or b""
    held = id3.parsed(old) if data else id3.Frames(items=_taken_over(file))
    return Located(
        kind="mp3",
        held=held if data else held.holding([i for i in held.items if not held.is_genre(i)]),
        exists=data is not None,
        copy=lambda target, new: spliced(file, target, [(0, len(old), new or b"")]),
        elsewhere=() if data and held.texts() else _behind(file),
    )


def _behind(file: BinaryIO) -> tuple[str, ...]:
    """Return the genres that stand behind the audio."""
    try:
        file.seek(0)
        ape = APEv2(file)
        texts = tuple(str(text) for text in ape.get("genre", ()) if str(text).strip())
    except MutagenError:
        texts = ()
    return texts or id3.Frames(items=_taken_over(file)).texts()


def _taken_over(file: BinaryIO) -> tuple[bytes, ...]:
    """Return what an ID3v1 says, as frames of ID3v2.3."""
    file.seek(max(0, length(file) - _V1))
    said = ParseID3v1(file.read(), v2_version=3)
    if not said:
        return ()
    tag = ID3()
    for frame in said.values():
        tag.add(frame)
    made = BytesIO()
    tag.save(made, v2_version=3, padding=lambda _: 0)
    return id3.parsed(made.getvalue()).items
