"""Whether an entry can judge what was prepared: the same genres, and the same front end."""

from collections.abc import Sequence

from mgr_cli import genre_maps
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DatasetError
from mgr_cli.features import regridding
from mgr_cli.plans import VECTORS
from mgr_cli.zoo.card import Card


def check(dataset: PreparedDataset, card: Card) -> None:
    """Refuse a dataset that an entry cannot judge.

    Raises
    ------
    DatasetError
        If it has other genres than the entry, lacks features that the entry takes, or was
        prepared with another front end.
    """
    genre_maps.same(dataset.genres, card.classes, names=(dataset.name, card.name))
    check_front_end(dataset, card)


def check_front_end(dataset: PreparedDataset, card: Card) -> None:
    """Refuse a dataset whose features are not what an entry takes.

    Raises
    ------
    DatasetError
        If it lacks some, or was prepared with another front end.
    """
    dataset.inputs(card.eats, card.segments)  # raises where some are missing
    for kind in card.eats:
        if kind in VECTORS:
            difference = _other_columns(dataset.columns, card.columns) or _other(
                dataset.plan, card, ("form",)
            )
        else:
            names = ("sample_rate",) if kind == "waveform" else tuple(vars(card.features))
            difference = _other(dataset.plan.spec, card.features, names)
        if difference:
            raise DatasetError(
                f"{dataset.name} was prepared with another front end than that of {card.name}: "
                f"{difference}"
            )


def can_regrid(dataset: PreparedDataset, card: Card) -> bool:
    """Tell whether a dataset's log-mels can be translated to all that an entry takes."""
    return (
        card.eats == ("log-mel",)
        and "log-mel" in dataset.plan.kinds
        and bool(regridding.shared_bands(dataset.plan.spec, card.features).any())
    )


def _other(found: object, expected: object, names: Sequence[str]) -> str:
    """Name the first setting in which two front ends differ, nothing if they do not."""
    for name in names:
        own, other = getattr(found, name), getattr(expected, name)
        if own != other:
            return f"{name} is {own}, expected {other}; prepare it again with that"
    return ""


def _other_columns(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    """Say how the columns of two tables differ, nothing if they do not."""
    if found == expected:
        return ""
    known, wanted = set(found), set(expected)
    missing = [name for name in expected if name not in known]
    more = [name for name in found if name not in wanted]
    if missing:
        what = f"it lacks {len(missing)} of {len(expected)} columns, the first {missing[0]!r}"
    elif more:
        what = f"it has {len(more)} columns besides, the first {more[0]!r}"
    else:
        pairs = zip(found, expected, strict=False)
        own, other = next((pair for pair in pairs if pair[0] != pair[1]), (found, expected))
        what = f"its columns are in another order, {own!r} where {other!r} is expected"
    return f"{what}; prepare a table with just the columns of the entry, in their order"
