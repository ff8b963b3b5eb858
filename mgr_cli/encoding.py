"""From samples to a file: what other people's programs would have made of a recording.

libsndfile (through soundfile) writes WAV and Ogg Vorbis, which it has from libvorbis; FFmpeg's
libraries (through PyAV) write MP3, by LAME, and AAC in an M4A file, by FFmpeg's own encoder. Lossy
encoders work on blocks, so that they put some tens of milliseconds before a recording and fill up
its last block. They note that in the file, and players cut it off where they can read the note.

Which encoders FFmpeg has is for whoever built it to choose. One that is missing is an error that
says so.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np
import soundfile

from mgr_cli.errors import AudioError

Codec = Literal["float", "pcm16", "vorbis", "mp3", "aac"]

SUFFIXES: dict[Codec, str] = {
    "float": ".wav", "pcm16": ".wav", "vorbis": ".ogg", "mp3": ".mp3", "aac": ".m4a",
}  # fmt: skip

_SOUND = {"float": ("WAV", "FLOAT"), "pcm16": ("WAV", "PCM_16"), "vorbis": ("OGG", "VORBIS")}
_FFMPEG = {"mp3": ("libmp3lame", "mp3"), "aac": ("aac", "ipod")}
_LAYOUTS = {1: "mono", 2: "stereo"}
_VORBIS_RATE = 192_000  # Hz; beyond what libvorbis takes, libsndfile crashes
_AT_ONCE = 4_096  # samples; libvorbis keeps on the stack what it is given at once


def write(
    path: Path, samples: np.ndarray, *, sample_rate: int, codec: Codec, bit_rate: int | None = None
) -> None:
    """Encode samples to a file.

    Parameters
    ----------
    path : Path
        Of the file, which should end as `SUFFIXES` says.
    samples : np.ndarray [shape=(n_samples, n_channels)]
        float32, one channel or two. Full scale is [-1, 1]; what is beyond stays in a ``float``
        file, is clipped in a ``pcm16`` one, and is up to the encoder in the others.
    sample_rate : int
        In Hz.
    codec : {"float", "pcm16", "vorbis", "mp3", "aac"}
        ``float`` and ``pcm16`` are WAV files, ``vorbis`` an Ogg one of libsndfile's quality 0.4.
    bit_rate : int, optional
        Of ``mp3`` and ``aac``, constant, in bit/s of all channels together; FFmpeg's by default.

    Raises
    ------
    AudioError
        If there is no such encoder here, or it refuses.
    ValueError
        If there are more than two channels.
    """
    if samples.ndim != 2 or samples.shape[1] not in _LAYOUTS:
        raise ValueError(f"samples have shape {samples.shape}, expected (n_samples, 1 or 2)")
    if codec == "vorbis" and sample_rate > _VORBIS_RATE:
        raise AudioError(f"cannot be encoded as vorbis ({sample_rate} Hz are too many)")
    try:
        if codec in _SOUND:
            _by_libsndfile(path, samples, sample_rate, *_SOUND[codec])
        else:
            _by_ffmpeg(path, samples, sample_rate, *_FFMPEG[codec], bit_rate)
    except av.codec.codec.UnknownCodecError as error:
        raise AudioError(f"no encoder for {codec} in this FFmpeg ({error})") from error
    except (soundfile.LibsndfileError, av.error.FFmpegError, OSError) as error:
        raise AudioError(f"cannot be encoded as {codec} ({error})") from error


def _by_libsndfile(
    path: Path, samples: np.ndarray, sample_rate: int, container: str, subtype: str
) -> None:
    with soundfile.SoundFile(
        path, "w", sample_rate, samples.shape[1], format=container, subtype=subtype
    ) as sound:
        for _, block in _blocks(samples):
            sound.write(block)


def _by_ffmpeg(
    path: Path, samples: np.ndarray, sample_rate: int, codec: str, container: str,
    bit_rate: int | None,
) -> None:  # fmt: skip
    layout = _LAYOUTS[samples.shape[1]]
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=sample_rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        as_it_takes = av.AudioResampler(stream.format.name, layout, sample_rate)
        for start, block in _blocks(samples):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block.T), format="fltp", layout=layout
            )
            frame.sample_rate, frame.pts = sample_rate, start
            for converted in as_it_takes.resample(frame):
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))


def _blocks(samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(samples), _AT_ONCE):
        yield start, samples[start : start + _AT_ONCE]
