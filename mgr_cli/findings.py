"""Findings: what an evaluation leaves on a card.

Of a split, its figures, its failures, and how often one has looked at it; see `zoo.descriptions`
for what a look is. Of a calibration, the temperature and whom to trust, which change what the entry
does from then on.
"""

from pathlib import Path
from typing import Any

import numpy as np

from mgr_cli import calibration, failures
from mgr_cli.calibration import Calibration
from mgr_cli.evaluation import Evaluation
from mgr_cli.zoo.card import Assessment, Card, load_card, save_card


def record(folder: Path, found: Evaluation, *, calibrated: Calibration | None = None) -> None:
    """Write what came of a split to the card of an entry, and its calibration if there is one.

    Raises
    ------
    ZooError
        If the entry has no readable card.
    ValueError
        If it was judged in other genres than its own.
    """
    card = load_card(folder)
    changes = recorded(card, found)
    if calibrated is not None:
        changes |= learned(card, calibrated)
    save_card(folder, card.model_copy(update=changes))


def recorded(card: Card, found: Evaluation) -> dict[str, Any]:
    """Return what a card has of a split from now on: figures, failures, and how often one looked.

    Scores that stand there already are a reproduction, and no look at the split; intervals do not
    count, which are the seed's. Figures from before looks were counted are one.

    Raises
    ------
    ValueError
        If the entry was judged in other genres than its own.
    """
    if found.genres != card.classes:
        raise ValueError(f"judged in {found.genres}, expected the entry's {card.classes}")
    before = card.figures.get(found.split)
    looks = card.looks.get(found.split, int(before is not None))
    looks += before is None or not _is_reproduced(before, found.assessment)
    missed = failures.count(found.track_counts, found.genres)
    return {
        "figures": {**card.figures, found.split: found.assessment},
        "failures": {**card.failures, found.split: missed},
        "looks": {**card.looks, found.split: looks},
    }


def _is_reproduced(before: Assessment, now: Assessment) -> bool:
    """Tell whether scores are those from before, as far as both have them."""
    counts = [(each.n_tracks, each.n_segments, each.vote) for each in (before, now)]
    levels = ((before.track, now.track), (before.segment, now.segment))
    return counts[0] == counts[1] and all(
        old[name].value == new[name].value for old, new in levels for name in old.keys() & new
    )


def learned(card: Card, found: Calibration) -> dict[str, Any]:
    """Return what a card learns of a calibration: its temperature, and whom to trust.

    The probabilities that were calibrated had been tempered with the card's own temperature, so
    the two are multiplied.
    """
    temperature = float(np.clip(card.temperature * found.temperature, *calibration.TEMPERATURES))
    return {"temperature": temperature, "trust": found.trust}
