"""`mgr explain SONG`: what in a song made an entry say so, in words, as a picture, and to hear."""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console, hearing
from mgr_cli.config import Method

if TYPE_CHECKING:
    from mgr_cli.explanation.result import Attribution, Explanation, Faithfulness
    from mgr_cli.explanation.spans import Span


def show(
    song: Path,
    folder: Path,
    *,
    methods: tuple[Method, ...],
    start: float | None,
    seconds: float,
    check: bool,
    listen: Path | None,
    listen_against: Path | None,
    png: Path | None,
    json: bool,
    seed: int,
    device: str,
) -> None:
    """Explain what an entry says of a song, and draw it."""
    target = png or Path(f"{song.stem}-explained.png")
    _refuse_targets(song, {"--png": target, "--listen": listen, "--listen-against": listen_against})
    hearing.refuse(song, seconds if listen or listen_against else 0.0)
    from mgr_cli.explanation.songs import explain
    from mgr_cli.reports import explanation as picture
    from mgr_cli.reports import figures
    from mgr_cli.zoo.card import load_card

    model = load_card(folder).name
    with console.progress("explaining") as progress:
        found = explain(
            folder, song, methods=methods, start=start, seconds=seconds, check=check,
            seed=seed, device=device, progress=progress,
        )  # fmt: skip
    figures.save(picture.draw(found, title=_title(found, model)), target)
    notes = [*found.notes, f"picture: {target}"]
    genres = [genre for genre, _ in found.prediction.ranked()]
    for wav, genre in zip((listen, listen_against), genres, strict=False):
        if wav is not None:
            notes.append(hearing.write(found, genre, wav))
    if json:  # all that it says is there is there
        _print_json(
            found, model, {"picture": target, "listen": listen, "listen_against": listen_against}
        )
    else:
        _print(found, model)
    for note in notes:
        console.note(note)


def _refuse_targets(song: Path, targets: dict[str, Path | None]) -> None:
    """Refuse to write over the song, over a folder, or two files into one place."""
    places = {song.resolve(): "the song itself"}
    for option, target in targets.items():
        if target is None:
            continue
        if target.resolve() in places:
            console.fail(f"{option} {target} is {places[target.resolve()]}; name another file")
        if target.is_dir():
            console.fail(f"{option} {target} is a folder; name a file")
        if option != "--png" and target.suffix.lower() != ".wav":
            console.fail(f"{option} {target}: a WAV is written; let its name end in .wav")
        places[target.resolve()] = f"where {option} goes"


def _title(found: "Explanation", model: str) -> str:
    from mgr_cli import audio

    prediction = found.prediction
    name = audio.shown(Path(found.path.name))
    name = name if len(name) <= 60 else name[:59] + "…"
    said = f"{prediction.genre}, {100 * prediction.confidence:.0f} %"
    return f"{name} · {said} · {model}"


def _print(found: "Explanation", model: str) -> None:
    from mgr_cli import audio
    from mgr_cli.explanation import spans
    from mgr_cli.explanation.listening import most_faithful

    prediction = found.prediction
    console.out.print(
        f"{audio.shown(found.path)}  {prediction.seconds:.1f} s, {model}; "
        f"explained: {hearing.clock(found.start, found.stop)}",
        style="dim", markup=False,
    )  # fmt: skip
    probs = [(genre, f"{100 * prob:.1f} %") for genre, prob in prediction.ranked()[:5]]
    console.columns("what it says", ("genre", "probability"), probs)
    method = most_faithful(found)
    for each in found.attributions:
        if each.method == method:
            console.out.print()
            _print_spans(each, spans.seconds(each, found), spans.frequencies(each, found))
    if found.faithfulness:
        console.out.print()
        _print_faithfulness(found.faithfulness)


def _print_spans(found: "Attribution", when: "list[Span]", where: "list[Span]") -> None:
    title = f"what spoke for {found.genre}, by {found.method}: shares of all that did"
    if not when:
        console.out.print(f"nothing spoke for {found.genre}, by {found.method}", markup=False)
        return
    rows = [
        (
            hearing.clock(time.start, time.stop), f"{100 * time.share:.0f} %",
            f"{_hertz(band.start)}–{_hertz(band.stop)} Hz", f"{100 * band.share:.0f} %",
        )
        for time, band in zip(when, where, strict=False)
    ]  # fmt: skip
    console.columns(title, ("seconds", "share", "frequencies", "share"), rows)


def _print_faithfulness(checks: "tuple[Faithfulness, ...]") -> None:
    from mgr_cli.explanation.listening import lead, random_lead

    rows = []
    for each in checks:
        areas = [f"{area:.3f}" for area in _areas(each).values()]
        randomised = "–" if each.randomised is None else f"{each.randomised:z.2f}"
        rows.append((each.method, *areas, randomised))
    header = ("method", "deletion", "at random", "insertion", "at random", "random weights")
    console.columns(f"how faithful, for {checks[0].genre}", header, rows)
    console.note(
        "Areas under curves: a faithful method has a lower deletion and a higher insertion than "
        "random cells; with random weights near 0, it shows what was learnt."
    )
    for each in checks:
        if lead(each) <= random_lead(each):
            console.note(f"{each.method} does no better than random cells here: trust it not")


def _areas(check: "Faithfulness") -> dict[str, float]:
    from mgr_cli.explanation.faithfulness import area

    names = ("deletion", "random_deletion", "insertion", "random_insertion")
    return {name: area(getattr(check, name), check.shares) for name in names}


def _print_json(found: "Explanation", model: str, targets: dict[str, Path | None]) -> None:
    import json

    from mgr_cli.explanation import spans
    from mgr_cli.explanation.listening import most_faithful

    prediction = found.prediction
    record = {
        "path": str(found.path),
        "model": model,
        "genre": prediction.genre,
        "confidence": round(prediction.confidence, 6),
        "probabilities": {genre: round(prob, 6) for genre, prob in prediction.ranked()},
        "seconds": round(prediction.seconds, 3),
        "part": {"start": round(found.start, 3), "stop": round(found.stop, 3)},
        "bands_hz": spans.centres(found.spec).round(1).tolist(),
        "most_faithful": most_faithful(found),
        "attributions": [_attribution(each, found) for each in found.attributions],
        "faithfulness": [_faithfulness(each) for each in found.faithfulness],
        "notes": list(found.notes),
        "files": {name: str(path) for name, path in targets.items() if path is not None},
    }
    console.data(json.dumps(record) + "\n")


def _attribution(each: "Attribution", found: "Explanation") -> dict[str, object]:
    from dataclasses import asdict

    from mgr_cli.explanation import spans

    return {
        "method": each.method,
        "genre": each.genre,
        "by_second": spans.by_second(each, found).tolist(),
        "by_band": spans.by_band(each).tolist(),
        "top_seconds": [asdict(span) for span in spans.seconds(each, found)],
        "top_frequencies": [asdict(span) for span in spans.frequencies(each, found)],
    }


def _faithfulness(check: "Faithfulness") -> dict[str, object]:
    curves = ("shares", "deletion", "insertion", "random_deletion", "random_insertion")
    return {
        "method": check.method,
        "genre": check.genre,
        "areas": _areas(check),
        "randomised": check.randomised,
        "curves": {name: getattr(check, name).tolist() for name in curves},
    }


def _hertz(hz: float) -> str:
    return f"{float(f'{hz:.2g}'):,.0f}"
