"""Every way a file becomes samples.

A track is mono float32 at the rate that is asked for, and comes in blocks of some ten
seconds, so that memory does not grow with its length::

    file → decoders.decode → (n, channels) blocks → mono → checked → resampled → AudioStream

Channels are averaged. soxr resamples at its quality HQ, and is left out where the file
already has the wanted rate; its blocks are bit for bit what it gives for the whole track.

What cannot be known before the end (truncated, silent, too short) is raised at the end, in
place of a last block. A track has so many seconds, channels and samples at the most and its
file so many bytes, see `config`; that bounds the time it takes, whatever is in it and even if it
grows while it is read.
"""

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import soxr

from mgr_cli.config import (
    MAX_AUDIO_BYTES,
    MAX_AUDIO_VALUES,
    MAX_CHANNELS,
    MAX_SECONDS,
    MIN_SECONDS,
    SAMPLE_RATES,
)
from mgr_cli.decoders import AudioInfo, DecoderError, Source, decode
from mgr_cli.errors import AudioError

__all__ = [
    "SUFFIXES", "AudioInfo", "AudioStream", "Resampler", "load", "open_stream", "shown",
]  # fmt: skip

_COMPRESSED = {".aac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".wma"}
_LOSSLESS = {".aif", ".aifc", ".aiff", ".ape", ".au", ".caf", ".flac", ".w64", ".wav", ".wv"}
SUFFIXES = frozenset(_COMPRESSED | _LOSSLESS)
"""Suffixes of the files that are taken for audio in a folder; any file may be named alone."""

SILENCE_DB = -100.0  # re full scale; half a bit of a 16-bit file is -96 dB
LOUDEST = 2.0**31  # full scale of 32-bit integers; floats beyond it are no audio
SLACK_SECONDS = 0.2  # encoders' delay and padding may be missing from what is announced


class AudioStream:
    """Blocks of a track, to be iterated over once inside a ``with``.

    Every block is an ``np.ndarray [shape=(n,)]``, float32, mono, n at least 1.

    Attributes
    ----------
    info : AudioInfo
        What the file says of itself.
    n_samples : int
        Samples given so far, at the wanted rate; the track's length once it is exhausted.
    """

    def __init__(
        self, info: AudioInfo, blocks: Iterator[np.ndarray], sample_rate: int, resources: ExitStack
    ) -> None:
        self.info = info
        self.n_samples = 0
        self._blocks = blocks
        self._sample_rate = sample_rate
        self._resources = resources

    @property
    def seconds(self) -> float:
        """Seconds given so far; the track's length once it is exhausted."""
        return self.n_samples / self._sample_rate

    def close(self) -> None:
        """Close the file; what was not read yet is not given any more."""
        self._resources.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> np.ndarray:
        block = next(self._blocks)
        self.n_samples += len(block)
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Resampler:
    """Bring a track that arrives in blocks from one rate to another, both in Hz."""

    def __init__(self, old: int, new: int) -> None:
        self._stream = (
            soxr.ResampleStream(old, new, 1, dtype="float32", quality="HQ") if old != new else None
        )

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next samples and return those that they complete; there may be none."""
        if self._stream is None:
            return block
        resampled: np.ndarray = self._stream.resample_chunk(block)
        return resampled

    def finish(self) -> np.ndarray:
        """End the track and return its last samples; there may be none."""
        empty = np.empty(0, np.float32)
        if self._stream is None:
            return empty
        rest: np.ndarray = self._stream.resample_chunk(empty, last=True)
        return rest


def open_stream(path: Path, *, sample_rate: int | None) -> AudioStream:
    """Open an audio file to be read in blocks.

    Parameters
    ----------
    path : Path
        The file.
    sample_rate : int or None
        Of the blocks, in Hz; None is the file's own.

    Returns
    -------
    AudioStream
        Close it, or use it in a ``with``. Iterating raises `AudioError` too.

    Raises
    ------
    AudioError
        If the file is missing, a folder, unreadable, empty, too large or not audio, holds no
        audio stream, or announces a length, rate or number of channels beyond belief. While
        iterating: if it is damaged, truncated, silent, too short, too long, or its
        samples are not finite.
    ValueError
        If no audio is resampled to that rate.
    """
    if sample_rate is not None and not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]:
        raise ValueError(f"sample_rate is {sample_rate} Hz, outside {SAMPLE_RATES}")
    name = shown(path)
    with ExitStack() as opening:
        source = decode(name, opening.enter_context(_open_file(path, name)), opening)
        _believe(name, source.info)
        blocks = _check(name, source)
        rate = sample_rate or source.info.sample_rate
        if source.info.sample_rate != rate:
            blocks = _resample(blocks, source.info.sample_rate, rate)
        opening.callback(blocks.close)
        resources = opening.pop_all()
    return AudioStream(source.info, blocks, rate, resources)


def load(path: Path, *, sample_rate: int) -> np.ndarray:
    """Read a whole track.

    Parameters
    ----------
    path : Path
        The file.
    sample_rate : int
        Of the result, in Hz.

    Returns
    -------
    np.ndarray [shape=(n_samples,)]
        float32, mono; the blocks of `open_stream` one after the other.

    Raises
    ------
    AudioError, ValueError
        As `open_stream` and its iteration do.
    """
    with open_stream(path, sample_rate=sample_rate) as stream:
        return np.concatenate(list(stream))


def shown(path: Path) -> str:
    r"""Return a path as one printable line: ``\n``, ``\x1b``, undecodable bytes are escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(path))


def _open_file(path: Path, name: str) -> IO[bytes]:
    try:
        _expect_file(path.stat(), name)  # opening a device can do things to it
        file = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115
    except FileNotFoundError as error:
        raise AudioError(f"{name}: no such file; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        why = getattr(error, "strerror", None) or error
        raise AudioError(f"{name}: cannot be opened ({why}); check its permissions") from error
    with ExitStack() as opening:
        opening.enter_context(file)
        _expect_file(os.fstat(file.fileno()), name)  # another may have taken its place since
        opening.pop_all()
    return file


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _expect_file(state: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise AudioError(f"{name}: a folder where an audio file was expected; name a file")
    if not stat.S_ISREG(state.st_mode):  # reading a pipe could wait for ever
        raise AudioError(f"{name}: a pipe or device, not a file; save the audio to a file")
    if state.st_size == 0:
        raise AudioError(f"{name}: empty (0 bytes); fetch the file again")
    if state.st_size > MAX_AUDIO_BYTES:
        raise AudioError(
            f"{name}: {state.st_size / 1e9:.0f} GB large, expected {MAX_AUDIO_BYTES / 1e9:.0f} GB "
            "at the most; cut it into tracks"
        )


def _believe(name: str, info: AudioInfo) -> None:
    """Refuse a header that asks for more than any recording has."""
    if not 1 <= info.channels <= MAX_CHANNELS:
        raise AudioError(
            f"{name}: announces {info.channels} channels, expected 1 to {MAX_CHANNELS}; "
            "it is damaged or no music"
        )
    if not SAMPLE_RATES[0] <= info.sample_rate <= SAMPLE_RATES[1]:
        raise AudioError(
            f"{name}: announces a sample rate of {info.sample_rate} Hz, expected "
            f"{SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}; it is damaged or no music"
        )
    if info.seconds is not None:
        _allow(name, info, info.seconds)


def _allow(name: str, info: AudioInfo, seconds: float) -> None:
    """Refuse a track that is longer, or has more samples, than is read of any."""
    if not seconds <= MAX_SECONDS:  # NaN is not
        raise AudioError(
            f"{name}: {seconds / 3600:.1f} h long, expected {MAX_SECONDS / 3600:.0f} h at the "
            "most; cut it into tracks"
        )
    n_values = seconds * info.sample_rate * info.channels
    if n_values > MAX_AUDIO_VALUES:
        raise AudioError(
            f"{name}: too large: {seconds / 3600:.1f} h of {info.channels} channels at "
            f"{info.sample_rate} Hz are {n_values:.1e} samples, expected {MAX_AUDIO_VALUES:.1e} "
            "at the most; cut it into tracks"
        )


def _check(name: str, source: Source) -> Generator[np.ndarray, None, None]:
    """Mix to mono and pass on, at the file's own rate, what is whole and can be heard."""
    info, seconds, peak = source.info, 0.0, 0.0
    of = "" if info.seconds is None else f" of {info.seconds:.1f} s"
    n_samples = 0
    try:
        for block in source.blocks:
            mono = _mix(block)
            n_samples += len(mono)
            seconds = n_samples / info.sample_rate
            loudest = float(max(mono.max(), -mono.min()))
            if not loudest <= LOUDEST:  # NaN is not
                raise AudioError(
                    f"{name}: holds samples that are not finite, or beyond 2**31, before "
                    f"{seconds:.1f} s; export it again from its source"
                )
            _allow(name, info, seconds)
            peak = max(peak, loudest)
            yield mono
    except DecoderError as error:
        raise AudioError(
            f"{name}: damaged: decoding failed after {seconds:.1f} s{of} ({error}); "
            "fetch the file again"
        ) from error
    if info.seconds is not None and info.seconds - seconds > SLACK_SECONDS:
        raise AudioError(f"{name}: truncated: {seconds:.1f} s{of} announced; fetch the file again")
    _hear(name, seconds, peak)


def _hear(name: str, seconds: float, peak: float) -> None:
    if seconds < MIN_SECONDS:
        raise AudioError(
            f"{name}: {seconds:.3f} s long, expected {MIN_SECONDS} s at least; name a longer track"
        )
    if peak < 10 ** (SILENCE_DB / 20):
        raise AudioError(
            f"{name}: silent: its channels' average never reaches {SILENCE_DB:.0f} dB of full "
            "scale; name a track with sound"
        )


def _mix(block: np.ndarray) -> np.ndarray:
    """Average the channels of (n, channels)."""
    n_channels = block.shape[1]
    if n_channels == 1:
        return block[:, 0]
    mono = block[:, 0].copy()
    with np.errstate(invalid="ignore", over="ignore"):  # checked where the sum is whole
        for channel in range(1, n_channels):  # several times faster than block.mean(axis=1)
            mono += block[:, channel]
    mono /= np.float32(n_channels)
    return mono


def _resample(
    blocks: Iterator[np.ndarray], old: int, new: int
) -> Generator[np.ndarray, None, None]:
    resampler = Resampler(old, new)
    for block in blocks:
        resampled = resampler.push(block)
        if len(resampled):
            yield resampled
    rest = resampler.finish()
    if len(rest):
        yield rest
