"""The list of architectures, as `mgr train --list` shows it."""

from mgr_cli.commands import console
from mgr_cli.models import registry
from mgr_cli.models.registry import ARCHITECTURES, BORROWED, CLASSICAL
from mgr_cli.models.rows import Architecture


def show() -> None:
    """Print what can be trained, what it eats, and how it is trained unless told otherwise."""
    from rich.table import Table

    table = Table(title="architectures", title_justify="left", show_lines=False, box=None)
    table.add_column("--arch", no_wrap=True)
    table.add_column("what it is, what it hears, its recipe, its --set")
    for row in ARCHITECTURES.values():
        values = registry.hyperparameters(row.name, {})
        heard = f"{row.segments.seconds:g} s" if row.segments else "the whole track"
        lines = (
            f"{row.summary} ({row.source})",
            f"{' + '.join(row.eats)}, {heard}; {_recipe(row)}",
            " ".join(f"{name}={value}" for name, value in values.items()),
        )
        table.add_row(f"[bold]{row.name}[/]", "\n".join(lines))
    for rival in CLASSICAL.values():
        values = registry.hyperparameters(rival.name, {})
        lines = (
            f"{rival.summary} ({rival.source}), scikit-learn",
            "one row a track, or log-mels summed up over 3 s; fitted",
            " ".join(f"{name}={value}" for name, value in values.items()),
        )
        table.add_row(f"[bold]{rival.name}[/]", "\n".join(lines))
    for net in BORROWED.values():
        lines = (
            f"{net.summary} ({net.source})",
            f"{' + '.join(net.eats)}, {net.segments.seconds:g} s; fitted, the grid of its rival "
            f"searched; cuts {', '.join(net.cuts)}",
            " ".join(f"{name}={value}" for name, value in registry.defaults(net.name).items()),
        )
        table.add_row(f"[bold]{net.name}[/]", "\n".join(lines))
    console.out.print(table)


def _recipe(row: Architecture) -> str:
    recipe = row.recipe
    return (
        f"{recipe.optimizer} {recipe.learning_rate:g}, {recipe.schedule}, "
        f"{recipe.epochs} epochs, batches of {recipe.batch_size}"
    )
