"""Entries: where they lie, how one is chosen, saved, loaded and verified.

An entry is a folder with `card.json`, `model.safetensors`, `golden.safetensors` and, of most
models, `model.onnx`, see `golden` and `graphs`. New entries go to one place; they are looked for in
several, the ones shipped with the package last.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
from platformdirs import user_data_path

from mgr_cli.errors import ZooError
from mgr_cli.files import is_plain_name
from mgr_cli.inputs import Arrays
from mgr_cli.zoo import golden, weights
from mgr_cli.zoo.card import CARD, Card, load_card, save_card
from mgr_cli.zoo.tensors import one_line

DEFAULT = "default.txt"  # beside the entries: the name that `predict` takes unasked
MAX_NAME = 100  # letters


@dataclass(frozen=True)
class Soundness:
    """By how much an entry differs from what it was when it was saved.

    Attributes
    ----------
    difference : float
        Of an embedding or a logit, or a pipeline's probability, from the golden ones.
    graph : float or None
        Of a probability that its graph gives from that of the model; None if it has no graph.
    """

    difference: float
    graph: float | None


def home(zoo: Path | None = None) -> Path:
    """Return the folder that new entries go to.

    Parameters
    ----------
    zoo : Path, optional
        The user's choice; without it `./zoo` if that exists, else the user's data folder.
    """
    if zoo is not None:
        return zoo
    local = Path("zoo")
    return local if local.is_dir() else user_data_path("mgr") / "zoo"


def places(zoo: Path | None = None) -> list[Path]:
    """Return the folders that entries are looked for in, in order."""
    package = Path(str(package_files("mgr_cli")))
    shipped = [package / "_zoo", package.parent / "zoo"]  # installed from a wheel, or in place
    return [home(zoo), *(folder for folder in shipped if folder.is_dir())]


def folders(zoos: Sequence[Path]) -> dict[str, Path]:
    """List entries as name → folder, sorted; an earlier zoo hides a later one's names."""
    found: dict[str, Path] = {}
    for zoo in zoos:
        for card in sorted(zoo.glob(f"*/{CARD}")):
            if is_plain_name(card.parent.name):  # not one that is being saved
                found.setdefault(card.parent.name, card.parent)
    return dict(sorted(found.items()))


def find(name: str, zoos: Sequence[Path]) -> Path:
    """Return the folder of an entry, given its name or the path of its folder.

    Raises
    ------
    ZooError
        If there is none; close names are offered.
    """
    known = folders(zoos)
    if name in known:
        return known[name]
    if (Path(name) / CARD).is_file():
        return Path(name)
    close = get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
    raise ZooError(f"no entry {name!r} in the zoo; {hint if known else 'it is empty'}")


def newest(zoos: Sequence[Path]) -> Path:
    """Return the folder of the entry that was created last; damaged ones are passed over.

    Raises
    ------
    ZooError
        If there is none.
    """
    dated = []
    for folder in folders(zoos).values():
        try:
            dated.append((load_card(folder).created, folder.name, folder))
        except ZooError:
            continue
    if not dated:
        raise ZooError("the zoo is empty; train an entry with `mgr train`")
    return max(dated)[2]


def default_entry(zoos: Sequence[Path] | None = None) -> Path:
    """Return the folder of the entry that judges unless another one is asked for.

    That is, in the first zoo that has a whole entry at all, the one that its `default.txt` names,
    else its newest: what somebody trained comes before what the package brings.

    Parameters
    ----------
    zoos : sequence of Path, optional
        Where to look; `places` by default.

    Raises
    ------
    ZooError
        If there is no entry at all, or the default is not there.
    """
    zoos = places() if zoos is None else zoos
    for zoo in zoos:
        if (zoo / DEFAULT).is_file():
            return _named_default(zoo / DEFAULT, zoos)
        with suppress(ZooError):  # nothing there, or nothing whole
            return newest([zoo])
    return newest(zoos)


def _named_default(path: Path, zoos: Sequence[Path]) -> Path:
    try:
        return find(path.read_text(encoding="utf-8").strip(), zoos)
    except (ZooError, OSError, UnicodeDecodeError) as error:
        raise ZooError(
            f"{path}: {one_line(error)}; `mgr zoo default NAME` chooses another"
        ) from error


def free_name(wanted: str, zoo: Path) -> str:
    """Return a name that no entry of a zoo has: the wanted one, or with -2, -3, … behind."""
    number = 1
    name = wanted
    while (zoo / name).exists():
        number += 1
        name = f"{wanted}-{number}"
    return name


def save(
    card: Card,
    model: "weights.Model",
    zoo: Path,
    *,
    rng: np.random.Generator,
    with_graph: bool = True,
) -> Path:
    """Save an entry: its folder appears whole, or not at all.

    Parameters
    ----------
    card : Card
        Its `weights`, `golden`, `n_parameters`, `graph` and `no_graph` are filled in here.
    model : nn.Module or Judge
        A net is on the CPU, in evaluation mode; a judge is fitted.
    zoo : Path
        Where it goes, under the card's name.
    rng : np.random.Generator
        Draws the golden input, and what the graph is compared on.
    with_graph : bool
        Whether a graph is made, which takes some tenths of a second; `add_graph` can do it later.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ZooError
        If the name is taken, or is no name of a folder.
    """
    with arriving(card.name, zoo) as part:
        said = weights.save_model(part, model, zoo)
        file, inputs = golden.save(part, card, model, rng=rng)
        card = card.model_copy(update={**said, "golden": file})
        if with_graph:
            card = _with_graph(part, card, model, inputs, rng=rng)
        save_card(part, card)
    return zoo / card.name


def add_graph(folder: Path) -> Card:
    """Give an entry that is there its graph, anew if it has one, and return its new card.

    Raises
    ------
    ZooError
        If the entry is damaged.
    """
    card = load_card(folder)
    model = weights.load_model(folder, card)
    inputs = golden.inputs(folder, card)
    card = _with_graph(folder, card, model, inputs, rng=np.random.default_rng(0))
    save_card(folder, card)
    return card


def _with_graph(
    folder: Path,
    card: Card,
    model: "weights.Model",
    inputs: Arrays,
    *,
    rng: np.random.Generator,
) -> Card:
    from mgr_cli.zoo import graphs  # which few commands need

    return card.model_copy(update=graphs.save(folder, model, card, inputs, rng=rng))


def adopt(source: Path, card: Card, zoo: Path) -> Path:
    """Copy an entry into a zoo under another card, whose name it gets.

    Raises
    ------
    ZooError
        If the name is taken, or is no name of a folder.
    """
    with arriving(card.name, zoo) as part:
        for path in source.iterdir():
            if path.name != CARD:
                shutil.copyfile(path, part / path.name)
        save_card(part, card)
    return zoo / card.name


@contextmanager
def arriving(name: str, zoo: Path) -> Iterator[Path]:
    """Give a folder to be filled, its card last, which then is the entry of that name."""
    if not is_plain_name(name) or name == DEFAULT or name[0] == "-" or len(name) > MAX_NAME:
        raise ZooError(f"{name[:80]!r} cannot be the name of an entry; use letters and digits")
    target = zoo / name
    if target.exists():
        raise ZooError(f"{target} exists already; choose another --name")
    zoo.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=zoo, prefix=f".{name}."))
    try:
        yield part
        mode = (part / CARD).stat().st_mode  # mkdtemp makes private folders
        part.chmod(mode | (mode & 0o444) >> 2)  # who may read the files may enter the folder
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # it is gone if all went well


def verify(folder: Path) -> Soundness:
    """Check that an entry still computes what it computed when it was saved, and its graph too.

    Raises
    ------
    ZooError
        If a digest differs, the golden sample is not one of this net, a difference is above
        `golden.TOLERANCE`, or above `graphs.TOLERANCE` of the graph's, or no number.
    """
    card = load_card(folder)
    model = weights.load_model(folder, card)
    difference = golden.difference(folder, card, model)
    inputs = golden.inputs(folder, card)
    return Soundness(difference, _graph_difference(folder, card, model, inputs))


def _graph_difference(
    folder: Path, card: Card, model: "weights.Model", inputs: Arrays
) -> float | None:
    if card.graph is None:
        return None
    from mgr_cli.zoo import graphs, sessions

    score = sessions.load_graph(folder, card)
    found = graphs.difference(score, weights.score_with(model, card), inputs)
    if not found <= graphs.TOLERANCE:
        raise ZooError(
            f"{folder}: its graph differs from its model by {found:.1e}, "
            f"more than {graphs.TOLERANCE:.0e}"
        )
    return found
