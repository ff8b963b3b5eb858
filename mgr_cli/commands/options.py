"""Options that several commands share, and what completes their values."""

import re
from pathlib import Path
from typing import Annotated

import typer

from mgr_cli.config import Device, Engine
from mgr_cli.models.registry import ARCHITECTURES, BORROWED, CLASSICAL

PREPARED = Path("prepared")


def complete_architecture(incomplete: str) -> list[tuple[str, str]]:
    """Offer the architectures that begin like this."""
    known = {row.name: row.summary for row in ARCHITECTURES.values()}
    known |= {row.name: row.summary for row in CLASSICAL.values()}
    known |= {row.name: row.summary for row in BORROWED.values()}
    return [(name, summary) for name, summary in known.items() if name.startswith(incomplete)]


def complete_entry(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the entries that begin like this, of the zoo that was named before, if one was."""
    from mgr_cli.zoo import entries

    return _offered(entries.places(_zoo(context)), incomplete)


def complete_own(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the entries of one's own zoo, which can be removed."""
    from mgr_cli.zoo import entries

    return _offered(entries.places(_zoo(context))[:1], incomplete)


def _zoo(context: typer.Context) -> Path | None:
    named = context.params.get("zoo")
    return None if named is None else Path(named)


def _offered(zoos: list[Path], incomplete: str) -> list[str]:
    """List names that no shell needs quotes for; zsh runs what it is offered through `eval`."""
    from mgr_cli.zoo import entries

    names = [name for name in entries.folders(zoos) if name.startswith(incomplete)]
    return [name for name in names if re.fullmatch(r"[\w.+@-]+", name, re.ASCII)]


DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where nets run; auto takes a GPU if there is one.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", envvar="MGR_MODEL", autocompletion=complete_entry,
        metavar="ENTRY", help="Entry of the zoo, by name or folder.",
    ),
]  # fmt: skip
ZooOption = Annotated[
    Path | None,
    typer.Option(
        "--zoo", envvar="MGR_ZOO", metavar="FOLDER",
        help="Folder of your entries (default: ./zoo if it exists, else your data folder).",
    ),
]  # fmt: skip
PreparedOption = Annotated[
    Path,
    typer.Option(
        "--prepared", envvar="MGR_PREPARED", metavar="FOLDER",
        help="Folder of the prepared datasets.",
    ),
]  # fmt: skip
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data", "-d", metavar="DATASET",
        help="Prepared dataset, by name or folder (default: the newest).",
    ),
]  # fmt: skip
OwnDataOption = Annotated[
    str | None,
    typer.Option(
        "--data", "-d", metavar="DATASET",
        help="Prepared dataset, by name or folder (default: the entry's own, else the newest).",
    ),
]  # fmt: skip
CLUSTER = "Where it runs"
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", rich_help_panel=CLUSTER, help="Processes; -1 is one a core.")
]
EngineOption = Annotated[
    Engine, typer.Option("--engine", rich_help_panel=CLUSTER, help="This machine, or a cluster.")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", rich_help_panel=CLUSTER,
        help="Of the cluster, as tcp://10.0.0.5:8786.",
    ),
]  # fmt: skip
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")]
