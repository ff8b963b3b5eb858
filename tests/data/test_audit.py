import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mgr_cli import preparation
from mgr_cli.data.audit import Audit, Finding, audit
from mgr_cli.data.fingerprint import MIN_SCORE, Sketch, align, describe, sketch
from mgr_cli.data.nearest import neighbours
from mgr_cli.data.repeats import Sketches
from mgr_cli.data.store import OK, TRACKS_IN_SHARD, ShardReader, shard_path
from tests import shards

RATE = 12.9  # columns a second, as in GTZAN's pictures
N_COLUMNS = 387

# The 50 exact replicas of GTZAN [Sturm 2013, arXiv 1306.1461, table of repetitions].
REPLICAS = {
    "disco": ((50, 51, 70), (55, 60, 89), (71, 74), (98, 99)),
    "hiphop": ((39, 45), (76, 78)),
    "jazz": ((33, 51), (34, 53), (35, 55), (36, 58), (37, 60), (38, 62), (39, 65), (40, 67),
             (42, 68), (43, 69), (44, 70), (45, 71), (46, 72)),
    "metal": ((4, 13), (34, 94), (40, 61), (41, 62), (42, 63), (43, 64), (44, 65), (45, 66)),
    "pop": ((15, 22), (30, 31), (45, 46), (47, 80), (52, 57), (54, 60), (56, 59), (67, 71),
            (87, 90)),
    "reggae": ((3, 54), (5, 56), (8, 57), (10, 60), (13, 58), (41, 69), (73, 74), (80, 81, 82),
               (75, 91, 92)),
}  # fmt: skip
ACROSS_GENRES = ("metal.00058", "rock.00016")
# What stands in it beyond them; each pair was looked at, shifted as found, column by column.
EXCERPTS = (
    ("blues.00024", "blues.00028"), ("hiphop.00047", "hiphop.00067"),
    ("hiphop.00048", "hiphop.00068"), ("hiphop.00050", "hiphop.00072"),
    ("pop.00015", "pop.00022", "pop.00037"), ("pop.00047", "pop.00051", "pop.00080"),
    ("pop.00068", "pop.00073"), ("reggae.00007", "reggae.00059"),
    ("reggae.00033", "reggae.00044"),
)  # fmt: skip


def music(rng: np.random.Generator, n_columns: int = N_COLUMNS) -> np.ndarray:
    """Make levels in [0, 1]: notes with three partials that fade, over a slope."""
    levels = np.linspace(0.5, 0.1, 128)[:, None] + rng.normal(0, 0.01, (128, n_columns))
    for _ in range(n_columns // 3):
        start, length = rng.integers(n_columns), rng.integers(3, 20)
        fade = np.linspace(0.4, 0, length)[: n_columns - start]
        for partial in rng.integers(2, 60) + np.array([0, 25, 45]):
            levels[partial : partial + 3, start : start + length] += fade
    return np.clip(levels, 0, 1).astype(np.float32)


def store(folder: Path, features: Sequence[np.ndarray]) -> ShardReader:
    for shard, start in enumerate(range(0, len(features), TRACKS_IN_SHARD)):
        shards.write_levels(shard_path(folder, shard), features[start : start + TRACKS_IN_SHARD])
    return ShardReader(folder)


def table(n: int, **columns: object) -> pd.DataFrame:
    known: dict[str, object] = {
        "track_id": [f"t{number:06d}" for number in range(n)],
        "genre": "rock",
        "seconds": N_COLUMNS / RATE,
        "split": "train",
        "status": OK,
        "digest": [f"d{number}" for number in range(n)],
    }
    return pd.DataFrame(known | columns, index=range(n))


def groups(found: Audit | Sequence[Finding]) -> list[tuple[str, ...]]:
    findings = found.findings if isinstance(found, Audit) else found
    return [tuple(str(int(track[1:])) for track in finding.tracks) for finding in findings]


@pytest.fixture(scope="module")
def songs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [music(rng) for _ in range(160)]  # more than ALL_PAIRS: the search is used


def copies(original: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    longer = np.concatenate([original, music(rng, 130)], axis=1)
    return {
        "6 dB softer": np.clip(original - 6 / 80, 0, 1),
        "stretched levels": original * 0.8 + 0.1,
        "tone control": np.clip(original + np.linspace(-0.1, 0.1, 128)[:, None], 0, 1),
        "noise": np.clip(original + rng.normal(0, 0.05, original.shape), 0, 1),
        "noise floor": np.maximum(original, 0.3),
        "starts 5 s later": original[:, 65:],
        "first half": original[:, : N_COLUMNS // 2],
        "10 s longer": longer,
        "between columns": (original[:, :-1] + original[:, 1:]) / 2,
        "in decibel": (original - 1) * 80,
    }


@pytest.mark.parametrize("change", copies(np.zeros((128, N_COLUMNS), np.float32)))
def test_a_changed_copy_is_found_among_strangers(
    tmp_path: Path, songs: list[np.ndarray], change: str
) -> None:
    reader = store(tmp_path, [*songs, copies(songs[7])[change].astype(np.float32)])
    found = audit(table(len(songs) + 1), reader)
    assert groups(found) == [("7", "160")]
    assert found.findings[0].kind == "near-equal audio"


def test_unrelated_tracks_are_not_reported(tmp_path: Path, songs: list[np.ndarray]) -> None:
    assert audit(table(len(songs)), store(tmp_path, songs)).findings == ()


def test_two_loops_of_one_tempo_are_not_one_recording() -> None:
    rng = np.random.default_rng(2)
    beat = np.zeros((128, N_COLUMNS), np.float32)
    beat[:20, ::6] = beat[90:, 3::6] = 0.2  # the same drums on every beat, under two tunes
    one, other = (sketch(np.clip(music(rng) + beat, 0, 1), frame_rate=RATE) for _ in range(2))
    found = align(one, other)
    # They do agree, at every lag of a beat; without that the best one alone would pass.
    assert found.similarity * np.sqrt(N_COLUMNS) > MIN_SCORE
    assert found.score < MIN_SCORE


def test_the_shift_between_two_excerpts_is_told() -> None:
    song = music(np.random.default_rng(3), 500)
    early, late = sketch(song[:, :387], frame_rate=RATE), sketch(song[:, 100:], frame_rate=RATE)
    assert align(early, late).shift == pytest.approx(100 / RATE)
    assert align(late, early).shift == pytest.approx(-100 / RATE)


def test_a_copy_correlates_fully_at_lag_zero() -> None:
    song = sketch(music(np.random.default_rng(4)), frame_rate=RATE)
    found = align(song, song)
    assert found.shift == 0
    assert found.similarity == pytest.approx(1, abs=1e-5)  # float32 transforms


def test_alignment_is_the_plain_sliding_correlation() -> None:
    rng = np.random.default_rng(5)
    one, other = (sketch(music(rng, n), frame_rate=RATE) for n in (90, 70))
    a, b = one.contrast.astype(float), other.contrast.astype(float)
    counts = []
    for lag in range(35 - 70, 90 - 35 + 1):  # half of the shorter one is less than 4 s
        x = a[:, max(lag, 0) : min(90, 70 + lag)]
        y = b[:, max(-lag, 0) : min(70, 90 - lag)]
        r = (x * y).sum() / max(np.linalg.norm(x) * np.linalg.norm(y), 0.3 * x.shape[1])
        counts.append(r * np.sqrt(x.shape[1]))
    expected = max(counts) - 1.5 * np.sqrt(np.mean(np.square(counts)))
    assert align(one, other).score == pytest.approx(expected, abs=1e-4)  # float32


def test_a_short_track_repeated_with_noise_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    short = [music(rng, 60) for _ in range(20)]  # 4.7 s
    short.append(np.clip(short[3] + rng.normal(0, 0.02, short[3].shape), 0, 1))
    found = audit(table(21, seconds=60 / RATE), store(tmp_path, short))
    assert groups(found) == [("3", "20")]


@pytest.mark.parametrize("factor", [3, 8])
def test_fine_columns_are_pooled_first(factor: int) -> None:
    song = sketch(np.repeat(music(np.random.default_rng(7)), factor, 1), frame_rate=RATE * factor)
    assert song.rate == pytest.approx(RATE)
    assert song.contrast.shape == (32, N_COLUMNS)


@pytest.mark.parametrize("shape", [(128, 1), (128, 2), (20, 50), (5, 3)])
def test_tiny_features_are_described_without_a_fault(shape: tuple[int, int]) -> None:
    levels = np.random.default_rng(8).random(shape, np.float32)
    song = sketch(levels, frame_rate=43.07)
    assert np.isfinite(describe(song)).all()
    assert np.isfinite(align(song, song).score)


def test_silence_is_like_nothing() -> None:
    silent = sketch(np.full((128, N_COLUMNS), 0.2, np.float32), frame_rate=RATE)
    song = sketch(music(np.random.default_rng(9)), frame_rate=RATE)
    assert np.isfinite(describe(silent)).all()
    assert align(silent, silent).score <= 0
    assert align(silent, song).score <= 0


def test_equal_features_are_equal_audio_and_named_once(
    tmp_path: Path, songs: list[np.ndarray]
) -> None:
    few = songs[:5]
    found = audit(table(6), store(tmp_path, [*few, few[2]]))
    assert [finding.kind for finding in found.findings] == ["equal audio"]
    assert groups(found) == [("2", "5")]


def test_a_near_equal_group_takes_the_equal_ones_along(
    tmp_path: Path, songs: list[np.ndarray]
) -> None:
    few = songs[:5]
    found = audit(table(7), store(tmp_path, [*few, few[2], few[2] * np.float32(0.7)]))
    assert [finding.kind for finding in found.findings] == ["equal audio", "near-equal audio"]
    assert groups(found) == [("2", "5"), ("2", "5", "6")]
    assert 0.8 < found.findings[1].similarity <= 1


def test_many_equal_copies_do_not_hide_a_near_one(tmp_path: Path, songs: list[np.ndarray]) -> None:
    softer = np.clip(songs[7] - np.float32(0.1), 0, 1)
    found = audit(table(201), store(tmp_path, [*songs, *[songs[7]] * 40, softer]))
    assert [len(finding.tracks) for finding in found.findings] == [41, 42]


def test_equal_files_are_reported_as_bytes_alone(tmp_path: Path, songs: list[np.ndarray]) -> None:
    found = audit(table(3, digest=["a", "b", "a"]), store(tmp_path, [*songs[:2], songs[0]]))
    assert [finding.kind for finding in found.findings] == ["bytes"]
    assert groups(found) == [("0", "2")]


def test_an_unknown_digest_equals_no_other() -> None:
    assert audit(table(3, digest=["", "", ""]), None).findings == ()


def test_a_repeat_across_splits_leaks_and_one_left_out_does_not() -> None:
    splits = ["train", "test", "train", "", "valid", "valid"]
    found = audit(table(6, digest=list("aabbcc"), split=splits), None)
    assert groups(found) == [("0", "1"), ("2", "3"), ("4", "5")]
    assert groups(found.leaks) == [("0", "1")]
    assert found.n_affected("bytes") == 6
    assert found.n_affected("bytes", among=found.leaks) == 2


def test_a_repeat_under_two_genres_is_a_conflict() -> None:
    found = audit(table(4, digest=list("aabb"), genre=["rock", "pop", "rock", "rock"]), None)
    assert groups(found.conflicts) == [("0", "1")]


def test_an_artist_in_two_splits_leaks_and_an_album_counts_where_no_artist_is_known() -> None:
    found = audit(
        table(
            8,
            artist=["A", "A", "B", "B", "", "", " ", "C"],
            album=["x", "x", "x", "x", "y", "y", "", ""],
            split=["train", "test", "valid", "valid", "train", "test", "train", "test"],
            genre=["rock", "pop", *["rock"] * 6],
        ),
        None,
    )
    assert [(f.kind, f.what) for f in found.findings] == [("artist", "A"), ("album", "y")]
    assert groups(found) == [("0", "1"), ("4", "5")]
    assert found.conflicts == ()  # an artist may play two genres


def test_bad_tracks_are_passed_over(tmp_path: Path, songs: list[np.ndarray]) -> None:
    tracks = table(4, digest=list("aaaa"), status=[OK, "truncated", "truncated", OK])
    found = audit(tracks, store(tmp_path, [songs[0], songs[1], songs[0], songs[0]]))
    assert groups(found) == [("0", "3")]
    assert found.n_tracks == 2


def test_equal_rows_of_handcrafted_features_are_reported() -> None:
    rows = np.arange(12.0).reshape(4, 3)
    rows[3] = rows[1]
    found = audit(table(4, split=["train", "train", "test", "test"]), None, handcrafted=rows)
    assert [finding.kind for finding in found.leaks] == ["equal features"]
    assert groups(found) == [("1", "3")]


def test_the_table_has_a_row_a_track_and_finding() -> None:
    rows = audit(table(4, digest=list("abba"), split=["train", "", "", "test"]), None).table()
    assert rows.track_id.tolist() == ["t000000", "t000003", "t000001", "t000002"]
    assert rows.finding.tolist() == [0, 0, 1, 1]
    assert rows.leaks.tolist() == [True, True, False, False]


def test_an_empty_dataset_has_no_findings(tmp_path: Path) -> None:
    assert audit(table(0), ShardReader(tmp_path)).findings == ()


def test_neighbours_are_those_of_the_whole_matrix() -> None:
    rng = np.random.default_rng(10)
    vectors = rng.normal(size=(1_500, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    expected = set()
    for row, nearest in enumerate(np.argsort(-cosines, axis=1)[:, :10]):
        expected |= {(min(row, int(n)), max(row, int(n))) for n in nearest if cosines[row, n] > 0.2}
    assert set(map(tuple, neighbours(vectors).tolist())) == expected


def test_memory_of_the_search_holds_blocks_and_not_all_pairs() -> None:
    rng = np.random.default_rng(11)
    vectors = rng.normal(size=(16_000, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tracemalloc.start()
    neighbours(vectors[:2_000])
    few = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    neighbours(vectors)
    many = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert few < 60e6
    assert many < 120e6  # all pairs would be 1,024e6


@pytest.mark.slow
def test_a_hundred_thousand_tracks_are_searched_in_bounded_memory() -> None:
    rng = np.random.default_rng(12)
    vectors = rng.normal(size=(100_000, 32)).astype(np.float32)
    vectors[50_000:50_100] = vectors[:100] + rng.normal(0, 0.3, (100, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tracemalloc.start()
    pairs = set(map(tuple, neighbours(vectors).tolist()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all((number, 50_000 + number) in pairs for number in range(100))
    assert peak < 400e6  # all pairs would be 40e9


def test_the_table_of_a_hundred_thousand_tracks_is_gone_through() -> None:
    n = 100_000
    numbers = np.arange(n)
    splits = np.where(numbers % 10 < 8, "train", np.where(numbers % 10 < 9, "valid", "test"))
    tracks = table(
        n,
        split=splits,
        artist=[f"a{number // 10}" for number in numbers],  # ten tracks each, on all sides
        digest=[f"d{number % (n - 100)}" for number in numbers],  # the last 100 come again
    )
    found = audit(tracks, None)
    assert Counter(finding.kind for finding in found.findings) == {"artist": n // 10, "bytes": 100}
    assert len(found.leaks) == n // 10  # a copy stands a multiple of ten tracks further
    assert found.n_affected("artist") == n


def test_sketches_are_kept_within_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    song = sketch(music(np.random.default_rng(13)), frame_rate=RATE)

    def make(number: int) -> Sketch:
        read.append(number)
        return song

    monkeypatch.setattr(Sketches, "BUDGET", 2 * song.contrast.nbytes)
    sketches = Sketches(make)
    for number in (1, 2, 1, 3, 1, 2):  # 3 drives out 2, the one that was used the longest ago
        sketches[number]
    assert read == [1, 2, 3, 2]


@pytest.fixture(scope="module")
def gtzan(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = shared / "data" / "gtzan_logmel"
    done = preparation.prepare(folder, target=tmp_path_factory.mktemp("prepared"), n_jobs=1)
    return audit(done.dataset.tracks, done.dataset.reader())


def together(found: Audit) -> list[set[str]]:
    return [set(finding.tracks) for finding in found.findings]


def test_all_fifty_replicas_of_gtzan_are_found(gtzan: Audit) -> None:
    replicas = [
        {f"{genre}.{number:05d}" for number in group}
        for genre, found in REPLICAS.items()
        for group in found
    ] + [set(ACROSS_GENRES)]
    assert sum(len(group) - 1 for group in replicas) == 50  # Sturm's count
    missing = [group for group in replicas if not any(group <= found for found in together(gtzan))]
    assert missing == []


def test_excerpts_of_one_recording_in_gtzan_are_found(gtzan: Audit) -> None:
    missing = [
        group for group in EXCERPTS if not any(set(group) <= found for found in together(gtzan))
    ]
    assert missing == []


def test_nothing_else_in_gtzan_is_called_a_repeat(gtzan: Audit) -> None:
    known = [
        {f"{genre}.{number:05d}" for number in group}
        for genre, found in REPLICAS.items()
        for group in found
    ] + [set(ACROSS_GENRES), *map(set, EXCERPTS)]
    unknown = [found for found in together(gtzan) if not any(found <= group for group in known)]
    assert unknown == []


def test_the_fault_filtered_split_of_gtzan_does_not_leak(gtzan: Audit) -> None:
    assert gtzan.leaks == ()
    assert [finding.tracks for finding in gtzan.conflicts] == [ACROSS_GENRES]
