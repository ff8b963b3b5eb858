"""Two decoders with one shape: an open file becomes a header and blocks of samples.

libsndfile (through soundfile) is asked first: it reads MP3, WAV, FLAC, Ogg, AIFF and their
like, fast. FFmpeg's libraries (through PyAV) read what libsndfile cannot open (M4A, AAC,
WMA, …) and files whose length libsndfile could only guess, because it stops reading at its
guess: an MP3 without a length header, a streamed FLAC or WAV. A file that libsndfile opens
and finds damaged is damaged; nobody else is asked.

Files come from strangers. FFmpeg may open only the formats listed here and nothing by
name, because some of its formats (playlists, concat lists) are texts that name other
files. The length of a block is bounded whatever a header says.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

import av
import numpy as np
import soundfile

from mgr_cli.errors import AudioError

BLOCK_SECONDS = 10
BLOCK_VALUES = 2**20  # samples times channels in a block, at the most

_LIBSNDFILE = f"libsndfile {soundfile.__libsndfile_version__} (soundfile {soundfile.__version__})"
_LIBAVCODEC = ".".join(map(str, av.library_versions["libavcodec"]))
_FFMPEG = f"FFmpeg libavcodec {_LIBAVCODEC} (PyAV {av.__version__})"

_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's word for a length it does not know
_UNKNOWN_BYTES = 0x7FFF_F000  # from here on, sizes are what recorders to a pipe write
# What libsndfile's log says of the chunk of samples (W64 and RF64: of the whole file).
_CUT_CHUNK = re.compile(
    r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*: (\d{1,20}) \(should be (\d{1,20})\)", re.M
)
_CUT_OGG = "Last page lacks an end-of-stream bit"
# In an MP3's first frame: a VBRI header, or a Xing one whose flags say it counts the frames.
_MP3_LENGTH = re.compile(rb"VBRI|(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f]", re.S)

# FFmpeg's formats that do not announce their length (it guesses), and those that do. CAF is
# left to libsndfile: FFmpeg plays a cut one as if it were whole.
_UNHEADED = {"aac", "ac3", "amr", "dts", "eac3", "loas", "mp3"}
_HEADED = {"aiff", "ape", "asf", "au", "flac", "matroska", "mov"}
_HEADED |= {"mpc", "mpc8", "ogg", "tak", "tta", "w64", "wav", "wv"}
_CONFINED = {"format_whitelist": ",".join(_UNHEADED | _HEADED), "protocol_whitelist": ""}


@dataclass(frozen=True)
class AudioInfo:
    """What a file says of itself.

    Attributes
    ----------
    sample_rate : int
        Of the file, in Hz.
    channels : int
        Before they are averaged.
    codec : str
        Short: ``MP3``, ``OGG VORBIS``, ``aac``.
    seconds : float or None
        Announced length; None where the file does not announce one.
    decoder : str
        The library that reads it, with versions.
    """

    sample_rate: int
    channels: int
    codec: str
    seconds: float | None
    decoder: str


@dataclass(frozen=True)
class Source:
    """An open file and its samples, (n, channels) float32 a block, at its own rate."""

    info: AudioInfo
    blocks: Iterator[np.ndarray]


class DecoderError(Exception):
    """A decoder cannot open a file, or cannot read on; the text says which and why."""


def decode(name: str, file: IO[bytes], resources: ExitStack) -> Source:
    """Let the decoders try in turn; the first that can open the file reads it."""
    refusals = []
    for decoder in (_by_libsndfile, _by_ffmpeg):
        file.seek(0)
        try:
            return decoder(name, file, resources)
        except DecoderError as error:
            refusals.append(error)
    raise AudioError(
        f"{name}: not readable as audio ({'; '.join(map(str, refusals))}); if it should be "
        "MP3, WAV, FLAC, Ogg, M4A or the like, it is damaged: fetch it again"
    ) from refusals[-1]


def _by_libsndfile(name: str, file: IO[bytes], resources: ExitStack) -> Source:
    # libsndfile reads a descriptor by itself; on Windows its C runtime may not know ours.
    handle = file if sys.platform == "win32" else file.fileno()
    try:
        sound = resources.enter_context(soundfile.SoundFile(handle, closefd=False))
    except soundfile.LibsndfileError as error:
        raise DecoderError(_sound_reason(error)) from error
    if sound.frames in (0, _UNKNOWN_FRAMES) or (sound.format == "MP3" and not _has_length(file)):
        raise DecoderError("libsndfile: cannot tell its length")
    seconds = sound.frames / sound.samplerate
    log = sound.extra_info
    if _CUT_OGG in log:
        raise AudioError(f"{name}: truncated: its last Ogg page is missing; fetch the file again")
    for announced, found in _CUT_CHUNK.findall(log):
        if int(found) < int(announced) < _UNKNOWN_BYTES:
            seconds *= int(announced) / max(int(found), 1)
    info = AudioInfo(
        sample_rate=sound.samplerate,
        channels=sound.channels,
        codec="MP3" if sound.format == "MP3" else f"{sound.format} {sound.subtype}",
        seconds=seconds,
        decoder=_LIBSNDFILE,
    )
    return Source(info, _read_sound(sound, block_frames(info)))


def _read_sound(sound: soundfile.SoundFile, n_frames: int) -> Iterator[np.ndarray]:
    while True:
        try:
            block = sound.read(n_frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise DecoderError(_sound_reason(error)) from error
        if len(block) == 0:
            return
        yield block


def _sound_reason(error: soundfile.LibsndfileError) -> str:
    return f"libsndfile: {error.error_string.strip().rstrip('.')}"


def _has_length(mp3: IO[bytes]) -> bool:
    """Tell whether an MP3's first frame, behind its ID3v2 tag, counts the frames."""
    position = mp3.tell()  # libsndfile reads through the same descriptor
    mp3.seek(0)
    tag = mp3.read(10)
    if tag[:3] == b"ID3":
        size = sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
        mp3.seek(10 + size)
    else:
        mp3.seek(0)
    first = mp3.read(192)
    mp3.seek(position)
    return _MP3_LENGTH.search(first) is not None


class _AsItWas:
    """A file that ends where it ended when it was opened, though it may grow since."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._end = file.seek(0, os.SEEK_END)
        file.seek(0)

    def read(self, n_bytes: int) -> bytes:
        return self._file.read(max(0, min(n_bytes, self._end - self._file.tell())))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            return self._file.seek(self._end + offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _by_ffmpeg(name: str, file: IO[bytes], resources: ExitStack) -> Source:
    try:
        container = resources.enter_context(
            av.open(_AsItWas(file), "r", container_options=_CONFINED, metadata_errors="replace")
        )
        kinds = sorted({stream.type for stream in container.streams})
        if "audio" not in kinds:
            raise AudioError(
                f"{name}: holds no audio stream, only {' and '.join(kinds) or 'a header'}; "
                "name a file with sound"
            )
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise DecoderError("FFmpeg: has no decoder for it")
        frames = container.decode(stream)
        first = next(frames, None)  # only a decoded frame tells the true rate and channels
    except av.error.ArgumentError as error:  # what the list of formats leaves out
        raise DecoderError("FFmpeg: not an audio format") from error
    except (av.error.FFmpegError, OSError) as error:
        raise DecoderError(f"FFmpeg: {error.strerror}") from error
    if first is None:
        raise DecoderError("FFmpeg: holds no samples")
    info = AudioInfo(
        sample_rate=first.sample_rate,
        channels=first.layout.nb_channels,
        codec=stream.codec_context.codec.canonical_name,
        seconds=_announced(container, stream),
        decoder=_FFMPEG,
    )
    return Source(info, _read_frames(_frame_samples(first), frames, info))


def _announced(container: av.container.InputContainer, stream: av.AudioStream) -> float | None:
    """Return the length in a container's header, in seconds; None for FFmpeg's guesses."""
    if container.format.name in _UNHEADED:
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:  # else a picture may be longer
        return container.duration / 1_000_000
    return None


def _read_frames(
    first: np.ndarray, others: Iterator[av.AudioFrame], info: AudioInfo
) -> Iterator[np.ndarray]:
    """Gather a codec's small frames into blocks."""
    held, n_held, n_frames = [first], len(first), block_frames(info)
    failure: av.error.FFmpegError | OSError | None = None
    try:
        for frame in others:
            if (frame.sample_rate, frame.layout.nb_channels) != (info.sample_rate, info.channels):
                raise DecoderError("FFmpeg: its sample rate or channels change on the way")
            held.append(_frame_samples(frame))
            n_held += frame.samples
            if n_held >= n_frames:
                yield np.concatenate(held)
                held, n_held = [], 0
    except (av.error.FFmpegError, OSError) as error:
        failure = error
    if n_held:
        yield np.concatenate(held)
    if failure:
        raise DecoderError(f"FFmpeg: {failure.strerror}") from failure


def _frame_samples(frame: av.AudioFrame) -> np.ndarray:
    """Return a frame as (n, channels) float32; integers are scaled to [-1, 1)."""
    try:
        values = frame.to_ndarray()
    except ValueError as error:  # 64-bit integers; PyAV has no array for them
        raise DecoderError(f"FFmpeg: gives samples as {frame.format.name}, unread") from error
    values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinities are refused where all samples are checked
            return values.astype(np.float32, copy=False)
    full_scale = np.float32(2.0 ** (8 * values.dtype.itemsize - 1))
    samples = values.astype(np.float32)
    if values.dtype.kind == "u":
        samples -= full_scale
    samples /= full_scale
    return samples


def block_frames(info: AudioInfo) -> int:
    """Return how many samples of every channel a block holds, bounded for any header."""
    wanted = min(BLOCK_SECONDS * info.sample_rate, BLOCK_VALUES // max(info.channels, 1))
    return max(wanted, 1)
