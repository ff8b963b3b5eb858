import numpy as np
import pytest

from mgr_cli import segments


@pytest.mark.parametrize(
    ("n_frames", "expected"),
    [
        (1, [0]),
        (10, [0]),
        (14, [0]),  # 4 left over, less than half of 10
        (15, [0, 5]),  # 5 left over: one more that ends with the track
        (20, [0, 10]),
        (24, [0, 10]),
        (25, [0, 10, 15]),
        (30, [0, 10, 20]),
    ],
)
def test_segments_of_ten_side_by_side(n_frames: int, expected: list[int]) -> None:
    assert segments.starts(n_frames, length=10, hop=10) == expected


def test_odd_segment_is_cut_where_more_than_half_is_left_over() -> None:
    assert segments.starts(14, length=9, hop=9) == [0, 5]  # 5 of 9
    assert segments.starts(13, length=9, hop=9) == [0]  # 4 of 9


def test_overlapping_segments_start_every_hop() -> None:
    assert segments.starts(20, length=10, hop=4) == [0, 4, 8]
    assert segments.starts(22, length=10, hop=4) == [0, 4, 8, 12]


def test_segments_further_apart_than_long_leave_gaps_but_not_the_end() -> None:
    assert segments.starts(34, length=10, hop=15) == [0, 15, 24]


@pytest.mark.parametrize("seed", range(100))
def test_all_is_covered_but_less_than_half_a_segment_at_the_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(50):
        length = int(rng.integers(1, 60))
        hop = int(rng.integers(1, length + 1))
        n_frames = int(rng.integers(length, 500))
        firsts = segments.starts(n_frames, length=length, hop=hop)
        covered = np.zeros(n_frames, bool)
        for first in firsts:
            assert 0 <= first <= n_frames - length
            covered[first : first + length] = True
        n_covered = int(covered.sum())
        assert covered[:n_covered].all()
        assert 2 * (n_frames - n_covered) < length
        assert (np.diff(firsts[:-1]) == hop).all()
        assert (np.diff(firsts) > 0).all()
        assert max(np.diff(firsts), default=0) <= hop


def test_short_track_is_repeated_until_it_fills_one_segment() -> None:
    track = np.array([[1, 2, 3], [4, 5, 6]])
    cut = segments.cut(track, length=8, hop=2)
    np.testing.assert_array_equal(cut, [[[1, 2, 3, 1, 2, 3, 1, 2], [4, 5, 6, 4, 5, 6, 4, 5]]])


def test_one_frame_fills_a_segment() -> None:
    np.testing.assert_array_equal(segments.cut(np.array([[7.0]]), length=4, hop=4), [[[7] * 4]])


def test_long_enough_track_is_not_repeated() -> None:
    track = np.arange(8).reshape(2, 4)
    assert segments.repeated(track, length=4) is track


def test_cut_holds_the_frames_that_starts_names() -> None:
    track = np.arange(50).reshape(2, 25)
    cut = segments.cut(track, length=10, hop=10)
    np.testing.assert_array_equal(cut[:, 0, 0], [0, 10, 15])
    np.testing.assert_array_equal(cut[2], track[:, 15:25])


def test_cut_is_a_copy() -> None:
    track = np.zeros((1, 10))
    segments.cut(track, length=10, hop=10)[:] = 1
    assert (track == 0).all()


@pytest.mark.parametrize(
    ("n_frames", "length", "hop"), [(0, 5, 5), (5, 0, 5), (5, 5, 0), (5, -1, 5), (5, 5, -1)]
)
def test_impossible_cuts_are_refused(n_frames: int, length: int, hop: int) -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        segments.starts(n_frames, length=length, hop=hop)


def test_track_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        segments.cut(np.zeros((4, 0)), length=5, hop=5)
