"""What an option that names something, or nothing, stands for."""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.errors import DatasetError
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import Card

if TYPE_CHECKING:  # pandas, which a song is judged without
    from mgr_cli.data.dataset import PreparedDataset


def entry(name: str | None, zoo: Path | None) -> Path:
    """Return the folder of the entry of that name or folder, the newest without a name.

    Raises
    ------
    ZooError
        If there is none.
    """
    zoos = entries.places(zoo)
    return entries.find(name, zoos) if name else entries.newest(zoos)


def default_entry(name: str | None, zoo: Path | None) -> Path:
    """Return the folder of the entry of that name or folder, the default one without a name.

    Raises
    ------
    ZooError
        If there is none.
    """
    zoos = entries.places(zoo)
    return entries.find(name, zoos) if name else entries.default_entry(zoos)


def dataset_of(card: Card, name: str | None, prepared: Path) -> "PreparedDataset":
    """Load what an entry is to be judged on: without a name its own dataset, else the newest.

    Its tracks are split as they were for the entry.

    Raises
    ------
    DatasetError
        If there is none.
    """
    own = (prepared / card.dataset.name).is_dir()
    return _folded(card, prepared_dataset(name or (card.dataset.name if own else None), prepared))


def trained_on(card: Card, prepared: Path) -> "PreparedDataset | None":
    """Load the dataset that an entry was trained on; None where it is not at hand."""
    try:
        return _folded(card, prepared_dataset(card.dataset.name, prepared))
    except DatasetError:
        return None


def _folded(card: Card, dataset: "PreparedDataset") -> "PreparedDataset":
    """Test on the fold that an entry was to be tested on, if the folds are those of its dataset."""
    fold = card.dataset.fold
    if fold is None or fold >= dataset.n_folds:
        return dataset
    found = dataset.tested_on(fold)
    return found if found.split_digest == card.dataset.split_digest else dataset


def prepared_dataset(name: str | None, prepared: Path) -> "PreparedDataset":
    """Load the dataset of that name or folder, the newest without a name.

    Raises
    ------
    DatasetError
        If there is none.
    """
    from mgr_cli.data import prepared as datasets

    if name is None:
        return datasets.load(datasets.newest(prepared))
    folder = prepared / name
    return datasets.load(folder if folder.is_dir() or not Path(name).is_dir() else Path(name))
