"""Entries as others take them: one ONNX file, an archive, a Hugging Face folder.

What is written appears whole or not at all, holds the same bytes each time, and never takes the
place of what is there. Nothing is uploaded.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from mgr_cli.errors import ZooError
from mgr_cli.files import replacing
from mgr_cli.models.registry import is_fitted
from mgr_cli.zoo import hub
from mgr_cli.zoo.card import CARD, Card, load_card
from mgr_cli.zoo.contents import EXTRAS, files_of
from mgr_cli.zoo.weights import checked

Format = Literal["onnx", "safetensors", "hf"]

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip
MODE = 0o100644  # a file that everybody may read
UNIX = 3  # the system that such modes are of
SEGMENTS = (
    "inputs: segments of a track, normalised by band; output: logits, whose softmax is the "
    "probabilities of a segment; those of a track are pooled by the vote"
)
ROWS = (
    "input: rows of normalised columns, or, of log-mels, the seven statistics of each band over a "
    "segment (mgr_cli.features.statistics); output: probabilities, or their logits"
)
MAX_MESSAGE = 2**31 - 1  # bytes of a protocol buffer


def export(folder: Path, format: Format, target: Path) -> None:
    """Write an entry in a format of others.

    Parameters
    ----------
    folder : Path
        Of the entry.
    format : {"onnx", "safetensors", "hf"}
        One file that onnxruntime runs; a zip that `arrivals.admit` takes; a folder for the
        Hugging Face hub, which it takes too.
    target : Path
        The file or folder.

    Raises
    ------
    ZooError
        If something is there, a file of the entry is not what its card says, or it has no graph.
    """
    if target.exists() or target.is_symlink():
        raise ZooError(f"{target} exists already; remove it, or choose another --output")
    card = load_card(folder)
    graph = (card.graph.file,) if card.graph else ()
    for file in (
        card.weights,
        card.golden,
        *graph,
        *(card.borrowed.files if card.borrowed else ()),
    ):
        checked(folder, file)
    WRITERS[format](folder, card, target)


def default_name(name: str, format: Format) -> str:
    """Return what an exported entry is called unless somebody says."""
    return {"onnx": f"{name}.onnx", "safetensors": f"{name}.zip", "hf": f"{name}-hf"}[format]


def _pack(folder: Path, card: Card, target: Path) -> None:
    """Write all files of an entry into a zip, as they are."""
    with replacing(target) as part, ZipFile(part, "w", ZIP_STORED) as archive:
        for name in _present(folder, card):
            member = ZipInfo(f"{card.name}/{name}", EPOCH)
            member.external_attr, member.create_system = MODE << 16, UNIX
            member.file_size = (folder / name).stat().st_size  # whether it needs large offsets
            with (folder / name).open("rb") as file, archive.open(member, "w") as written:
                shutil.copyfileobj(file, written)


def _present(folder: Path, card: Card) -> list[str]:
    return [*files_of(card), *(name for name in EXTRAS if (folder / name).is_file())]


def _write_hub_folder(folder: Path, card: Card, target: Path) -> None:
    """Write an entry with the description that the hub of Hugging Face shows and searches."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for name in _present(folder, card):
            shutil.copyfile(folder / name, part / name)
        for name, text in hub.files(card).items():
            (part / name).write_text(text, encoding="utf-8", newline="\n")
        mode = (part / CARD).stat().st_mode  # mkdtemp makes private folders
        part.chmod(mode & 0o777 | 0o700 | (mode & 0o444) >> 2)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # it is gone if all went well


def _write_graph(folder: Path, card: Card, target: Path) -> None:
    """Write one ONNX file that needs no other: weights that lie elsewhere are put into it."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    if card.graph is None:
        why = card.no_graph or "it was saved before entries had one"
        raise ZooError(
            f"{card.name} has no ONNX graph ({why}); --format safetensors writes it whole"
        )
    size = sum((folder / name).stat().st_size for name in files_of(card))
    if size > MAX_MESSAGE:
        raise ZooError(
            f"{card.name} has {size} bytes, more than an ONNX file takes ({MAX_MESSAGE})"
        )
    model = onnx.load(str(folder / card.graph.file.file), load_external_data=False)
    load_external_data_for_model(model, str(folder))
    for end in model.graph.output:  # skl2onnx leaves it open, and strict readers want it
        if not end.type.tensor_type.HasField("shape"):
            end.type.tensor_type.shape.dim.add(dim_param="batch")
            end.type.tensor_type.shape.dim.add(dim_value=len(card.classes))
    known = {each.key: each.value for each in model.metadata_props}
    onnx.helper.set_model_props(model, {**known, **_about(card)})
    onnx.checker.check_model(model)
    with replacing(target) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))


def _about(card: Card) -> dict[str, str]:
    """Say what feeds a graph and what comes out of it, for who has nothing but the file."""
    said = card.model_dump(mode="json")
    keys = ("classes", "eats", "features", "segments", "normalisation", "columns", "vote")
    return {
        "name": card.name,
        "about": ROWS if is_fitted(card.architecture) else SEGMENTS,
        "licence": card.licence,
        **{key: json.dumps(said[key]) for key in (*keys, "temperature", "trust")},
        "card": json.dumps(said),
    }


WRITERS: dict[Format, Callable[[Path, Card, Path], None]] = {
    "onnx": _write_graph,
    "safetensors": _pack,
    "hf": _write_hub_folder,
}
