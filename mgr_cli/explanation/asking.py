"""Making an entry ready to be asked about masked segments, whatever it takes and is."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from mgr_cli.errors import AudioError
from mgr_cli.explanation.attribution import BLOCKS, COARSE, FINE, Windows
from mgr_cli.explanation.masking import Levels, LogProbs, Masked, Waves
from mgr_cli.explanation.parts import Part
from mgr_cli.extraction import Extraction
from mgr_cli.features.normalisation import identity
from mgr_cli.inputs import Arrays
from mgr_cli.models import registry
from mgr_cli.plans import Kind
from mgr_cli.prediction import Predictor
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card
from mgr_cli.zoo.weights import Score

MOST_VALUES = 2**19  # of the segments that are asked about at a time; maps are many times more
MOST_WINDOWS = 400  # of occlusion, of a segment of log-mel
MOST_SLOW_WINDOWS = 100  # the same where an answer takes long
N_WINDOWS_IN_TIME = 12  # where even the coarsest are too many


def masked(
    model: "weights.Model", card: Card, part: Part, *, device: str, asked: Callable[[int], None]
) -> Masked:
    """Make an entry's model answer about masked segments of a part of a song.

    Parameters
    ----------
    model : nn.Module or Judge
        On the device.
    card : Card
        Of the entry.
    part : Part
        Whose segments it will be asked about.
    device : str
        Where it runs.
    asked : callable
        Called with the number of segments whenever it was asked.
    """
    score = weights.score_with(model, card, device=device)
    shape = (part.levels.shape[0], part.n_frames)
    if card.segments is None:
        n_frames = part.n_frames
        judge: nn.Module = LogProbs(_of_waveforms(score, card, part.sample_rate))
        at_once = 1
    else:
        # Of a song that is repeated, more than the picture shows.
        n_frames = card.segments.length(part.spec.frame_rate)
        judge = LogProbs(score) if isinstance(model, weights.Judge) else model
        at_once = min(Predictor(card, score).at_once, max(1, MOST_VALUES // card.inputs.n_values))
    kinds = zip(card.eats, part.inputs, strict=True)
    return Masked(
        judge, tuple(_hider(kind, x, card, part) for kind, x in kinds), shape=shape,
        n_frames=n_frames, at_once=at_once, asked=asked,
    ).to(device)  # fmt: skip


def _hider(kind: Kind, x: np.ndarray, card: Card, part: Part) -> nn.Module:
    if kind == "log-mel":
        # A borrowed net takes levels as they are, where 0 may be the loudest there is.
        return Levels(x.mean(axis=(0, 2)) if card.borrowed else None)
    # What is computed of a waveform is normalised afterwards.
    normalisation = card.normalisation["waveform"] if kind == "waveform" else identity(1)
    return Waves(
        part.spec, n_frames=part.n_frames, n_samples=x.shape[1], sample_rate=part.sample_rate,
        normalisation=normalisation, period=part.period,
    )  # fmt: skip


def _of_waveforms(score: Score, card: Card, sample_rate: int) -> Score:
    """Make what takes waveforms of what takes the features that are computed of them."""
    inputs = card.inputs

    def judge(waveforms: Arrays) -> np.ndarray:
        rows = []
        for waveform in waveforms[0]:
            with Extraction(card.plan, sample_rate, columns=card.columns) as track:
                track.push(waveform)
                track.finish()
                for problem in track.problems.values():
                    raise AudioError(f"the part that is explained: {problem}")
                rows.append(inputs.segment(track, 0))
        return score(inputs.batch(rows))

    return judge


def randomised(card: Card, *, seed: int, device: str) -> nn.Module | None:
    """Make the net of an entry with fresh weights, in evaluation mode; None if it is no net."""
    if registry.is_fitted(card.architecture):
        return None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU alone
        net = registry.build(
            card.architecture, card.inputs.dimensions,
            n_classes=len(card.classes), changes=card.hyperparameters,
        )  # fmt: skip
    return net.eval().to(device)


def windows(card: Card, shape: tuple[int, int]) -> Windows:
    """Choose the finest windows of occlusion on a picture (n_mels, n_frames), if not too many."""
    is_slow = card.borrowed is not None or card.eats != ("log-mel",)
    most = MOST_SLOW_WINDOWS if is_slow else MOST_WINDOWS
    for each in (FINE, COARSE, BLOCKS):
        if each.n_windows(card.features, shape) <= most:
            return each
    seconds = shape[1] / card.features.frame_rate
    return Windows(BLOCKS.share, seconds / N_WINDOWS_IN_TIME, 1)
