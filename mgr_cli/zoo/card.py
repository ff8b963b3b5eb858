"""The card of an entry: what it is, what it hears, how good it is, and how it fails.

It is a *model card* [1]_: beside figures it has what the entry was trained from, how it was chosen,
what it is not for, and how it fails. `descriptions` puts those into words.

A card is JSON, strict and versioned. It may come from a stranger, so an unknown key, a
value of another type or a number out of its range is an error, not a warning.

References
----------
.. [1] M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mgr_cli.config import (
    MAX_CARD_BYTES,
    MAX_CLASSES,
    MAX_SEGMENT_VALUES,
    ON_CARDS,
    FeatureSpec,
    Recipe,
    SegmentSpec,
    Split,
    VoteRule,
)
from mgr_cli.errors import ZooError
from mgr_cli.failures import Failures
from mgr_cli.features.handcrafted import NAMES
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.files import is_plain_name, write_text
from mgr_cli.inputs import Inputs
from mgr_cli.intervals import Estimate
from mgr_cli.models.grids import Search
from mgr_cli.models.registry import BORROWED
from mgr_cli.plans import VECTORS, Form, Kind, Plan
from mgr_cli.trust import Trust
from mgr_cli.zoo.backbones import SETTINGS, WEIGHTS

CARD = "card.json"
MAX_TEXT = 2_000  # letters
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Assessment:
    """Scores of an entry on one split.

    Attributes
    ----------
    n_tracks, n_segments : int
        How many were judged.
    track, segment : dict of Estimate
        By name of the score (`metrics.SCORES`); intervals are bootstrapped over tracks.
    vote : str
        Rule that pooled the segments of a track.
    """

    n_tracks: Annotated[int, Field(ge=0)]
    n_segments: Annotated[int, Field(ge=0)]
    vote: VoteRule
    track: dict[str, Estimate]
    segment: dict[str, Estimate]
    # Estimates have no config of their own, so this holds for them too.
    __pydantic_config__: ClassVar[dict[str, Any]] = {**ON_CARDS, "allow_inf_nan": False}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class WeightsFile(_Strict):
    """A file of the entry's folder and its digest."""

    file: Annotated[str, Field(max_length=200)]
    sha256: Sha256

    @model_validator(mode="after")
    def _stays_in_its_folder(self) -> "WeightsFile":
        if not is_plain_name(self.file):
            raise ValueError(f"{self.file!r} is not a plain file name")
        return self


class BorrowedNet(_Strict):
    """The frozen net whose rows a pipeline judges: its files, weights first, and its origin."""

    files: tuple[WeightsFile, ...]
    origin: Text
    n_parameters: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _are_what_is_read(self) -> "BorrowedNet":
        names = tuple(file.file for file in self.files)
        if names not in ((WEIGHTS,), (WEIGHTS, SETTINGS)):
            raise ValueError(f"files are {names}, expected {WEIGHTS}, and {SETTINGS} of an encoder")
        return self


class TrainedOn(_Strict):
    """The dataset of an entry: its name, its split, and how many tracks of it were used.

    Those of training are fewer than there are where the split was thinned.
    `fold` is the one that was the test split, where the dataset was dealt out to folds.
    """

    name: Text
    split_digest: Sha256
    counts: dict[Split, Annotated[int, Field(ge=0)]]
    fold: Annotated[int, Field(ge=0)] | None = None


class TaughtBy(_Strict):
    """The entry that taught another, and the digest of the weights that it had then."""

    name: Text
    sha256: Sha256


class Graph(_Strict):
    """The same model as an ONNX graph, for which neither torch nor scikit-learn is needed.

    `difference` is the largest one of a probability from what the model itself gave for the golden
    input, when the graph was made.
    """

    file: WeightsFile
    difference: Annotated[float, Field(ge=0, le=1)]


class Card(_Strict):
    """Everything that must be known to use an entry, and to trust it: its model card.

    Attributes
    ----------
    classes : tuple of str
        Genres in the order of the logits.
    eats : tuple of str
        Kinds of features that it takes, in order.
    features : FeatureSpec
        Front end of the log-mels; its sample rate is that of waveforms.
    form : {"corrected", "fma-compat"}
        Of hand-crafted features.
    columns : tuple of str
        Names of the features that are one row a track.
    normalisation : dict of Normalisation
        By kind of features.
    segments : SegmentSpec or None
        How a track is cut; None takes it as a whole.
    temperature : float
        The logarithms of a track's pooled probabilities are divided by it.
    trust : Trust or None
        Which answers are believed; None believes all of them.
    figures : dict of Assessment
        By split, where it was measured.
    failures : dict of Failures
        By split, of the same tracks as its figures: what is not recognised, and taken for what.
    looks : dict of int
        By split, how often figures were put here that were not here before; the least that the
        split was looked at, see `descriptions`.
    recipe : Recipe or None
        How a net was trained; None of a pipeline, which was fitted.
    best_epoch, n_epochs : int
        The epoch whose weights were kept, of how many; 0 of a pipeline.
    training_seconds : float
        Time that all of them took, validation included, or that fitting did.
    teacher : TaughtBy or None
        Who gave a share of the targets, see `distillation`.
    rounded : bool
        Whether a net's parameters were rounded to half precision before it was judged.
    search : Search or None
        The grid that a pipeline's hyper-parameters were found on.
    borrowed : BorrowedNet or None
        What makes the rows that a pipeline judges, where somebody else has trained it.
    graph : Graph or None
        What predicts without torch.
    no_graph : str
        Why there is none.
    licence, provenance : str
        Of the weights, and what they were trained from.
    chosen : str
        How the entry was chosen among candidates; empty if nobody has said.
    not_for : str
        What it is not for; empty if nobody has said.
    versions : dict
        Of the packages that trained the entry.
    """

    format_version: Literal[2] = 2
    name: Text
    created: Text
    architecture: Text
    hyperparameters: dict[str, bool | int | float | str]
    n_parameters: Annotated[int, Field(ge=0)]
    classes: Annotated[tuple[Text, ...], Field(min_length=2, max_length=MAX_CLASSES)]
    eats: Annotated[tuple[Kind, ...], Field(min_length=1)]
    features: FeatureSpec
    form: Form = "corrected"
    columns: tuple[Text, ...] = ()
    normalisation: dict[Kind, Normalisation]
    segments: SegmentSpec | None
    vote: VoteRule
    temperature: Annotated[float, Field(ge=1e-3, le=1_000)] = 1.0
    trust: Trust | None = None
    recipe: Recipe | None
    seed: int
    best_epoch: int = 0
    n_epochs: Annotated[int, Field(ge=0)] = 0
    training_seconds: Annotated[float, Field(ge=0)] = 0.0
    teacher: TaughtBy | None = None
    rounded: bool = False
    search: Search | None = None
    borrowed: BorrowedNet | None = None
    dataset: TrainedOn
    figures: dict[Split, Assessment]
    failures: dict[Split, Failures] = Field(default_factory=dict)
    looks: dict[Split, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    weights: WeightsFile
    golden: WeightsFile
    graph: Graph | None = None
    no_graph: Text = ""
    licence: Text
    provenance: Text
    chosen: Text = ""
    not_for: Text = ""
    versions: dict[str, Text]

    @model_validator(mode="after")
    def _agrees(self) -> "Card":
        if len(set(self.eats)) != len(self.eats) or set(self.eats) != set(self.normalisation):
            raise ValueError("eats and normalisation differ in their kinds of features")
        for kind, normalisation in self.normalisation.items():
            n_bands = {"log-mel": self.features.n_mels, "waveform": 1}.get(kind, len(self.columns))
            if len(normalisation.mean) != n_bands:
                raise ValueError("normalisation and features differ in their number of bands")
        if (self.segments is None) != (self.eats[0] in VECTORS) or (
            len(self.eats) > 1 and set(self.eats) & set(VECTORS)
        ):
            raise ValueError("segments are for log-mels and waveforms; a row a track has none")
        n_values = self.inputs.n_values
        if n_values > MAX_SEGMENT_VALUES:
            raise ValueError(f"a segment has {n_values} values, more than {MAX_SEGMENT_VALUES}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is listed twice")
        is_borrowed = self.architecture in BORROWED
        if is_borrowed != (self.borrowed is not None) or is_borrowed > (
            "cut" in self.hyperparameters
        ):
            raise ValueError("the architecture and borrowed disagree on whether a net is borrowed")
        for split, found in self.failures.items():
            judged = self.figures.get(split)
            if found.genres != self.classes or judged is None or judged.n_tracks != found.n_tracks:
                raise ValueError(f"failures and figures differ in genres or tracks of {split}")
        return self

    @property
    def inputs(self) -> Inputs:
        """How tracks are cut into what the entry takes."""
        return Inputs(self.eats, self.features, self.segments, self.normalisation)

    @property
    def plan(self) -> Plan:
        """What is computed of a track for the entry.

        Raises
        ------
        ZooError
            If that cannot be computed of sound.
        """
        if "table" in self.eats or not set(self.columns) <= set(NAMES):
            raise ZooError(
                f"{self.name} judges features that somebody else has computed, and hears no sound; "
                "judge a prepared table with `mgr eval`, or choose another entry"
            )
        return Plan(self.eats, self.features, self.form)


def load_card(folder: Path) -> Card:
    """Read and check the card of an entry.

    Raises
    ------
    ZooError
        If there is none, or something on it is not as it must be; the message names the
        first such key.
    """
    path = folder / CARD
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ZooError(f"{path}: larger than {MAX_CARD_BYTES} bytes, no card is")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ZooError(f"{folder}: no zoo entry, it has no {CARD}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"{path}: cannot be read ({error})") from error
    try:
        card = Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the card"
        place = place.encode("unicode_escape").decode()  # a key is a stranger's text
        message = first["msg"].replace("\n", " ")
        raise ZooError(f"{path}: {place}: {message}") from error
    if not is_plain_name(card.name):  # files are named after it
        raise ZooError(f"{path}: name: {card.name[:80]!r} is no plain name of a folder")
    return card


def save_card(folder: Path, card: Card) -> None:
    """Write the card of an entry atomically."""
    write_text(folder / CARD, json.dumps(card.model_dump(mode="json"), indent=1) + "\n")
