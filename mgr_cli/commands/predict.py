"""`mgr predict`: the genre of songs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgr_cli.commands import console, options
from mgr_cli.config import VoteRule

if TYPE_CHECKING:
    from mgr_cli.prediction import Prediction, Predictor

BAR = 30  # characters
COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")


def command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Audio files, and folders of them.")
    ],
    model: options.ModelOption = None,
    vote: Annotated[
        VoteRule | None, typer.Option("--vote", help="How segments vote (default: the card's).")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Genres that are shown.")] = 5,
    json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line on stdout, one a file.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout, a row a file.")] = False,
    device: options.DeviceOption = "auto",
    zoo: options.ZooOption = None,
) -> None:
    """Say which genre songs are of.

    A song is cut into segments of 3 s, and the segments vote. A file that cannot be used
    gets one line on stderr, and the others are predicted all the same (exit code 1).
    """
    if json and csv:
        console.fail("--json and --csv exclude each other; choose one")
    from mgr_cli.commands import lookup
    from mgr_cli.errors import AudioError
    from mgr_cli.prediction import Predictor

    files = list(_files(paths))
    predictor = Predictor.load(lookup.default_entry(model, zoo), device=device, vote=vote)
    show = _show_json if json else _Csv() if csv else _Table(alone=len(files) == 1, top=top)
    n_failed = 0
    with console.progress("predicting") as progress:
        for done, (path, problem) in enumerate(files, start=1):
            try:
                if problem:
                    raise AudioError(problem)
                show(path, predictor, predictor.from_file(path))
            except AudioError as error:
                n_failed += 1
                console.error(str(error))
                if json:
                    _print({"path": str(path), "status": "error", "error": str(error)})
            progress(done, len(files), "files")
    if n_failed:
        raise typer.Exit(console.SOME_FAILED)


def _files(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """List (file, problem): a folder that is no use stands there with its problem."""
    from mgr_cli import audio
    from mgr_cli.files import find

    for path in paths:
        if not path.is_dir():
            yield path, ""
            continue
        try:
            found = find(path, audio.SUFFIXES)
        except OSError as error:
            yield path, f"{audio.shown(path)}: cannot be read ({error.strerror})"
            continue
        if not found:
            yield path, f"{audio.shown(path)}: no audio files in this folder"
        yield from ((file, "") for file in found)


def _record(path: Path, predictor: "Predictor", prediction: "Prediction") -> dict[str, object]:
    labels = prediction.segment_probs.argmax(axis=1)
    return {
        "path": str(path),
        "status": "ok",
        "genre": prediction.genre,
        "confidence": round(prediction.confidence, 6),
        "probabilities": {genre: round(p, 6) for genre, p in prediction.ranked()},
        "vote": prediction.vote,
        "seconds": round(prediction.seconds, 3),
        "padded": prediction.padded,
        "segments": [
            {
                "start": round(start, 3),
                "stop": round(min(start + prediction.segment_seconds, prediction.seconds), 3),
                "genre": prediction.genres[label],
                "confidence": round(float(probs[label]), 6),
            }
            for start, label, probs in zip(
                prediction.starts, labels, prediction.segment_probs, strict=True
            )
        ],
        "model": predictor.card.name,
        "decoder": prediction.decoder,
    }


def _show_json(path: Path, predictor: "Predictor", prediction: "Prediction") -> None:
    _print(_record(path, predictor, prediction))


def _print(record: dict[str, object]) -> None:
    import json

    console.data(json.dumps(record) + "\n")


class _Csv:
    """A header, then a row a file."""

    def __init__(self) -> None:
        self._header = True

    def __call__(self, path: Path, predictor: "Predictor", prediction: "Prediction") -> None:
        import csv
        import io

        row = _record(path, predictor, prediction)
        shown = ("path", "genre", "confidence", "vote", "seconds", "padded", "model", "decoder")
        probs = dict(zip(prediction.genres, prediction.probs.round(6).tolist(), strict=True))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self._header:
            writer.writerow([*shown, *probs])
            self._header = False
        writer.writerow([*(row[key] for key in shown), *probs.values()])
        console.data(text.getvalue())


class _Table:
    """Bars and a timeline for one file, a line each for several."""

    def __init__(self, *, alone: bool, top: int) -> None:
        self._alone = alone
        self._top = top

    def __call__(self, path: Path, predictor: "Predictor", prediction: "Prediction") -> None:
        from rich.text import Text

        from mgr_cli import audio

        name = audio.shown(path)
        if self._alone:
            self._show_one(name, predictor, prediction)
        else:
            line = Text(f"{prediction.genre:<14}", style="bold")
            line.append(
                f" {100 * prediction.confidence:5.1f} %  {_bar(prediction.confidence, 10)}  "
                f"{name}{' (padded)' if prediction.padded else ''}",
                style="not bold",
            )
            console.out.print(line)

    def _show_one(self, name: str, predictor: "Predictor", prediction: "Prediction") -> None:
        from rich.text import Text

        ranked = prediction.ranked()[: self._top]
        colours = {genre: COLOURS[place % len(COLOURS)] for place, (genre, _) in enumerate(ranked)}
        heard = (
            f"{len(prediction.starts)} segments, {predictor.card.name}, {prediction.vote} vote"
            if predictor.card.segments
            else f"as a whole, {predictor.card.name}"
        )
        console.out.print(
            f"{name}  {prediction.seconds:.1f} s, {heard}",
            style="dim", markup=False,
        )  # fmt: skip
        width = max(len(genre) for genre, _ in ranked)
        for genre, prob in ranked:
            line = Text(f"{genre:>{width}}  ", style="bold" if genre == prediction.genre else "")
            line.append(_bar(prob, BAR), style=colours[genre])
            line.append(f"  {100 * prob:5.1f} %")
            console.out.print(line)
        if predictor.card.segments:
            _show_timeline(prediction, colours)
        if prediction.padded:
            console.note(
                f"padded: {prediction.seconds:.2f} s were repeated to fill a segment of "
                f"{prediction.segment_seconds:.1f} s"
            )


def _show_timeline(prediction: "Prediction", colours: dict[str, str]) -> None:
    """Print the segments in order: neighbours of one genre are one line."""
    from rich.text import Text

    labels = prediction.segment_probs.argmax(axis=1)
    runs: list[tuple[float, float, str, list[float]]] = []
    for start, label, probs in zip(
        prediction.starts, labels, prediction.segment_probs, strict=True
    ):
        stop = min(start + prediction.segment_seconds, prediction.seconds)
        genre = prediction.genres[label]
        if runs and runs[-1][2] == genre:
            first, _, _, confidences = runs.pop()
            runs.append((first, stop, genre, [*confidences, float(probs[label])]))
        else:
            runs.append((start, stop, genre, [float(probs[label])]))
    console.out.print("timeline", style="dim")
    for start, stop, genre, confidences in runs:
        line = Text(f"{_clock(start)} – {_clock(stop)}  ")
        line.append(f"{'■' * len(confidences)} {genre}", style=colours.get(genre, ""))
        line.append(f"  {100 * sum(confidences) / len(confidences):.0f} %", style="dim")
        console.out.print(line)


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")
    return bar.ljust(width)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):2d}:{rest:04.1f}"
