"""`mgr explain --filters`: what the filters of a layer look for."""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console

if TYPE_CHECKING:
    from mgr_cli.explanation.layers import Layer
    from mgr_cli.explanation.maximisation import Maximised

LIST = "list"


def show(
    layer: str,
    folder: Path,
    *,
    n_filters: int,
    png: Path | None,
    json: bool,
    seed: int,
    device: str,
) -> None:
    """Draw what excites the filters of a layer, and print how far; or list the layers."""
    from mgr_cli.explanation import layers, maximisation
    from mgr_cli.models import registry
    from mgr_cli.prediction import chosen_device
    from mgr_cli.reports import figures
    from mgr_cli.reports import filters as picture
    from mgr_cli.zoo import weights
    from mgr_cli.zoo.card import load_card

    card = load_card(folder)
    if registry.is_fitted(card.architecture):
        console.fail(
            f"{card.name} ({card.architecture}) is a pipeline of scikit-learn, and has no filters; "
            "choose an entry that is a net with convolutions"
        )
    place = chosen_device(device)
    net = weights.load_net(folder, card).to(place).requires_grad_(False)
    if layer == LIST:
        _print_layers(card.name, layers.list_all(net, card), json=json)
        return
    chosen = layers.find(net, card, layer)
    with console.progress("exciting") as progress:
        found = maximisation.maximise(
            net, card, chosen, n_filters=n_filters, seed=seed, device=place, progress=progress
        )
    about = f"{card.name}, {chosen.name} ({chosen.what})"
    if json:
        _print_json(card.name, found, seed)
    else:
        _print_table(f"{about}: {len(found.filters)} of {chosen.n_filters} filters", found)
    target = png or Path(f"{card.name}-filters-{chosen.number or chosen.name}.png")
    kernels = layers.kernels(net, chosen) if chosen.first else None
    number = f"layer {chosen.number}: " if chosen.number else ""
    title = f"{card.name}, {number}{chosen.name} ({chosen.what}, {chosen.n_filters} filters)"
    figures.save(picture.draw(found, card.features, kernels=kernels, title=title), target)
    console.note(f"picture: {target}")


def _print_layers(name: str, found: "tuple[Layer, ...]", *, json: bool) -> None:
    if not found:
        console.fail(f"{name} has no convolution, and so no filters")
    if json:
        import json as text

        keys = ("number", "name", "what", "n_filters")
        records = [{key: getattr(layer, key) for key in keys} for layer in found]
        console.data(text.dumps({"model": name, "layers": records}) + "\n")
        return
    rows = [(str(each.number), each.name, each.what, str(each.n_filters)) for each in found]
    console.columns(f"layers of {name}", ("layer", "name", "kernels", "filters"), rows)


def _print_json(name: str, found: "Maximised", seed: int) -> None:
    import json
    from dataclasses import asdict

    layer = found.layer
    record = {
        "model": name,
        "layer": {"number": layer.number, "name": layer.name, "what": layer.what,
                  "n_filters": layer.n_filters},
        "input": found.kind,
        "seed": seed,
        "filters": [asdict(each) for each in found.filters],
    }  # fmt: skip
    console.data(json.dumps(record) + "\n")


def _print_table(title: str, found: "Maximised") -> None:
    rows = [
        (str(each.number), f"{each.at_mean:.3f}", f"{each.reached:.3f}",
         "dead" if each.peak_hz is None else f"{each.peak_hz:,.0f} Hz")
        for each in found.filters
    ]  # fmt: skip
    console.columns(title, ("filter", "at the mean", "reached", "stands out at"), rows)
