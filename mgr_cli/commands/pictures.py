"""`mgr explain SONG --picture`: a song, or a track of a prepared dataset, to look at.

What is named is a file where there is one of that name, else a track: by its id, in which zeros
before numbers and a file's suffix may be left out (`2` is track 000002). Of a track is drawn what
was prepared of it, and what was not is drawn of its sound, where that is still there.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console
from mgr_cli.config import View

if TYPE_CHECKING:
    import numpy as np

    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.reports.sound import Panel

FRAMES_AT_ONCE = 8_192
SAMPLES_AT_ONCE = 2**20
NEAREST = 3  # tracks that are named where an unknown one is asked for


def show(
    song: str, *, views: Sequence[View], data: str | None, prepared: Path, png: Path | None
) -> None:
    """Draw views of an audio file, or of a track of a prepared dataset by its id."""
    from mgr_cli.reports import figures, sound

    views = tuple(dict.fromkeys(views))
    path = Path(song)
    found = None if path.is_file() else _track(song, data, prepared)
    if found is None:
        title, panels = _of_file(path, views)
        name = path.stem
    else:
        title, panels = _of_track(*found, views)
        name = _bare_file(found[0].tracks.track_id[found[1]])
    target = png or Path(f"{name}-{'-'.join(views)}.png")
    if target.exists() and path.exists() and target.samefile(path):
        console.fail(f"--png {target} is the song itself; name another file")
    figures.save(sound.draw(panels, title=title), target)
    console.note(f"picture: {target}")


def _bare_file(track: str) -> str:
    """Return a name for a track's files, without folders and a suffix."""
    from mgr_cli import audio

    path = Path(track)
    whole = path.with_suffix("") if path.suffix.lower() in audio.SUFFIXES else path
    return "-".join(part for part in whole.parts if part.strip("/."))


def _of_file(path: Path, views: Sequence[View]) -> "tuple[str, list[Panel]]":
    from mgr_cli import audio
    from mgr_cli.reports.sound import Sketch

    with (
        audio.open_stream(path, sample_rate=None) as stream,
        console.progress("listening") as progress,
    ):
        info = stream.info
        sketch = Sketch(views, info.sample_rate)
        for block in stream:
            sketch.push(block)
            progress(round(stream.seconds), round(info.seconds or stream.seconds), "seconds")
        title = (
            f"{audio.shown(Path(path.name))} · {stream.seconds:,.1f} s · {info.codec}, "
            f"{info.sample_rate:,} Hz, {_channels(info.channels)}"
        )
    return title, sketch.finish()


def _channels(n: int) -> str:
    return {1: "mono", 2: "stereo, averaged"}.get(n, f"{n} channels, averaged")


def _track(song: str, data: str | None, prepared: Path) -> "tuple[PreparedDataset, int] | None":
    """Find a track in the dataset that is meant, by its id; None where a file must be meant.

    Raises
    ------
    DatasetError
        If there is no such dataset or track, several, or one that could not be prepared.
    """
    from mgr_cli import audio
    from mgr_cli.commands import lookup
    from mgr_cli.data.store import OK
    from mgr_cli.errors import DatasetError

    is_file = data is None and (Path(song).suffix.lower() in audio.SUFFIXES or Path(song).exists())
    try:
        dataset = lookup.prepared_dataset(data, prepared)
    except DatasetError as error:
        if is_file:  # which is not there, or is none: who opens it says so
            return None
        if data is not None:
            raise
        raise DatasetError(f"{song}: no such file, and no track: {error}") from error
    try:
        number = _number(song, list(dataset.tracks.track_id), dataset.name)
    except DatasetError:
        if is_file:
            return None
        raise
    status = dataset.tracks.status[number]
    if status != OK:
        raise DatasetError(f"track {song} of {dataset.name} was not usable: {status}")
    return dataset, number


def _number(song: str, ids: list[str], name: str) -> int:
    """Return the place of a track among the ids of a dataset."""
    from difflib import get_close_matches

    from mgr_cli.errors import DatasetError

    if song in ids:
        return ids.index(song)
    found = [number for number, each in enumerate(ids) if _bare(each) == _bare(song)]
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(ids[number] for number in found[:NEAREST])
        raise DatasetError(f"{song}: could be any of {len(found)} tracks of {name}: {named}")
    near = get_close_matches(song, ids, NEAREST)
    known = f"nearest: {', '.join(near)}" if near else f"its ids are such as {ids[0]}"
    raise DatasetError(
        f"{song}: no such file, and none of the {len(ids):,} tracks of {name}; {known}"
    )


def _bare(track: str) -> str:
    """Return a track's id without its suffix of a file, and without zeros before its numbers."""
    from mgr_cli import audio

    suffix = Path(track).suffix
    name = track.removesuffix(suffix) if suffix.lower() in audio.SUFFIXES else track
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name)


def _of_track(
    dataset: "PreparedDataset", number: int, views: Sequence[View]
) -> "tuple[str, list[Panel]]":
    from mgr_cli.reports.sound import Sketch, stored

    row = dataset.tracks.iloc[number]
    title = (
        f"{row.track_id} · {row.genre or 'no genre'} · {dataset.name}, {row.split or 'left out'}"
    )
    panels: dict[View, Panel] = {}
    if "mel" in views and "log-mel" in dataset.plan.kinds:
        spec = dataset.spec
        panels["mel"] = stored(_levels(dataset, number), spec, seconds=float(row.seconds))
    others = [view for view in views if view not in panels]
    if others and "waveform" in dataset.plan.kinds:
        sketch = Sketch(others, dataset.plan.spec.sample_rate)
        for block in _samples(dataset, number):
            sketch.push(block)
        panels |= {panel.view: panel for panel in sketch.finish()}
    elif others:
        _, found = _of_file(_sound(dataset, number, others[0]), others)
        panels |= {panel.view: panel for panel in found}
    return title, [panels[view] for view in views]


def _levels(dataset: "PreparedDataset", number: int) -> "Iterator[np.ndarray]":
    reader = dataset.reader("log-mel")
    for start in range(0, reader.n_rows(number), FRAMES_AT_ONCE):
        yield reader.frames(number, start, start + FRAMES_AT_ONCE)


def _samples(dataset: "PreparedDataset", number: int) -> "Iterable[np.ndarray]":
    reader = dataset.reader("waveform")
    for start in range(0, reader.n_rows(number), SAMPLES_AT_ONCE):
        yield reader.samples(number, start, start + SAMPLES_AT_ONCE)


def _sound(dataset: "PreparedDataset", number: int, view: View) -> Path:
    """Return the file of a track's sound, for what was not prepared of it.

    Raises
    ------
    DatasetError
        If there is none.
    """
    from mgr_cli import audio
    from mgr_cli.errors import DatasetError

    own = str(dataset.tracks.path[number])
    path = Path(dataset.source) / own
    if own and path.suffix.lower() in audio.SUFFIXES and path.is_file():
        return path
    has = ", ".join(dataset.plan.kinds)
    lost = f", and {path} is gone" if own and dataset.layout != "images" else ""
    drawn = "; only --picture mel can be drawn" if "log-mel" in dataset.plan.kinds else ""
    raise DatasetError(
        f"{dataset.name} holds no sound of its tracks to draw {view} of, only {has}{lost}{drawn}"
    )
