"""The smallest things that can be trained, saved and judged.

Tracks are noise with one loud band a genre, so that a net tells them apart in seconds.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mgr_cli.augmentation import Augmentation
from mgr_cli.config import SPLITS, FeatureSpec, Recipe, SegmentSpec
from mgr_cli.data import prepared as datasets
from mgr_cli.data.dataset import COLUMNS, PreparedDataset
from mgr_cli.data.store import OK, shard_path
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.inputs import Arrays
from mgr_cli.models import registry
from mgr_cli.plans import Plan
from mgr_cli.task import Task
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import Card, TrainedOn, WeightsFile
from tests import shards

GENRES = ("blues", "jazz", "rock")
SPEC = FeatureSpec(sample_rate=8_000, n_fft=512, hop_length=400, n_mels=16)  # 20 frames a second
SEGMENTS = SegmentSpec(seconds=0.5, hop_seconds=0.5)  # 10 frames
LENGTH = 10
N_FRAMES = 40  # of a track: four segments
NORMALISATION = Normalisation(mean=(-40.0,) * 16, std=(10.0,) * 16)
TRACKS_OF_A_GENRE = {"train": 4, "valid": 2, "test": 2}

ARCHITECTURE = "short-chunk-resnet"
NARROW = {"width": 2, "dropout": 0.0}
RECIPE = Recipe(epochs=8, batch_size=16, learning_rate=0.01, schedule="constant", patience=8)


def levels(label: int, rng: np.random.Generator, *, contrast: float = 20.0) -> np.ndarray:
    """Return a track (16, N_FRAMES) in dB: bands 5 · label to 5 · label + 4 stand out."""
    track = rng.normal(-40, 5, (SPEC.n_mels, N_FRAMES))
    track[5 * label : 5 * label + 5] += contrast
    return track


def dataset(
    folder: Path,
    *,
    genres: Sequence[str] = GENRES,
    contrast: float = 20.0,
    absent: str = "none",
    seed: int = 0,
) -> PreparedDataset:
    """Write a prepared dataset of 24 tracks and return it as read back.

    `contrast` is what tells the genres apart, in dB; the features of the split `absent`
    are not there, though the table says that its tracks are whole.
    """
    rng = np.random.default_rng(seed)
    rows, features = [], []
    for split in SPLITS:
        for label, genre in enumerate(GENRES):
            for copy in range(TRACKS_OF_A_GENRE[split]):
                name = f"{split}-{genre}-{copy}"
                track = levels(label, rng, contrast=contrast)
                features.append(None if split == absent else track)
                says = [genre, "", "", ""]  # genres, artist, album, title
                heard = [2.0, 8_000, "pcm", split, "", OK, "", "none"]
                rows.append([name, f"{name}.wav", genre, *says, *heard])
    shards.write_levels(shard_path(folder / "log-mel", 0), features)
    whole = PreparedDataset(
        root=folder,
        name="tiny",
        layout="made up",
        genres=tuple(genres),
        plan=Plan(spec=SPEC),
        normalisations={"log-mel": NORMALISATION},
        source="/music/tiny",
        tracks=pd.DataFrame(rows, columns=list(COLUMNS)),
    )
    datasets.save(whole, details={})
    return datasets.load(folder)


def net(*, seed: int = 0) -> nn.Module:
    """Make an untrained net in evaluation mode, its batch norms as if it had seen something."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = registry.build(
            ARCHITECTURE, {"n_mels": 16, "n_frames": 39}, n_classes=3, changes=NARROW
        )
        made.train()
        for _ in range(3):
            made(torch.randn(8, SPEC.n_mels, LENGTH))
    return made.eval()


def wavering(inputs: Arrays) -> np.ndarray:
    """Judge by a random projection of the segment: now right, now wrong."""
    (x,) = inputs
    logits = x.mean(axis=2) @ (np.random.default_rng(2).normal(size=(16, 3)) / 4)
    exponentials = np.exp(8 * (logits - logits.max(axis=1, keepdims=True)))
    probs: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probs


def card(name: str = "tiny", *, created: str = "2024-05-01T12:00:00+00:00") -> Card:
    """Make a card that fits `net`."""
    nothing = WeightsFile(file="none", sha256="0" * 64)
    return Card(
        name=name,
        created=created,
        architecture=ARCHITECTURE,
        hyperparameters=dict(NARROW),
        n_parameters=0,
        classes=GENRES,
        eats=("log-mel",),
        features=SPEC,
        normalisation={"log-mel": NORMALISATION},
        segments=SEGMENTS,
        vote="mean",
        recipe=RECIPE,
        seed=0,
        best_epoch=1,
        dataset=TrainedOn(name="another", split_digest="a" * 64, counts={"train": 12}),
        figures={},
        weights=nothing,
        golden=nothing,
        licence="none",
        provenance="made by a test",
        versions={"torch": "2"},
    )


def entry(
    zoo: Path, name: str = "tiny", *, created: str = "2024-05-01T12:00:00+00:00", seed: int = 0
) -> Path:
    """Save an untrained entry, without a graph, and return its folder."""
    return entries.save(
        card(name, created=created), net(seed=seed), zoo, rng=np.random.default_rng(seed),
        with_graph=False,
    )  # fmt: skip


def task(net: nn.Module, recipe: Recipe, *, n_classes: int, weights: Tensor | None = None) -> Task:
    """Make what trains a net on log-mels, outside of any run."""
    augmentation = Augmentation(recipe, ("log-mel",))
    return Task(net, recipe, augmentation, n_classes=n_classes, seed=0, weights=weights)
