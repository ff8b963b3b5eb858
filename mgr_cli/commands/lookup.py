"""What an option that names something, or nothing, stands for."""

from pathlib import Path

from mgr_cli.data import prepared as datasets
from mgr_cli.data.dataset import PreparedDataset


def prepared_dataset(name: str | None, prepared: Path) -> PreparedDataset:
    """Load the dataset of that name or folder, the newest without a name.

    Raises
    ------
    DatasetError
        If there is none.
    """
    if name is None:
        return datasets.load(datasets.newest(prepared))
    folder = prepared / name
    return datasets.load(folder if folder.is_dir() or not Path(name).is_dir() else Path(name))
