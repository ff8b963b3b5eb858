"""`mgr explain --map`: where the tracks of a split lie."""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console
from mgr_cli.config import Mapped, Projection, Split

if TYPE_CHECKING:
    from mgr_cli.explanation.mapping import Map

_NAMES = {"pca": "PCA", "lda": "LDA", "tsne": "t-SNE"}


def show(
    projection: Projection,
    folder: Path,
    *,
    of: Mapped | None,
    dimensions: int,
    data: str | None,
    prepared: Path,
    split: Split,
    png: Path | None,
    html: Path | None,
    json: bool,
    seed: int,
    device: str,
) -> None:
    """Map the tracks of a split, print how far the map can be trusted, and draw it."""
    from mgr_cli import leaks
    from mgr_cli.commands import lookup
    from mgr_cli.explanation import mapping
    from mgr_cli.prediction import chosen_device
    from mgr_cli.reports import figures, page, scatter
    from mgr_cli.zoo import weights
    from mgr_cli.zoo.card import load_card

    if png and html and png.resolve() == html.resolve():
        console.fail(f"--png and --html both go to {png}; name two files")
    card = load_card(folder)
    dataset = lookup.dataset_of(card, data, prepared)
    leak = leaks.find(card, dataset, split, trained_on=lookup.trained_on(card, prepared))
    if leak:
        console.note(leak)
    place = chosen_device(device)
    model = weights.load_model(folder, card, device=place)
    with console.progress("mapping") as progress:
        found = mapping.survey(
            model, card, dataset, projection=projection, of=of, n_dimensions=dimensions,
            split=split, seed=seed, device=place, progress=progress,
        )  # fmt: skip
    title = f"{card.name}: {_NAMES[projection]} of {found.of}, {dataset.name}, {split}"
    if json:
        about = {"model": card.name, "dataset": dataset.name, "split": split, "seed": seed}
        _print_json(about, found)
    else:
        _print_table(title, found)
    # Of what, too: else the next map would take its place.
    stem = f"{card.name}-{dataset.name}-{split}-{found.of}-{projection}-{dimensions}d"
    picture, target = png or Path(f"{stem}.png"), html or Path(f"{stem}.html")
    figures.save(scatter.draw(found, title=title), picture)
    console.note(f"picture: {picture}")
    page.save(scatter.document(found, title=title), target)
    console.note(f"page: {target}")


def _print_json(about: dict[str, object], found: "Map") -> None:
    import json
    from dataclasses import asdict

    tracks = [
        {
            "track_id": track.track_id,
            "path": track.path,
            "genre": track.truth,
            "prediction": track.prediction.genre,
            "confidence": track.prediction.confidence,
            "coordinates": place,
        }
        for track, place in zip(found.tracks, found.coordinates.tolist(), strict=True)
    ]
    record = {
        **about,
        "projection": found.projection,
        "of": found.of,
        "n_columns": found.n_columns,
        "axes": found.axes,
        "remark": found.remark,
        "neighbours": asdict(found.trust),
        "tracks": tracks,
    }
    console.data(json.dumps(record) + "\n")


def _print_table(title: str, found: "Map") -> None:
    from mgr_cli.reports.scatter import trust_rows

    k = found.trust.n_neighbours
    header = (f"genre by the {k} nearest others", "dimensions", "right %")
    dimensions = (str(found.n_columns), str(len(found.axes)), "")
    rows = [
        (name, n, f"{100 * share:.1f}")
        for (name, share), n in zip(trust_rows(found.trust), dimensions, strict=True)
    ]
    console.columns(f"{title}, {len(found.tracks)} tracks", header, rows)
    for line in (*found.axes, found.remark):
        console.out.print(line, markup=False)
