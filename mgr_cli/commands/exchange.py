"""`mgr zoo export` and `mgr zoo import`: entries to others, and from them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mgr_cli.commands import console, options

Format = Literal["onnx", "safetensors", "hf"]  # `zoo.exports` has the same, and is not light


def send(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ENTRY", autocompletion=options.complete_entry, help="By name or folder."
        ),
    ],
    format: Annotated[
        Format,
        typer.Option(
            "--format", "-f",
            help="onnx: one file for onnxruntime. safetensors: a zip of the whole entry, for `mgr "
            "zoo import`. hf: a folder for the Hugging Face hub, which import takes too.",
        ),
    ] = "safetensors",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH",
            help="File or folder to write, or a folder to write it into (default: here, as "
            "ENTRY.onnx, ENTRY.zip, ENTRY-hf).",
        ),
    ] = None,
    zoo: options.ZooOption = None,
) -> None:  # fmt: skip
    """Write an entry as others take it. Nothing is uploaded."""
    from mgr_cli.commands.cards import on_disk, shown_bytes
    from mgr_cli.files import sha256
    from mgr_cli.zoo import entries, exports

    folder = entries.find(name, entries.places(zoo))
    default = exports.default_name(folder.resolve().name, format)
    target = Path(default) if output is None else output
    if output is not None and output.is_dir():
        target = output / default
    with console.progress("writing") as progress:
        progress(0, 1, target.name)
        exports.export(folder, format, target)
    digest = f", SHA-256 {sha256(target)}" if target.is_file() else ""
    console.note(f"{target}: {shown_bytes(on_disk(target))}{digest}")


def receive(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="Folder, .zip, .tar or .tar.gz of an entry.", exists=True
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of the entry here (default: what its card says)."),
    ] = None,
    zoo: options.ZooOption = None,
) -> None:
    """Take an entry of others into your zoo, when all of it has been checked."""
    from mgr_cli.zoo import arrivals, entries

    zoos = entries.places(zoo)
    with console.progress("checking") as progress:
        progress(0, 1, source.name)
        folder = arrivals.admit(source, zoos, name=name)
    judges = (
        "it judges from now on, unless `mgr zoo default` names another"
        if entries.default_entry(zoos) == folder
        else f"`mgr zoo default {folder.name}` lets it judge"
    )
    console.note(
        f"{folder}: it computes what its card says; `mgr zoo show {folder.name}` shows whence it "
        f"comes, {judges}"
    )
