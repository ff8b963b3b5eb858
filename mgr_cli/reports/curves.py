"""Learning curves: what each epoch of a training run brought, as a table and a picture.

The loss is drawn for training (augmented segments) and validation (whole tracks), which are not
of one kind: a training loss above the other is no error where augmentation is strong.
"""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
from matplotlib.figure import Figure

from mgr_cli.task import Epoch

_DPI = 110
_SCORES = {
    "valid_accuracy": "accuracy",
    "valid_f1": "F1 macro",
    "valid_precision": "precision",
    "valid_recall": "recall",
}


def table(history: Sequence[Epoch]) -> str:
    """Return the epochs as CSV, one a row."""
    text: str = pd.DataFrame([asdict(epoch) for epoch in history]).to_csv(
        index=False, lineterminator="\n"
    )
    return text


def draw(history: Sequence[Epoch], *, title: str) -> Figure:
    """Draw the losses and the scores over the epochs; the kept epoch is marked.

    Parameters
    ----------
    history : sequence of Epoch
        In order, one at least.
    title : str
        What was trained, on what.

    Returns
    -------
    Figure
        Belongs to the caller; nothing else holds it.

    Raises
    ------
    ValueError
        If there is no epoch.
    """
    if not history:
        raise ValueError("there is no epoch to draw")
    numbers = [epoch.number for epoch in history]
    kept = [epoch.number for epoch in history if epoch.is_best][-1:]
    figure = Figure((8.0, 3.6), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    losses, scores = figure.subplots(1, 2)
    for name, label in (("train_loss", "training"), ("valid_loss", "validation")):
        losses.plot(numbers, [getattr(epoch, name) for epoch in history], ".-", label=label)
    losses.set_ylabel("cross entropy, nats")
    for name, label in _SCORES.items():
        scores.plot(numbers, [getattr(epoch, name) for epoch in history], ".-", label=label)
    scores.set_ylabel("on the validation split, tracks")
    scores.set_ylim(0, 1)
    for axes in (losses, scores):
        for number in kept:
            axes.axvline(number, color="0.6", linewidth=1, label="kept")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    return figure
