"""Figures of `mgr prepare`: how near it comes to decoding alone, and how much memory it takes.

    python -m tests.benchmarks.prepare speed AUDIO...        log-mels, in turns
    python -m tests.benchmarks.prepare handcrafted AUDIO...  the same for the 518 features
    python -m tests.benchmarks.prepare where AUDIO...        where a track's time goes, one process
    python -m tests.benchmarks.prepare tracks 100000         bookkeeping for so many tracks
    python -m tests.benchmarks.prepare files 100000          so many short files
    python -m tests.benchmarks.prepare long 3                one file of so many hours

`log_mels` and `features` are parts of `python -m tests.benchmarks` too.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from mgr_cli.config import FeatureSpec
from mgr_cli.cores import n_cores
from mgr_cli.data.sources import Wishes
from mgr_cli.preparation import prepare
from tests.benchmarks import bookkeeping, music, rivals
from tests.benchmarks.bookkeeping import run
from tests.benchmarks.course import CLIPS_A_SONG, FEATURED_A_SONG, Course
from tests.benchmarks.handcrafted import plain_librosa, store_features, transforms
from tests.benchmarks.pools import pools
from tests.benchmarks.tables import Pace, Table, compared
from tests.benchmarks.turns import UnfairError, take_turns, timed

LIBROSA = FeatureSpec()  # librosa's own defaults: no frame is left out, levels are decibels
TOLERANCE = 0.1  # dB: halves near 80 are 0.06 apart
OURS = "mgr prepare"


def log_mels(course: Course) -> Table:
    """Compare `mgr prepare` with decoding alone, and with librosa in as many processes.

    Everyone goes through the same clips. The bound decodes, averages channels and resamples; the
    rival is `librosa.load`, `librosa.feature.melspectrogram` and `np.save`, a file a track.
    Fair, because both write the same log-mels, in halves, which is checked on every file; ours
    also takes a digest of each file, deals out splits, and writes its shards and table.
    """
    paths = music.laid_out(
        course.made("clips"), course.files, CLIPS_A_SONG * course.n_songs
    )  # fmt: skip
    worst = check_log_mels(course)
    store = partial(rivals.store_log_mel, target=course.made("librosa"), spec=LIBROSA)
    root, n_jobs = course.folder / "clips", course.n_jobs
    with pools(n_jobs) as pool:
        turns = take_turns(
            {
                "decoding alone": pool(rivals.decode, paths),
                OURS: timed(lambda: run(root, ("log-mel",), n_jobs, spec=LIBROSA)),
                "librosa": pool(store, paths),
            },
            course.n_rounds,
        )
    return compared(
        "prepare",
        f"{told(paths)}, {n_jobs} processes; log-mels agree within {worst:.2f} dB.",
        turns,
        against=("decoding alone", "librosa"),
        pace=Pace(len(paths), "tracks a minute"),
    )


def check_log_mels(course: Course) -> float:
    """Return by how many dB our log-mels and librosa's differ at the most.

    Raises
    ------
    UnfairError
        If that is more than halves do.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        dataset = prepare(
            one_of_each(root, course), target=Path(folder), name="made", n_jobs=1,
            wishes=Wishes(features=("log-mel",), spec=LIBROSA),
        ).dataset  # fmt: skip
        worst = 0.0
        for number, path in enumerate(dataset.tracks.path):
            ours = dataset.reader().frames(number)
            theirs = rivals.log_mel(root / path, LIBROSA)
            if ours.shape != theirs.shape:
                raise UnfairError(f"{path}: log-mels {ours.shape}, librosa's {theirs.shape}")
            worst = max(worst, float(np.abs(ours - theirs).max()))
    if worst > TOLERANCE:
        raise UnfairError(f"log-mels and librosa's differ by {worst:.2f} dB")
    return worst


def features(course: Course) -> Table:
    """Compare the 518 features with FMA's script, and with what cannot be left out.

    Everyone goes through the same clips at their own rate. There are two bounds: decoding alone,
    and with librosa's constant-Q transform and STFT, which all features are made of. The rival
    is FMA's script brought to today's librosa, `handcrafted.plain_librosa`. Fair, because both
    write the same 518 numbers, which is checked on every file.
    """
    paths = music.laid_out(
        course.made("featured"), course.files, FEATURED_A_SONG * course.n_songs
    )  # fmt: skip
    check_features(course)
    store = partial(store_features, target=course.made("plain"))
    root, n_jobs = course.folder / "featured", course.n_jobs
    with pools(n_jobs) as pool:
        turns = take_turns(
            {
                "decoding alone": pool(rivals.decode_alone, paths),
                "CQT and STFT alone": pool(transforms, paths),
                OURS: timed(lambda: run(root, ("handcrafted",), n_jobs)),
                "librosa": pool(store, paths),
            },
            course.n_rounds,
        )
    return compared(
        "518 features",
        f"{told(paths)}, {n_jobs} processes; the features agree.",
        turns,
        against=("decoding alone", "CQT and STFT alone", "librosa"),
        pace=Pace(len(paths), "tracks a minute"),
    )


def check_features(course: Course) -> None:
    """See that our 518 features are those of plain librosa.

    Raises
    ------
    UnfairError
        If they are not.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        wishes = Wishes(features=("handcrafted",))
        dataset = prepare(
            one_of_each(root, course), target=Path(folder), name="made", wishes=wishes, n_jobs=1
        ).dataset
        for path, ours in zip(dataset.tracks.path, dataset.vectors(), strict=True):
            theirs = plain_librosa(*rivals.at_own_rate(root / path), "corrected")
            # A script's skewness of what does not move is no number; ours is 0.
            moves = np.isfinite(theirs)
            if moves.mean() < 0.9:
                raise UnfairError(f"{path}: most of librosa's features are no number")
            # It takes its moments in float32, good for 1e-4 of a skewness.
            if not np.allclose(ours[moves], theirs[moves], rtol=1e-3, atol=1e-4):
                worst = float(np.abs(ours - theirs)[moves].max())
                raise UnfairError(f"{path}: a feature and librosa's differ by {worst:.2g}")


def one_of_each(root: Path, course: Course) -> Path:
    """Lay out what is checked: as many files as are measured, each once."""
    music.laid_out(root, course.files, min(len(course.files), CLIPS_A_SONG * course.n_songs))
    return root


def told(paths: list[Path]) -> str:
    """Say how many tracks there are, and of what length."""
    return f"{len(paths)} tracks, {music.seconds_of(paths) / 60:.0f} minutes of music"


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    for name, n_tracks in (("speed", 240), ("handcrafted", 24), ("where", 1)):
        timed_ = commands.add_parser(name)
        timed_.add_argument("audio", type=Path, nargs="+", help="files or folders")
        timed_.add_argument("--tracks", type=int, default=n_tracks)
        timed_.add_argument("--rounds", type=int, default=3)
        timed_.add_argument("--jobs", type=int, default=n_cores())
    commands.add_parser("tracks").add_argument("n", type=int, nargs="?", default=100_000)
    commands.add_parser("files").add_argument("n", type=int, nargs="?", default=100_000)
    commands.add_parser("long").add_argument("hours", type=float, nargs="?", default=3.0)
    chosen = parser.parse_args()
    match chosen.what:
        case "tracks":
            bookkeeping.tracks(chosen.n)
        case "files":
            bookkeeping.short(chosen.n)
        case "long":
            bookkeeping.long(chosen.hours)
        case "where":
            bookkeeping.where(music.found(chosen.audio))
        case what:
            with tempfile.TemporaryDirectory() as folder:
                a_song = CLIPS_A_SONG if what == "speed" else FEATURED_A_SONG
                course = Course(
                    Path(folder), tuple(music.found(chosen.audio)), Path(), chosen.jobs,
                    n_rounds=chosen.rounds, n_songs=max(1, chosen.tracks // a_song),
                )  # fmt: skip
                print((log_mels if what == "speed" else features)(course).markdown())


if __name__ == "__main__":
    main()
