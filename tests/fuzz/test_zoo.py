"""A hundredth of what `python -m tests.fuzz.zoo` does, each time that the tests are run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import strangers, zoo


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are those of Linux")
def test_broken_entries_are_refused_in_a_line_and_leave_nothing() -> None:
    counts = zoo.run(range(20), seed=1)
    assert counts.total() == 20
    assert not [kind for kind in counts if kind.split(": ")[1].isupper()]


def test_a_case_is_decided_by_its_number_and_every_part_is_broken(tmp_path: Path) -> None:
    wholes = strangers.entries(tmp_path / "whole")
    seen = set()
    for number in range(30):
        made = []
        for turn in ("a", "b"):
            rng = np.random.default_rng([0, number])
            what, path = strangers.given(rng, wholes, tmp_path / f"{turn}{number}")
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            made.append((what, [each.read_bytes() for each in files]))
        assert made[0] == made[1]
        seen.add(what.split()[0])
    assert seen == set(strangers.RECIPES)
