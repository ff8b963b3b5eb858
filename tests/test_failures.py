"""Failures, counted by hand."""

import numpy as np
import pytest

from mgr_cli import failures
from mgr_cli.failures import Confusion, Recall

GENRES = ("country", "jazz", "rock")
COUNTS = np.array([[20, 2, 9], [0, 30, 0], [7, 2, 21]])  # rows are the truth


def said(counts: object, genres: tuple[str, ...] = GENRES) -> tuple[str, ...]:
    return failures.sentences(failures.count(np.array(counts), genres))


def test_counts_are_those_of_the_matrix() -> None:
    found = failures.count(COUNTS, GENRES)
    assert found.recalls == (
        Recall("country", 20, 31), Recall("jazz", 30, 30), Recall("rock", 21, 30),
    )  # fmt: skip
    # The most frequent first; what is as frequent in class order.
    assert found.confusions == (
        Confusion("country", "rock", 9, 31), Confusion("rock", "country", 7, 30),
        Confusion("country", "jazz", 2, 31), Confusion("rock", "jazz", 2, 30),
    )  # fmt: skip
    assert (found.genres, found.n_tracks) == (GENRES, 91)


def test_they_are_told_in_words() -> None:
    assert said(COUNTS) == (
        "country is recognised least (65 % of 31 tracks)",
        "jazz is recognised best (all of 30 tracks)",
        "of 31 country tracks 9 were taken for rock",
        "of 30 rock tracks 7 were taken for country",
        "of 31 country tracks 2 were taken for jazz",
        "of 30 rock tracks 2 were taken for jazz",
    )


def test_confusions_of_a_single_track_are_told_only_where_there_are_no_others() -> None:
    assert said([[5, 1, 0], [0, 4, 2], [0, 0, 6]])[2:] == (
        "of 6 jazz tracks 2 were taken for rock",
    )
    assert said([[5, 1, 0], [0, 0, 1], [0, 0, 6]])[2:] == (
        "of 6 country tracks 1 was taken for jazz",
        "the one jazz track was taken for rock",
    )


def test_no_more_are_kept_and_told_than_are_asked_for() -> None:
    genres = tuple(f"genre {number}" for number in range(9))
    found = failures.count(np.full((9, 9), 2), genres)
    assert len(found.confusions) == failures.KEPT < 9 * 8
    assert len(failures.sentences(found, limit=3)) == 1 + 3


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([[3, 0], [0, 4]], ["each genre is recognised as often as any other (all of 7 tracks)"]),
        ([[0, 1], [1, 0]], ["each genre is recognised as often as any other (none of 2 tracks)"]),
        ([[1, 1], [2, 2]], ["each genre is recognised as often as any other (50 % of 6 tracks)"]),
        # Neither rounds to what it is not.
        (
            [[999, 1], [299, 1]],
            ["b is recognised least (1 % of 300 tracks)",
             "a is recognised best (99 % of 1,000 tracks)"],
        ),
    ],
)  # fmt: skip
def test_extremes_are_said_as_they_are(counts: list[list[int]], expected: list[str]) -> None:
    recognised = [each for each in said(counts, ("a", "b")) if "recognised" in each]
    assert recognised == expected


def test_genres_that_share_a_recall_are_named_together_and_some_of_many() -> None:
    counts = np.diag([4, 4, 4, 4, 4, 4])
    counts[5, 0] = 2
    counts[0, 1] = 2
    assert said(counts, tuple("abcdef"))[:2] == (
        "a and f are recognised least (67 % of 12 tracks)",
        "b, c, d and 1 other are recognised best (all of 16 tracks)",
    )


def test_of_genres_without_a_track_nothing_is_claimed() -> None:
    told = said([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert told[0] == "each genre is recognised as often as any other (75 % of 4 tracks)"
    assert told[-1] == "of jazz and rock there was no track: nobody knows"


def test_a_matrix_of_other_genres_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        failures.count(COUNTS, ("rock", "jazz"))
