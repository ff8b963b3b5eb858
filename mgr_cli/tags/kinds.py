"""Kinds of files that tags are written to.

The kinds are told by what is in a file, whatever its name:

==========  =================================  =========================================
file        tag                                genre
==========  =================================  =========================================
mp3         ID3v2.2, v2.3, v2.4; new ones 2.3  frame TCON (TCO), shown also ID3v1, APEv2
wav, aiff   the same in a chunk                the same, shown also INFO
flac        Vorbis comments                    GENRE
ogg         those of Vorbis, Opus, Speex, FLAC  GENRE
mp4, m4a    ilst                               ©gen, shown also gnre
==========  =================================  =========================================
"""

import hashlib
from typing import BinaryIO

from mgr_cli.tags import chunks, flac, id3, mp4, mpeg, ogg
from mgr_cli.tags.tag import Located, TagError

# Ours, and FFmpeg's names of them, of which it may open that one only.
_FORMATS = {"mp3": "mp3", "wav": "wav", "aiff": "aiff", "flac": "flac", "ogg": "ogg", "mp4": "mov"}


def located(file: BinaryIO) -> Located:
    """Find the tag of a file.

    Raises
    ------
    TagError
        If no tags can be written to a file of its kind, or it is damaged.
    """
    file.seek(0)
    head = file.read(12)
    if head[:3] == b"ID3":
        file.seek(0)
        id3.read(file)
        return flac.located(file) if file.read(4) == b"fLaC" else mpeg.located(file)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return chunks.located(file, "little")
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return chunks.located(file, "big")
    if head[:4] == b"fLaC":
        return flac.located(file)
    if head[:4] == b"OggS":
        return ogg.located(file)
    if head[4:8] == b"ftyp":
        return mp4.located(file)
    return mpeg.located(file)


def sound(file: BinaryIO, kind: str) -> str:
    """Return the SHA-256 of the packets of a file's audio, which are not decoded.

    Raises
    ------
    TagError
        If FFmpeg cannot take them out of the file.
    """
    import av

    confined = {"format_whitelist": _FORMATS[kind], "protocol_whitelist": ""}
    file.seek(0)
    digest = hashlib.sha256()
    try:
        with av.open(file, "r", container_options=confined, metadata_errors="replace") as opened:
            for packet in opened.demux(opened.streams.audio[0]):
                digest.update(bytes(packet))
    except (av.error.FFmpegError, IndexError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TagError(f"its audio cannot be compared ({reason})") from error
    return digest.hexdigest()
