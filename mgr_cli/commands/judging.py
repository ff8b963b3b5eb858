"""What `mgr eval` does once it knows what is wanted: entries, judged on the same tracks."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console
from mgr_cli.config import FEWEST_CALIBRATED, Device, Split, VoteRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mgr_cli.appraisal import Appraisal
    from mgr_cli.comparison import Pair
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.prediction import Predictor
    from mgr_cli.taxonomy import Tree
    from mgr_cli.zoo.card import Card


@dataclass(frozen=True)
class Order:
    """What is the same for every entry of a command."""

    data: str | None
    split: Split
    vote: VoteRule | None
    genre_map: Path | None
    allow_leak: bool
    regrid: bool
    genre_tree: Path | None
    calibrate: bool
    seed: int
    device: Device
    prepared: Path
    precision: float
    record: bool
    learn: bool  # write the calibration to the card too


def judge(folders: "Sequence[Path]", order: Order) -> "list[Appraisal]":
    """Judge entries, all of them on the dataset of the first one unless another is named."""
    from mgr_cli.commands import lookup
    from mgr_cli.zoo.card import load_card

    cards = [load_card(folder) for folder in folders]
    if len({card.name for card in cards}) < len(cards):
        console.fail("--compare takes entries of different names, as their cards have them")
    dataset = lookup.dataset_of(cards[0], order.data, order.prepared)
    is_own = dataset.split_digest == cards[0].dataset.split_digest
    if order.record and (order.genre_map or order.allow_leak or order.regrid or not is_own):
        console.fail("--record is for the split that the entry was trained with; leave it out here")
    if order.learn:
        _check_can_learn(cards[0], dataset, order)
    tree = _tree(dataset, order)
    return [_appraised(folder, dataset, tree, order) for folder in folders]


def compared(found: "list[Appraisal]", seed: int) -> "tuple[Pair, ...]":
    """Test how entries differ on the tracks that all of them have judged."""
    import numpy as np

    from mgr_cli import comparison
    from mgr_cli.errors import DatasetError

    said = [
        {track.track_id: right for track, right in zip(done.tracks, done.right, strict=True)}
        for done in (each.evaluation for each in found)
    ]
    shared = [name for name in said[0] if all(name in own for own in said)]
    if not shared:
        raise DatasetError("the entries have judged no track in common")
    right = np.array([[own[name] for name in shared] for own in said], dtype=bool)
    names = [each.evaluation.entry for each in found]
    return comparison.compare(names, right, rng=np.random.default_rng(seed))


def record(folder: Path, found: "Appraisal", order: Order) -> None:
    """Write the scores to the entry's card, and its calibration where that is to be learned."""
    from mgr_cli import findings

    learned = found.calibration if order.learn else None
    findings.record(folder, found.evaluation, calibrated=learned)
    if learned is not None:
        console.note(f"{folder.name}: temperature and trust are on its card")


def _check_can_learn(card: "Card", dataset: "PreparedDataset", order: Order) -> None:
    """Refuse what is nothing for a card."""
    if order.vote not in (None, card.vote):
        console.fail(f"a card learns of its own vote, {card.vote}; leave --vote {order.vote} out")
    n_tracks = len(dataset.numbers("valid"))
    if n_tracks < FEWEST_CALIBRATED:
        console.fail(
            f"{dataset.name} has {n_tracks} validation tracks, too few to calibrate a card by; "
            f"expected {FEWEST_CALIBRATED} at least: leave --record out"
        )


def _appraised(
    folder: Path, dataset: "PreparedDataset", tree: "Tree | None", order: Order
) -> "Appraisal":
    from mgr_cli import genre_maps
    from mgr_cli.appraisal import appraise
    from mgr_cli.commands import lookup
    from mgr_cli.prediction import Predictor

    predictor = Predictor.load(folder, device=order.device, vote=order.vote, runtime="torch")
    card = predictor.card
    names = None
    if order.genre_map is not None:
        names = genre_maps.read(order.genre_map, dataset.genres, card.classes)
    with console.progress(f"judging by {card.name}") as progress:
        found = appraise(
            predictor, dataset, split=order.split, genre_map=names, tree=tree,
            trained_on=lookup.trained_on(card, order.prepared), allow_leak=order.allow_leak,
            regrid=order.regrid, calibrated=order.calibrate, wanted=order.precision,
            seed=order.seed, progress=progress,
        )  # fmt: skip
    return replace(found, pace=_pace(predictor, dataset, order, folder))


def _tree(dataset: "PreparedDataset", order: Order) -> "Tree | None":
    """Read the tree of genres that is named, or the dataset's own where it has one."""
    from mgr_cli.appraisal import fits
    from mgr_cli.data import fma, fma_tables
    from mgr_cli.errors import DatasetError

    if order.genre_tree is not None:
        tree = fma_tables.read_tree(order.genre_tree)
        if order.genre_map or not fits(tree, dataset):
            console.fail(f"{order.genre_tree} lacks genres that are judged; leave --genre-tree out")
        return tree
    try:  # nobody asked for it: tables and genres may be the user's own
        own = None if order.genre_map else fma.genre_table(Path(dataset.source))
        found = fma_tables.read_tree(own) if own else None
    except (DatasetError, OSError):
        return None
    return found if found and fits(found, dataset) else None


def _pace(
    predictor: "Predictor", dataset: "PreparedDataset", order: Order, folder: Path
) -> dict[str, float]:
    """Time an entry where it ran, and on the CPU if that was elsewhere."""
    from mgr_cli import judging
    from mgr_cli.errors import DatasetError
    from mgr_cli.models import registry
    from mgr_cli.prediction import Predictor, chosen_device

    alone = registry.is_fitted(predictor.card.architecture) and predictor.card.borrowed is None
    place = "cpu" if alone else chosen_device(order.device)
    try:
        found = {place: judging.pace(predictor, dataset, split=order.split)}
    except DatasetError:  # another front end: the sound was judged
        return {}
    if place != "cpu":
        slower = Predictor.load(folder, device="cpu", vote=order.vote, runtime="torch")
        found["cpu"] = judging.pace(slower, dataset, split=order.split)
    return found
