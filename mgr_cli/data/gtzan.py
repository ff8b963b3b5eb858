"""GTZAN: ten genres of a hundred tracks, and the split that does not leak.

The set holds exact copies, excerpts of the same recording, several tracks of one artist and
wrong labels [1]_. A random split therefore puts the same music on both sides and reads ten to
twenty points too high. The fault-filtered, artist-filtered partition of Kereliuk et al. [2]_ is
the set's own split here: 443 tracks to train on (442 without jazz.00054, which is damaged in
the copies that are shared), 197 to choose by, 290 to be asked once; 70 are left out.

References
----------
.. [1] B. L. Sturm, "The GTZAN dataset: its contents, its faults, their effects on evaluation,
   and its future use", arXiv 1306.1461, 2013.
.. [2] C. Kereliuk, B. L. Sturm, J. Larsen, "Deep learning and music adversaries", IEEE
   Transactions on Multimedia 17(11), 2015.
"""

import re
from pathlib import Path

from mgr_cli.data.extraction import read
from mgr_cli.data.sources import RawTrack, Scan, Wishes
from mgr_cli.errors import DatasetError

__all__ = ["fits", "read", "scan"]

FOLDERS = ("genres", "genres_original", ".")  # as it was published, as Kaggle has it, bare
_GENRE = "(blues|classical|country|disco|hiphop|jazz|metal|pop|reggae|rock)"
NAME = re.compile(_GENRE + r"\.\d{5}\.(?:wav|au)", re.IGNORECASE)
LIKE = re.compile(_GENRE + r"\.?(\d{5})(?:\.\d+)?(?:\.(?:wav|au))?", re.IGNORECASE)
DAMAGED = {"jazz.00054"}

# Which numbers of a genre are in which split; a range includes both of its ends.
_FAULT_FILTERED = """
    blues train 29-49 73-97
    blues valid 0-11 50-60
    blues test 12-28 61-72 98-99
    classical train 30-33 43-48 50-67 80-99
    classical valid 0-10 68-76
    classical test 11-29 34-41 49 77-79
    country train 19-26 28-29 65-99
    country valid 0-7 9-18 27 41-42 45 49
    country test 30-40 43-44 46-48 50-51 53-64
    disco train 5 15-20 22-37 39-45 47 49 53-54 56-57 59 61 70 73-74 89
    disco valid 0 2-4 6-14 46 48 52 67-68 72 75 90 95
    disco test 1 21 58 62-66 69 76-88 91-94 96-97 99
    hiphop train 2-25 28-29 31-38 41-42 55-61 77-80
    hiphop valid 81-98
    hiphop test 0 26-27 30 40 43-45 51-54 62-75 99
    jazz train 0-1 11-24 41 47-53 55-72
    jazz valid 2-10 25-32
    jazz test 73-99
    metal train 2-3 5 21 24 35 46-57 59-66 69 71-72 79-80 84 86 89-99
    metal valid 0-1 6-11 16-20 36-37 68 76-77 81-82
    metal test 12-15 22-23 25-33 38-39 67 70 73-75 78 83 85 87-88
    pop train 2-9 11-12 16-20 23-29 31-36 38-42 44 46 49-50 80 97-99
    pop valid 10 53 55 58-62 81 83-86
    pop test 0-1 13-14 43 63-66 69-79 82 88-96
    reggae train 0-2 4 6 9 11-12 14-32 42-45 49-51 54-60 63 69
    reggae valid 61-62 70 72 74 76-78 85 92-99
    reggae test 34-40 46-48 52-53 64-68 71 79 82-84 87-90
    rock train 0-9 16-26 57-70 91-99
    rock valid 38 49-56 71-85
    rock test 10-15 27-37 39-48 86-90
"""


def fits(root: Path) -> bool:
    """Tell whether a folder holds tracks that are named and numbered as GTZAN's are."""
    return any(_files(root / folder) for folder in FOLDERS)


def scan(root: Path, wishes: Wishes) -> Scan:
    """List the tracks of GTZAN, with the fault-filtered split.

    Parameters
    ----------
    root : Path
        The folder, or the one above its `genres` or `genres_original`.
    wishes : Wishes
        Without `own_split` the tracks, the left out ones too, are dealt out at random, which leaks.

    Raises
    ------
    DatasetError
        If there is no track.
    """
    splits = fault_filtered()
    tracks = {}
    for folder in FOLDERS:
        for path in _files(root / folder):
            track_id = path.name[: -len(path.suffix)].lower()
            tracks[track_id] = RawTrack(
                track_id=track_id,
                path=path.relative_to(root).as_posix(),
                genre=track_id.split(".")[0],
                split=splits.get(track_id, "") if wishes.own_split else None,
                problem="damaged in the copies that are shared" if track_id in DAMAGED else "",
            )
        if tracks:
            break
    if not tracks:
        raise DatasetError(f"{root}: no track of GTZAN; expected genres/blues/blues.00000.wav")
    return Scan(tuple(tracks[key] for key in sorted(tracks)), wishes.plan())


def track_of(name: str) -> str:
    """Return the track of GTZAN, as blues.00000, that pictures and tables name in their ways.

    Those are ``blues00000``, ``blues.00000.wav``, and ``blues.00000.3.wav`` for the fourth
    segment of it. Empty if the name is none of these.
    """
    like = LIKE.fullmatch(name)
    return f"{like[1].lower()}.{like[2]}" if like else ""


def fault_filtered() -> dict[str, str]:
    """Return the split of Kereliuk et al. as track_id → train, valid or test."""
    splits = {}
    for line in _FAULT_FILTERED.strip().splitlines():
        genre, split, *ranges = line.split()
        for numbers in ranges:
            first, _, last = numbers.partition("-")
            for number in range(int(first), int(last or first) + 1):
                splits[f"{genre}.{number:05d}"] = split
    return splits


def _files(folder: Path) -> list[Path]:
    """List the files of a folder of genre folders that have a track's name."""
    return [
        path
        for path in sorted(folder.glob("*/*"))
        if (named := NAME.fullmatch(path.name)) and named[1].lower() == path.parent.name.lower()
    ]
