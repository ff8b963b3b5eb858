from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from mgr_cli import segments
from mgr_cli.config import FeatureSpec, SegmentSpec
from mgr_cli.data.crops import CropDataset, RandomCrops, fixed_crops
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.data.store import shard_path
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.plans import Plan
from tests import shards

LENGTH = 10
N_FRAMES = {0: 35, 1: 4, 2: 10}  # three crops and a half, half a crop, one
LABELS = {0: 1, 1: 0, 2: 1}
NORMALISATION = Normalisation((100.0, 200.0), (2.0, 4.0))


@pytest.fixture
def crops(tmp_path: Path) -> CropDataset:
    """Frame t of track n is n + t in band 0 and ten times that in band 1."""
    tracks = [np.arange(n) + number for number, n in N_FRAMES.items()]
    features = [np.stack([track, 10 * track]) for track in tracks]
    shards.write_levels(shard_path(tmp_path / "log-mel", 0), features)
    spec = FeatureSpec(sample_rate=1_000, hop_length=100, n_mels=2)  # 10 frames a second
    dataset = PreparedDataset(
        tmp_path, "set", "folder", ("a", "b"), Plan(spec=spec), pd.DataFrame(),
        {"log-mel": NORMALISATION},
    )  # fmt: skip
    inputs = dataset.inputs(("log-mel",), SegmentSpec(seconds=1.0, hop_seconds=1.0))
    assert (inputs.length, inputs.hop) == (LENGTH, LENGTH)
    return CropDataset(dataset, inputs, LABELS)


def test_batch_is_the_normalised_frames_from_the_start_on(crops: CropDataset) -> None:
    (levels,), labels, numbers = crops.__getitems__([(0, 25), (2, 0)])
    first = np.arange(25, 35)
    np.testing.assert_allclose(levels[0, 0], (first - 100) / 2)
    np.testing.assert_allclose(levels[0, 1], (10 * first - 200) / 4)
    np.testing.assert_allclose(levels[1, 0], (np.arange(2, 12) - 100) / 2)
    assert levels.dtype == torch.float32
    assert (labels.tolist(), numbers.tolist()) == ([1, 1], [0, 2])


def test_short_track_is_repeated(crops: CropDataset) -> None:
    (levels,), labels, _ = crops.__getitems__([(1, 0)])
    expected = np.array([1, 2, 3, 4, 1, 2, 3, 4, 1, 2])
    np.testing.assert_allclose(levels[0, 0], (expected - 100) / 2)
    assert labels.tolist() == [0]


def test_fixed_crops_are_the_segments_that_prediction_cuts(crops: CropDataset) -> None:
    chosen = fixed_crops(N_FRAMES, length=LENGTH, hop=LENGTH)
    assert chosen == [(0, 0), (0, 10), (0, 20), (0, 25), (1, 0), (2, 0)]
    (levels,), *_ = crops.__getitems__(chosen[:4])
    whole = np.stack([np.arange(35), 10 * np.arange(35)])
    cut = NORMALISATION.apply(segments.cut(whole, length=LENGTH, hop=LENGTH))
    np.testing.assert_allclose(levels, cut, rtol=1e-6)


def test_loader_batches_what_the_sampler_picks(crops: CropDataset) -> None:
    sampler = RandomCrops(N_FRAMES, length=LENGTH, seed=0)
    loader: DataLoader[Any] = DataLoader(
        crops, sampler=sampler, batch_size=2, collate_fn=lambda batch: batch
    )
    batches = list(loader)
    assert [len(levels) for (levels,), _, _ in batches] == [2, 2, 1]
    seen = Counter(number for _, _, numbers in batches for number in numbers.tolist())
    assert seen == {0: 3, 1: 1, 2: 1}


def test_as_many_random_crops_are_drawn_as_fit_and_each_lies_in_its_track() -> None:
    sampler = RandomCrops(N_FRAMES, length=LENGTH, seed=0)
    starts = []
    for epoch in range(200):
        sampler.set_epoch(epoch)
        drawn = list(sampler)
        assert len(drawn) == len(sampler) == 5
        assert Counter(number for number, _ in drawn) == {0: 3, 1: 1, 2: 1}
        assert all(start == 0 for number, start in drawn if number != 0)
        starts += [start for number, start in drawn if number == 0]
    # 600 draws from 26 starts, the first and the last among them, 23 each.
    assert set(starts) == set(range(26))
    assert max(Counter(starts).values()) < 60


def test_seed_and_epoch_decide_the_crops() -> None:
    def drawn(seed: int, epoch: int) -> list[tuple[int, int]]:
        sampler = RandomCrops(dict.fromkeys(range(20), 500), length=LENGTH, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert drawn(0, 0) == drawn(0, 0)
    assert drawn(0, 0) != drawn(0, 1)
    assert drawn(0, 0) != drawn(1, 0)
    assert drawn(0, 1) != drawn(1, 0)


def test_tracks_come_in_random_order() -> None:
    sampler = RandomCrops(dict.fromkeys(range(50), LENGTH), length=LENGTH, seed=0)
    order = [number for number, _ in sampler]
    assert sorted(order) == list(range(50))
    assert order != sorted(order)
