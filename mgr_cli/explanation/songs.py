"""Explaining a song: which seconds and which frequencies spoke for its genre, and for the next.

The entry judges the whole song. Then a part of it is explained (`parts`): every segment of that is
asked what of it spoke for the winner of the song's vote, and for the runner-up (`attribution`),
and the answers are put on one picture. With `check` the attributions of the winner are put to the
test (`faithfulness`).

What a method cannot do is left out with a note: only nets have gradients, and Grad-CAM needs maps
over time. What computes its features outside of itself, such as a net on a row a track, is asked
by occlusion alone.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mgr_cli.config import EXPLAINED_SECONDS, METHODS, SEED, Method, Progress, silent
from mgr_cli.errors import MgrError
from mgr_cli.explanation import asking, faithfulness, parts
from mgr_cli.explanation.attribution import N_STEPS, attribute
from mgr_cli.explanation.cam import has_maps
from mgr_cli.explanation.masking import Masked
from mgr_cli.explanation.parts import Part
from mgr_cli.explanation.result import Attribution, Explanation, Faithfulness
from mgr_cli.models import registry
from mgr_cli.prediction import Predictor, chosen_device
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import Card, load_card

MOST_MISSED = 0.1  # of the change of the logit that integrated gradients may miss without a note


def explain(
    folder: Path,
    path: Path,
    *,
    methods: tuple[Method, ...] = METHODS,
    start: float | None = None,
    seconds: float = EXPLAINED_SECONDS,
    check: bool = True,
    n_random: int = faithfulness.N_RANDOM,
    seed: int = SEED,
    device: str = "auto",
    progress: Progress = silent,
) -> Explanation:
    """Say what in a song made an entry say so.

    Parameters
    ----------
    folder : Path
        Of the entry.
    path : Path
        Of the song.
    methods : tuple of str
        Of `config.METHODS`; those that the entry cannot be asked by are left out with a note.
    start : float, optional
        Second in which the explained part begins; where the winner is surest by default.
    seconds : float
        Its length, above 0 and up to 600; as many whole segments as fill it most nearly.
    check : bool
        Whether to measure how faithful the attributions are.
    n_random : int
        Random orders that they are compared with.
    seed : int
        Of these, and of the weights of the net that they are compared with.
    device : {"auto", "cpu", "cuda"}
        Where the net runs.
    progress : callable
        Called whenever some segments were judged.

    Raises
    ------
    AudioError
        If the song cannot be used.
    ZooError
        If the entry is damaged, or hears no sound.
    MgrError
        If the part is outside of the song, or the entry can be asked by none of the methods.
    """
    card = load_card(folder)
    place = chosen_device(device)
    model = weights.load_model(folder, card, device=place)
    prediction = Predictor(card, weights.score_with(model, card, device=place)).from_file(path)
    part = parts.read(card, path, prediction, start=start, seconds=seconds)
    meter = _Meter(progress)

    def asked_of(one: "weights.Model") -> _Asked:
        masked = asking.masked(one, card, part, device=place, asked=meter.tick)
        return _Asked(masked, part, card)

    asked = asked_of(model)
    can, notes = _possible(asked, card, methods)
    net = asking.randomised(card, seed=seed, device=place) if check else None
    n_curves = len(can) + n_random if check else 0
    meter.total = asked.cost(can, n_targets=2 if net is None else 3, n_curves=n_curves)
    genres = [genre for genre, _ in prediction.ranked()[:2]]
    pictures: dict[Method, list[np.ndarray]] = {}
    for method in can:
        values = asked.values(method, genres)
        notes += asked.remarks(method, genres, values)
        pictures[method] = [part.stitched(each) for each in values]
    checks = []
    if check:
        blank = None if net is None else asked_of(net)
        winners = {method: own[0] for method, own in pictures.items()}
        checks = _checks(asked, blank, winners, genres[0], n_random=n_random, seed=seed)
    meter.finish()
    attributions = tuple(
        Attribution(method, genre, values)
        for method, own in pictures.items()
        for genre, values in zip(genres, own, strict=True)
    )
    notes += [*_of_nothing(card, checks), *_of_the_part(card, part, prediction.seconds)]
    return Explanation(
        path, prediction, part.start, part.stop, part.levels, part.spec, attributions,
        tuple(checks), tuple(notes),
    )  # fmt: skip


class _Meter:
    """Counts judgements of segments."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done, self.total = progress, 0, 0

    def tick(self, n: int) -> None:
        """Count some more."""
        self._done += n
        if self._done < self.total:  # which is an estimate
            self._progress(self._done, self.total, "judgements")

    def finish(self) -> None:
        """Tell that these were all."""
        self._progress(self.total, self.total, "judgements")


class _Asked:
    """An entry, and the part of a song that it is asked about."""

    def __init__(self, masked: Masked, part: Part, card: Card) -> None:
        device = next(masked.buffers()).device
        self.masked, self.part = masked, part
        self.inputs = [torch.from_numpy(x.astype(np.float32)).to(device) for x in part.inputs]
        self._classes = card.classes
        windows = asking.windows(card, masked.shape)
        self._sizes = windows.sizes(part.spec, masked.shape)
        self._n_windows = windows.n_windows(part.spec, masked.shape)
        self.strides = windows.strides(part.spec, masked.shape)

    def target(self, genre: str) -> int:
        """Return the class of a genre."""
        return self._classes.index(genre)

    def values(self, method: Method, genres: Sequence[str]) -> np.ndarray:
        """Attribute segments to some genres; see `attribution.attribute`."""
        targets = [self.target(genre) for genre in genres]
        return attribute(
            method, self.masked, self.inputs, targets, sizes=self._sizes, strides=self.strides
        )

    def picture(self, method: Method, genre: str) -> np.ndarray:
        """Attribute the part to a genre, (n_mels, n_columns)."""
        return self.part.stitched(self.values(method, [genre])[0])

    def remarks(self, method: Method, genres: Sequence[str], values: np.ndarray) -> list[str]:
        """Say what is amiss with what `values` has given."""
        found = []
        if method == "integrated-gradients":
            missed = self._missed(values, [self.target(genre) for genre in genres])
            if missed > MOST_MISSED:
                found.append(
                    f"integrated gradients: in {N_STEPS} steps {missed:.0%} of what the logits "
                    "change by is missed or too much"
                )
        return found + [
            f"{method} for {genre} is 0 everywhere: nothing spoke for it"
            for genre, each in zip(genres, values, strict=True)
            if not each.any()
        ]

    def cost(self, methods: Sequence[Method], *, n_targets: int, n_curves: int) -> int:
        """Estimate the number of judgements of all attributions, and of the curves."""
        each = {
            "integrated-gradients": n_targets * N_STEPS + 2,  # of their sums' changes
            "grad-cam": n_targets,
            "occlusion": (n_targets - 1) * (1 + self._n_windows),  # the first two are of one answer
        }
        n = sum(each[method] for method in methods) + 2 * faithfulness.N_SHARES * n_curves
        return n * len(self.part.columns)

    def _missed(self, values: np.ndarray, targets: list[int]) -> float:
        """Say which share of the change of the logits sums of values miss or have too much."""
        ones = torch.ones(len(self.inputs[0]), *self.masked.shape, device=self.inputs[0].device)
        whole, nothing = (self.masked.logits(masks, *self.inputs) for masks in (ones, 0 * ones))
        changes = (whole - nothing)[:, targets].T
        apart = np.abs(values.sum(axis=(2, 3)) - changes).sum()
        return float(apart / max(1e-9, np.abs(changes).sum()))


def _possible(
    asked: _Asked, card: Card, methods: Sequence[Method]
) -> tuple[list[Method], list[str]]:
    """Say by which methods an entry can be asked, and why not by the others."""
    cannot: dict[Method, str] = {}
    if not asked.masked.has_gradients:
        why = (
            "is a pipeline, which has no gradients"
            if registry.is_fitted(card.architecture)
            else "takes features that are computed outside of the net, and no gradient goes so far"
        )
        cannot = {"integrated-gradients": why, "grad-cam": why}
    elif not has_maps(asked.masked.model, asked.inputs):
        cannot = {"grad-cam": "has no maps over time of a whole segment, or none in so short a one"}
    can = [method for method in METHODS if method in methods and method not in cannot]
    notes = [f"no {method}: {card.name} {cannot[method]}" for method in methods if method in cannot]
    if not can:
        raise MgrError(f"{notes[0]}; ask for occlusion")
    return can, notes


def _checks(
    asked: _Asked,
    blank: _Asked | None,
    winners: dict[Method, np.ndarray],
    genre: str,
    *,
    n_random: int,
    seed: int,
) -> list[Faithfulness]:
    """Put the attributions to a genre to the test, `blank` being the net of random weights."""
    rng = np.random.default_rng(seed)
    part, target = asked.part, asked.target(genre)
    about = (asked.masked, asked.inputs, part)
    chance = faithfulness.random_curves(
        *about, target, patch=asked.strides, n_random=n_random, rng=rng
    )
    found = []
    for method, values in winners.items():
        turns = faithfulness.ranks(values, asked.strides, rng=rng)
        own = faithfulness.curves(*about, turns, target)
        likeness = faithfulness.likeness(values, blank.picture(method, genre)) if blank else None
        found.append(
            Faithfulness(
                method, genre, own.shares, own.deletion, own.insertion,
                chance.deletion, chance.insertion, likeness,
            )
        )  # fmt: skip
    return found


def _of_nothing(card: Card, checks: Sequence[Faithfulness]) -> list[str]:
    """Note it where the winner is as likely of a part of which nothing is left."""
    for each in checks:
        whole, nothing = each.deletion[0], each.deletion[-1]
        if nothing >= whole:
            return [
                f"where nothing is left, {card.name} says {each.genre} with {nothing:.0%}, and "
                f"{whole:.0%} of the part itself: what spoke for it is measured from there"
            ]
    return []


def _of_the_part(card: Card, part: Part, seconds: float) -> list[str]:
    """Note it where an entry that judges whole songs was asked about less."""
    if card.segments is not None or part.stop - part.start > seconds - 0.1:
        return []
    return [
        f"{card.name} judges a song as a whole; what was asked for its reasons is "
        f"{part.start:.1f} to {part.stop:.1f} s of it, as if that were the song"
    ]
