"""Forms: what else the same recording comes as.

The same recording reaches people as WAV, MP3, Ogg and M4A, louder and softer, in one channel or
two, at other sample rates, and as an excerpt. A `Form` names what is changed of it, and `FORMS` are
those that an entry is asked about::

    file ─decoded→ Sound ─formed→ Sound ─encoding.write→ file

Only the beginning of a recording is used, so that its samples fit into memory. A form that would
change nothing is not made, as mono of a recording of one channel.
"""

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from mgr_cli import audio
from mgr_cli.decoders import DecoderError, decode
from mgr_cli.encoding import Codec
from mgr_cli.errors import AudioError

MOST_SECONDS = 300.0  # of a track
MOST_VALUES = 2**25  # samples times channels of it, 128 MB; five minutes at 48 kHz are fewer
USUAL_RATE = 44_100  # Hz; lossy files are made at it, at half of it MP3 ends at 160 kbit/s


@dataclass(frozen=True)
class Form:
    """Another form of a track; what is not named stays as it is.

    Attributes
    ----------
    name : str
        What it is called.
    codec : {"float", "pcm16", "vorbis", "mp3", "aac"}
        What it is written as; ``float`` loses nothing.
    bit_rate : int, optional
        In bit/s.
    sample_rate : int, optional
        In Hz.
    n_channels : {1, 2}, optional
        One is the average of all; two are twice the same.
    gain_db : float
        Added to its level.
    seconds : float, optional
        How much of it is left.
    start : float
        Where that is, as a share of what is left out: 0 at the beginning, 0.5 in the middle.
    """

    name: str
    codec: Codec = "float"
    bit_rate: int | None = None
    sample_rate: int | None = None
    n_channels: int | None = None
    gain_db: float = 0.0
    seconds: float | None = None
    start: float = 0.0


FORMS = (
    Form("wav, 16 bits", codec="pcm16"),
    *(
        Form(f"mp3, {kilobits} kbit/s", codec="mp3", bit_rate=1_000 * kilobits,
             sample_rate=USUAL_RATE)
        for kilobits in (64, 96, 128, 192, 320)
    ),
    Form("ogg vorbis", codec="vorbis", sample_rate=USUAL_RATE),
    Form("m4a, 128 kbit/s", codec="aac", bit_rate=128_000, sample_rate=USUAL_RATE),
    Form("+12 dB", gain_db=12),
    Form("-12 dB", gain_db=-12),
    Form("+12 dB, clipped", codec="pcm16", gain_db=12),
    Form("mono", n_channels=1),
    Form("stereo", n_channels=2),
    Form("22.05 kHz", sample_rate=22_050),
    Form("32 kHz", sample_rate=32_000),
    Form("44.1 kHz", sample_rate=44_100),
    Form("48 kHz", sample_rate=48_000),
    Form("first 10 s", seconds=10),
    Form("middle 10 s", seconds=10, start=0.5),
)  # fmt: skip
"""What is asked by default, in the order of the table."""


@dataclass(frozen=True)
class Sound:
    """A recording, before it is encoded.

    Attributes
    ----------
    samples : np.ndarray [shape=(n_samples, n_channels)]
        float32, one channel or two, in [-1, 1] unless it was amplified.
    sample_rate : int
        In Hz.
    is_cut : bool
        Whether the file goes on.
    """

    samples: np.ndarray
    sample_rate: int
    is_cut: bool = False


def decoded(path: Path, *, seconds: float = MOST_SECONDS) -> Sound:
    """Read the beginning of an audio file, channels and rate as they are.

    Of more than two channels the average is taken, as no form has more.

    Raises
    ------
    AudioError
        If it cannot be read.
    """
    held, n_held = [], 0
    with ExitStack() as stack:
        source = decode(audio.shown(path), stack.enter_context(path.open("rb", buffering=0)), stack)
        rate = source.info.sample_rate
        wanted = min(math.ceil(seconds * rate), MOST_VALUES // min(source.info.channels, 2))
        try:
            while n_held <= wanted and (block := next(source.blocks, None)) is not None:
                n_held += len(block)
                wide = block.shape[1] > 2
                held.append(block.mean(axis=1, keepdims=True) if wide else block)
        except DecoderError as error:
            raise AudioError(f"{audio.shown(path)}: damaged ({error})") from error
    return Sound(np.concatenate(held)[:wanted], rate, is_cut=n_held > wanted)


def formed(sound: Sound, form: Form) -> Sound | None:
    """Give a recording the length, channels, rate and level of a form, but not its codec yet.

    Returns
    -------
    Sound or None
        None where the form is what the recording is already.
    """
    samples, rate = sound.samples, sound.sample_rate
    if form.seconds is not None and (n := round(form.seconds * rate)) < len(samples):
        first = round(form.start * (len(samples) - n))
        samples = samples[first : first + n]
    if form.n_channels == 1 and samples.shape[1] == 2:
        samples = samples.mean(axis=1, keepdims=True)
    if form.n_channels == 2 and samples.shape[1] == 1:
        samples = np.repeat(samples, 2, axis=1)
    if form.sample_rate not in (None, rate):
        samples, rate = soxr.resample(samples, rate, form.sample_rate), form.sample_rate
    if form.gain_db:
        samples = samples * np.float32(10 ** (form.gain_db / 20))
    if samples is sound.samples and form.codec == "float":
        return None
    return Sound(np.ascontiguousarray(samples, np.float32), rate)
