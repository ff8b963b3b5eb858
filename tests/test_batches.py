from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mgr_cli import batches
from mgr_cli.batches import Shares
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import DatasetError, TrainingError
from tests import tiny


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return tiny.dataset(tmp_path_factory.mktemp("data"))


def test_shares_of_all_devices_are_the_batches_of_one() -> None:
    whole = list(Shares(range(10), 4))
    assert whole == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    shares = [list(Shares(range(10), 4, rank=rank, n_ranks=2)) for rank in range(2)]
    assert shares == [[[0, 2], [4, 6], [8]], [[1, 3], [5, 7], [9]]]
    assert [len(Shares(range(10), 4, rank=1, n_ranks=2))] == [3]


def test_device_for_which_nothing_is_left_sees_the_last_item_again() -> None:
    assert list(Shares(range(5), 4, rank=1, n_ranks=2)) == [[1, 3], [4]]


@pytest.mark.parametrize("n_workers", [0, 2])
def test_workers_give_the_same_batches(dataset: PreparedDataset, n_workers: int) -> None:
    inputs = dataset.inputs(("log-mel",), tiny.SEGMENTS)

    def drawn(n_workers: int) -> Iterator[torch.Tensor]:
        train, valid = batches.loaders(dataset, inputs, tiny.RECIPE, 3, n_workers=n_workers)
        for loader in (train, valid):
            for (levels,), labels, numbers in loader:
                yield from (levels, labels, numbers)

    for one, other in zip(drawn(0), drawn(n_workers), strict=True):
        assert torch.equal(one, other)


def test_dataset_that_nothing_can_be_trained_on_is_refused(dataset: PreparedDataset) -> None:
    batches.check(dataset)
    tracks = dataset.tracks
    with pytest.raises(DatasetError, match="no usable track in the valid split"):
        batches.check(replace(dataset, tracks=tracks[tracks.split != "valid"]))
    gone = tracks[(tracks.split != "train") | (tracks.genre != "rock")]
    with pytest.raises(TrainingError, match="no track of 'rock' in the train split; prepare it"):
        batches.check(replace(dataset, tracks=gone))


def test_device_reads_its_share_of_each_batch(dataset: PreparedDataset, tmp_path: Path) -> None:
    inputs = dataset.inputs(("log-mel",), tiny.SEGMENTS)
    whole, _ = batches.loaders(dataset, inputs, tiny.RECIPE, 0)
    second, _ = batches.loaders(dataset, inputs, tiny.RECIPE, 0, rank=1, n_ranks=2)
    for ((levels,), labels, _), ((own,), own_labels, _) in zip(whole, second, strict=True):
        assert torch.equal(levels[1::2], own)
        assert torch.equal(labels[1::2], own_labels)
