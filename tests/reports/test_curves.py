import io

import numpy as np
import pandas as pd
import pytest

from mgr_cli.reports import curves
from mgr_cli.task import Epoch


def epochs(n: int) -> list[Epoch]:
    return [
        Epoch(k + 1, 1e-3, 2.0 - k / 10, 2.1 - k / 20, k / n, 0.5, 0.4, 0.3, 1.5, k == 1)
        for k in range(n)
    ]


def test_table_has_a_row_an_epoch_and_reads_back() -> None:
    read = pd.read_csv(io.StringIO(curves.table(epochs(4))))
    assert read.number.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(read.train_loss, [2.0, 1.9, 1.8, 1.7])
    assert read.is_best.tolist() == [False, True, False, False]


def test_picture_shows_what_the_epochs_brought_and_which_is_kept() -> None:
    losses, scores = curves.draw(epochs(4), title="a $net$").axes
    lines = {line.get_label(): line for line in (*losses.lines, *scores.lines)}
    assert set(lines) == {
        "training", "validation", "accuracy", "F1 macro", "precision", "recall", "kept"
    }  # fmt: skip
    drawn = {name: np.asarray(line.get_ydata()).tolist() for name, line in lines.items()}
    assert drawn["training"] == pytest.approx([2.0, 1.9, 1.8, 1.7])
    assert drawn["accuracy"] == [0, 0.25, 0.5, 0.75]
    assert set(np.asarray(lines["kept"].get_xdata()).tolist()) == {2}


def test_no_epoch_is_no_picture() -> None:
    with pytest.raises(ValueError, match="no epoch"):
        curves.draw([], title="")
