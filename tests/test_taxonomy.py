from collections import deque
from itertools import product

import numpy as np
import pytest

from mgr_cli import taxonomy
from mgr_cli.errors import DatasetError
from mgr_cli.taxonomy import Distances, Tree

# Rock ─ Punk ─ Oi, Post-Punk;  Rock ─ Metal;  Jazz ─ Bop;  Folk
ROWS = (
    ("1", "Rock", "0"), ("2", "Punk", "1"), ("3", "Oi", "2"), ("4", "Post-Punk", "2"),
    ("5", "Metal", "1"), ("6", "Jazz", "0"), ("7", "Bop", "6"), ("8", "Folk", "0"),
)  # fmt: skip
TITLES = [title for _, title, _ in ROWS]


def grow(rows: tuple[tuple[str, str, str], ...]) -> Tree:
    """Make a tree of rows that come after their parents."""
    lines: dict[str, tuple[str, ...]] = {}
    titles = {number: title for number, title, _ in rows}
    for _, title, parent in rows:
        lines[title] = (title, *(lines[titles[parent]] if parent != "0" else ()))
    return Tree(lines)


TREE = grow(ROWS)


def steps(rows: tuple[tuple[str, str, str], ...], one: str, other: str) -> int:
    """Walk from one genre to another over parents and children, 0 being the virtual root."""
    edges = [(number, parent) for number, _, parent in rows]
    numbers = {title: number for number, title, _ in rows}
    reached, line = {numbers[one]: 0}, deque([numbers[one]])
    while line:
        at = line.popleft()
        for pair in edges:
            if at in pair:
                to = pair[pair[0] == at]
                if to not in reached:
                    reached[to] = reached[at] + 1
                    line.append(to)
    return reached[numbers[other]]


# --- the tree ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "edges"),
    [
        ("Rock", "Rock", 0),
        ("Oi", "Oi", 0),
        ("Punk", "Rock", 1),
        ("Oi", "Rock", 2),
        ("Oi", "Post-Punk", 2),
        ("Oi", "Metal", 3),
        ("Rock", "Jazz", 2),
        ("Oi", "Bop", 5),
        ("Folk", "Bop", 3),
    ],
)
def test_distances_by_hand(one: str, other: str, edges: int) -> None:
    assert TREE.distance(one, other) == TREE.distance(other, one) == edges


def test_distances_are_the_shortest_walks() -> None:
    rng = np.random.default_rng(0)
    rows = tuple(
        (str(number), f"genre {number}", str(rng.integers(0, number))) for number in range(1, 41)
    )
    tree = grow(rows)
    for (_, one, _), (_, other, _) in product(rows, repeat=2):
        assert tree.distance(one, other) == steps(rows, one, other)


def test_distance_to_a_track_is_that_to_the_nearest_of_its_genres() -> None:
    assert TREE.nearest("Rock", ["Bop", "Oi"]) == 2
    assert TREE.nearest("Jazz", ["Bop", "Oi"]) == 1


@pytest.mark.parametrize("pair", [("Polka", "Rock"), ("Rock", "Polka")])
def test_stranger_to_the_tree_is_named(pair: tuple[str, str]) -> None:
    with pytest.raises(DatasetError, match="'Polka' is not among the 8 genres"):
        TREE.distance(*pair)


# --- weighing ---------------------------------------------------------------------------


def weighed(
    said: list[str], truth: list[str], own: list[tuple[str, ...]], *, tree: Tree = TREE
) -> Distances:
    return taxonomy.weigh(tree, said, truth, own, classes=("Rock", "Punk", "Jazz"))


def test_own_genres_begin_with_the_label_and_name_each_once() -> None:
    assert taxonomy.own_genres("Rock", "Punk|Rock|Oi") == ("Rock", "Punk", "Oi")
    assert taxonomy.own_genres("Rock", "") == ("Rock",)


def test_mistakes_weighed_by_hand() -> None:
    # Right; 1 away where Jazz is 2; nearest is Bop, 1 away, where Punk is 3 from Bop and 1 from
    # Rock; 3 away (from Punk) where Rock is 1.
    found = weighed(
        said=["Rock", "Punk", "Jazz", "Jazz"],
        truth=["Rock", "Rock", "Rock", "Punk"],
        own=[("Rock", "Oi"), ("Rock",), ("Rock", "Bop"), ("Punk",)],
    )
    assert (found.n_tracks, found.n_errors) == (4, 3)
    assert found.mean == pytest.approx((0 + 1 + 1 + 3) / 4)
    assert found.mean_of_errors == pytest.approx((1 + 1 + 3) / 3)
    assert found.at_random == pytest.approx(((1 + 2) / 2 + (1 + 1) / 2 + (1 + 3) / 2) / 3)
    # Said: Rock; Punk, Rock; Jazz; Jazz. True: Rock, Punk, Oi; Rock; Rock, Bop, Jazz; Punk, Rock.
    # Shared: Rock; Rock; Jazz; none.
    assert found.precision == pytest.approx(3 / 5)
    assert found.recall == pytest.approx(3 / 9)
    assert found.f1 == pytest.approx(2 * (3 / 5) * (3 / 9) / (3 / 5 + 3 / 9))


def test_all_right_costs_nothing() -> None:
    found = weighed(["Rock", "Jazz"], ["Rock", "Jazz"], [("Rock",), ("Jazz",)])
    assert found == Distances(2, 0, 0, 0, 0, 1, 1, 1)


def test_nothing_shared_scores_nothing() -> None:
    found = weighed(["Jazz"], ["Rock"], [("Rock",)])
    assert (found.precision, found.recall, found.f1) == (0, 0, 0)


def test_top_level_classes_tell_no_more_than_the_accuracy() -> None:
    rng = np.random.default_rng(0)
    roots = ["Rock", "Jazz", "Folk"]
    below = {"Rock": "Oi", "Jazz": "Bop", "Folk": "Folk"}
    said, truth = rng.choice(roots, 50).tolist(), rng.choice(roots, 50).tolist()
    own = [taxonomy.own_genres(label, below[label]) for label in truth]
    found = taxonomy.weigh(TREE, said, truth, own, classes=roots)
    wrong = np.mean([one != other for one, other in zip(said, truth, strict=True)])
    assert found.mean == pytest.approx(2 * wrong)
    assert found.mean_of_errors == found.at_random == 2


def test_answers_at_random_cost_what_the_yardstick_says() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(TITLES, 20_000).tolist()
    said = [rng.choice([each for each in TITLES if each != label]) for label in truth]
    found = taxonomy.weigh(TREE, said, truth, [(label,) for label in truth], classes=TITLES)
    # Distances spread by about 1.3, so the mean of 20,000 is good to 0.01.
    assert found.mean_of_errors == pytest.approx(found.at_random, abs=0.04)


@pytest.mark.parametrize(
    ("said", "truth", "own"),
    [([], [], []), (["Rock"], [], [("Rock",)]), (["Rock"], ["Rock"], [])],
)
def test_uneven_answers_are_refused(
    said: list[str], truth: list[str], own: list[tuple[str, ...]]
) -> None:
    with pytest.raises(ValueError, match="expected one of each a track"):
        weighed(said, truth, own)
