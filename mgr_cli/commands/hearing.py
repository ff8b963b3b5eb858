"""`mgr explain --listen`: the explained part of a song, with what did not matter turned down.

It is written at the file's own rate and in stereo where the file is, unlike what an entry hears.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mgr_cli.explanation.result import Explanation

MOST_VALUES = 2**27  # samples times channels that are held: 512 MB
MOST_CHANNELS = 2  # more are mixed to one
LOUDEST = 1 - 2**-15  # that 16 bits can hold


def refuse(path: Path, seconds: float) -> None:
    """Refuse a file that is no song, or a part that would be too much to hold, before all else.

    Parameters
    ----------
    path : Path
        Of the song.
    seconds : float
        Of the part, 0 if none is held. Whole segments that fill them most nearly may be a little
        longer; `write` looks again.

    Raises
    ------
    AudioError
        If the part is too much, or the file cannot be used.
    """
    from mgr_cli import audio

    with audio.open_stream(path, sample_rate=None) as stream:
        info = stream.info
    held = seconds if info.seconds is None else min(seconds, info.seconds)
    _refuse(audio.shown(path), held, round(held * info.sample_rate), info.channels)


def _refuse(name: str, seconds: float, n_samples: int, n_channels: int) -> None:
    from mgr_cli.errors import AudioError

    if n_samples * (n_channels if n_channels <= MOST_CHANNELS else 1) > MOST_VALUES:
        raise AudioError(f"{name}: {seconds:.0f} s of it are too much; take --seconds less")


def write(found: "Explanation", genre: str, target: Path) -> str:
    """Write the explained part with what did not speak for a genre turned down; say what it is."""
    import numpy as np
    import soundfile

    from mgr_cli.explanation import listening
    from mgr_cli.files import replacing

    method = listening.most_faithful(found)
    mask = listening.mask(found.of(method, genre).values, found.spec)
    samples, rate = _read_channels(found.path, found.start, found.stop)
    heard = listening.turn_down(samples, rate, mask, found.spec, start=found.start)
    peak = float(np.abs(heard).max()) / LOUDEST
    if peak > 1:  # partials that cancelled each other may be louder alone
        heard /= np.float32(peak)
    with replacing(target) as part:
        soundfile.write(part, heard, rate, subtype="PCM_16", format="WAV")
    why = ", the most faithful method" if found.faithfulness else ""
    quieter = f"; all of it {20 * np.log10(peak):.1f} dB quieter, lest it clips" if peak > 1 else ""
    return (
        f"{target}: {clock(found.start, found.stop)} of the song, what did not speak for {genre} "
        f"(by {method}{why}) turned down by up to {-listening.FLOOR_DB:.0f} dB{quieter}"
    )


def _read_channels(path: Path, start: float, stop: float) -> "tuple[np.ndarray, int]":
    """Read a part of a song as (n_samples, n_channels), and its rate; more than two are mixed.

    Raises
    ------
    AudioError
        If the file has changed since it was judged, or the part is too much to hold.
    """
    import numpy as np

    from mgr_cli import audio
    from mgr_cli.decoders import DecoderError, decode
    from mgr_cli.errors import AudioError

    name, kept, place = audio.shown(path), [], 0
    with ExitStack() as resources:
        file = resources.enter_context(path.open("rb", buffering=0))
        source = decode(name, file, resources)
        rate = source.info.sample_rate
        first, last = round(start * rate), round(stop * rate)
        _refuse(name, stop - start, last - first, source.info.channels)
        try:
            for block in source.blocks:
                if place >= last:
                    break
                piece = block[max(0, first - place) : max(0, last - place)]
                if len(piece):  # a copy, for a view would hold all of the block
                    is_mixed = piece.shape[1] > MOST_CHANNELS
                    kept.append(piece.mean(axis=1, keepdims=True) if is_mixed else piece.copy())
                place += len(block)
        except DecoderError as error:
            raise AudioError(f"{name}: changed while it was explained ({error})") from error
    if not kept:
        raise AudioError(
            f"{name}: changed while it was explained (nothing is left at {start:.1f} s)"
        )
    return np.concatenate(kept), rate


def clock(start: float, stop: float) -> str:
    """Return a span of seconds as ``0:12.0–1:15.5``."""
    return f"{_clock(start)}–{_clock(stop)}"


def _clock(seconds: float) -> str:
    minutes, tenths = divmod(round(10 * seconds), 600)
    return f"{minutes}:{tenths / 10:04.1f}"
