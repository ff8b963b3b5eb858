"""Teachers: entries whose answers a net learns beside what is known.

A teacher is asked about every segment of a step as the net gets it, cropped, changed and mixed, and
a share of the targets is what it says (`Recipe.teacher_share`). It tells what resembles what, which
a label does not. It has learnt the same tracks by heart, and is sure of them; of mixtures, which no
track is, it can say more.

References
----------
G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531,
section 2.
L. Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022,
section 3: both get the same view, mixtures too.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import TrainingError
from mgr_cli.features.normalisation import alike
from mgr_cli.inputs import Inputs
from mgr_cli.models.registry import ARCHITECTURES
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card, TaughtBy, load_card


@dataclass(frozen=True)
class Teacher:
    """An entry that teaches.

    Attributes
    ----------
    card : Card
        Its card.
    net : nn.Module
        Its net, in evaluation mode on the CPU.
    """

    card: Card
    net: nn.Module

    @property
    def named(self) -> TaughtBy:
        """Its name, and the digest of its weights."""
        return TaughtBy(name=self.card.name, sha256=self.card.weights.sha256)

    def says(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Judge segments, on the device that they are on.

        Parameters
        ----------
        inputs : tuple of Tensor
            What a net takes, normalised [shape=(batch, ...) each].

        Returns
        -------
        Tensor
            Probabilities [shape=(batch, n_classes)], without a gradient.
        """
        with torch.no_grad():
            logits: Tensor = self.net.to(inputs[0].device)(*inputs)
        return logits.float().softmax(dim=1)


def load(folder: Path) -> Teacher:
    """Load an entry that is to teach.

    Raises
    ------
    TrainingError
        If it is no net.
    ZooError
        If it cannot be used.
    """
    card = load_card(folder)
    if card.architecture not in ARCHITECTURES:
        raise TrainingError(f"{card.name} is a pipeline, which cannot be asked at every step")
    return Teacher(card, weights.load_net(folder, card))


def check(teacher: Teacher, dataset: PreparedDataset, inputs: Inputs) -> None:
    """Refuse a teacher that has not learnt from the same tracks, or hears something else.

    Parameters
    ----------
    teacher : Teacher
        Who is to teach.
    dataset : PreparedDataset
        That the net learns from.
    inputs : Inputs
        What the net takes.

    Raises
    ------
    TrainingError
        If they differ; it says in what, and what would help.
    """
    card = teacher.card
    heard = card.inputs
    learnt = (card.dataset.split_digest, card.dataset.counts.get("train"))
    if learnt != (dataset.split_digest, dataset.counts()["train"]):
        raise TrainingError(
            f"{card.name} has learnt from other tracks than the train split of {dataset.name}; "
            "what it says could tell of those that the net is judged on"
        )
    if card.classes != dataset.genres or card.eats != inputs.kinds:
        raise TrainingError(f"{card.name} knows other genres, or eats something else than the net")
    if not alike(heard.normalisations, inputs.normalisations):
        kind = "band" if len(set(heard.normalisations[heard.kinds[0]].mean)) > 1 else "whole"
        raise TrainingError(
            f"{card.name} hears other levels than the net; --set normalise={kind} may help"
        )
    if heard.shapes != inputs.shapes and card.segments is not None:
        seconds, hop = card.segments.seconds, card.segments.hop_seconds
        raise TrainingError(
            f"{card.name} hears {seconds:g} s at a time, the net does not; "
            f"--set seconds={seconds:g} hop_seconds={hop:g} would help"
        )
