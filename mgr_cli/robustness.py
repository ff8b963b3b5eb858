"""Robustness: whether an entry says the same of a track that comes in another form.

To an ear it is the same music. Here a track is given to an entry in several `forms`, each written
to a real file and read again by the way of every file of `mgr predict`, and what is said of it is
held against what is said of the file as it is::

    file → forms.decoded → forms.formed → a file of its own → Record ⟷ Record of the file as it is

Nobody knows better than the file as it is, so a lossy one is encoded a second time, and its first
codec's losses are in both. Encoders delay and fill up; that stays, users have it too. Said of a
form are

- *agreement*: the share of tracks whose genre, the winner of the vote, is that of the reference;
- the *distance* of the probabilities, total variation ½ Σ |p − q|, in [0, 1]: the most by which
  the probability of any set of genres has changed [1]_;
- of the tracks whose answer was believed (not "unsure"), those that get *another answer*, and those
  that get *none* any more;
- the *accuracy*, where the truth is known: a track's folder is called as a genre of the entry.

Forms differ in how many tracks they are measured on, as one that would change nothing is not made.
Of a long track its beginning is used, in the reference too.

References
----------
.. [1] D. A. Levin, Y. Peres, E. L. Wilmer, "Markov Chains and Mixing Times", AMS 2009, chapter 4:
   total variation distance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mgr_cli import audio, encoding, records
from mgr_cli.config import Progress, silent
from mgr_cli.errors import AudioError
from mgr_cli.forms import FORMS, Form, Sound, decoded, formed
from mgr_cli.prediction import Predictor
from mgr_cli.records import Record
from mgr_cli.tags import names

MOST_TRACKS = 200  # of a folder
AS_IT_IS = Form("as it is")


@dataclass(frozen=True)
class Heard:
    """What an entry says of a track in all its forms.

    Attributes
    ----------
    path : Path
        Of the file.
    truth : str
        Its genre; empty where nobody knows.
    reference : Record
        Of the file as it is.
    records : dict of Record
        By name of a form; those that change nothing of this track are left out.
    """

    path: Path
    truth: str
    reference: Record
    records: dict[str, Record]


@dataclass(frozen=True)
class Agreement:
    """How far what is said of a form is what is said of the tracks as they are.

    Attributes
    ----------
    form : str
        Its name.
    n_tracks : int
        That it was judged of, and is another form of.
    n_same : int
        Those with the same genre.
    mean_distance, largest_distance : float
        Total variation of the probabilities; NaN where there is no track.
    n_believed : int
        Tracks whose answer is believed as they are.
    n_other, n_none : int
        Those of them that get another answer, and those that get none any more.
    n_known : int
        Tracks whose truth is known.
    n_right, n_right_before : int
        Those of them that are right in this form, and as they are.
    problems : tuple of str
        Why the form could not be judged of other tracks, a line each.
    """

    form: str
    n_tracks: int
    n_same: int
    mean_distance: float
    largest_distance: float
    n_believed: int
    n_other: int
    n_none: int
    n_known: int
    n_right: int
    n_right_before: int
    problems: tuple[str, ...] = ()


def chosen(paths: Sequence[Path], *, n: int = MOST_TRACKS) -> list[Path]:
    """Choose so many files at the most, evenly from all over the list."""
    if len(paths) <= n:
        return list(paths)
    return [paths[int((place + 0.5) * len(paths) / n)] for place in range(n)]


def measure(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    forms: Sequence[Form] = FORMS,
    progress: Progress = silent,
) -> list[Heard]:
    """Let an entry judge tracks in several forms.

    Parameters
    ----------
    predictor : Predictor
        The entry.
    paths : sequence of Path
        Audio files.
    forms : sequence of Form
        Each under a name of its own.
    progress : callable, optional
        Called after each track.

    Returns
    -------
    list of Heard
        One a path. Where the file itself cannot be used, its reference says why, and there are
        no records.
    """
    found = []
    with TemporaryDirectory(prefix="mgr-forms-") as folder:
        for path in paths:
            found.append(_hear(predictor, path, forms, Path(folder)))
            progress(len(found), len(paths), "tracks")
    return found


def summarise(heard: Sequence[Heard], *, forms: Sequence[Form] = FORMS) -> list[Agreement]:
    """Sum up what was said of some tracks, form by form."""
    return [_agreement(form.name, heard) for form in forms]


def distance(one: Record, other: Record) -> float:
    """Return the total variation ½ Σ |p − q| of two predictions of one entry, in [0, 1]."""
    p, q = one.probabilities or {}, other.probabilities or {}
    return sum(abs(share - q[genre]) for genre, share in p.items()) / 2


def _hear(predictor: Predictor, path: Path, forms: Sequence[Form], folder: Path) -> Heard:
    """Let an entry judge one track in several forms."""
    found: dict[str, Record] = {}
    reference = _judged(predictor, path)
    if reference.status == "ok":
        sound = decoded(path)
        if sound.is_cut:
            reference = _judged_as(predictor, sound, AS_IT_IS, folder)
    if reference.status == "ok":
        for form in forms:
            made = formed(sound, form)
            if made is not None:
                found[form.name] = _judged_as(predictor, made, form, folder)
    return Heard(path, _truth(path, predictor.card.classes), reference, found)


def _judged_as(predictor: Predictor, sound: Sound, form: Form, folder: Path) -> Record:
    """Write a recording to a file, judge that, and remove it."""
    path = folder / f"track{encoding.SUFFIXES[form.codec]}"
    try:
        encoding.write(
            path, sound.samples, sample_rate=sound.sample_rate, codec=form.codec,
            bit_rate=form.bit_rate,
        )  # fmt: skip
    except AudioError as error:
        return records.failed(str(path), str(error))
    else:
        return _judged(predictor, path)
    finally:
        path.unlink(missing_ok=True)


def _judged(predictor: Predictor, path: Path) -> Record:
    try:
        return records.of(str(path), predictor.from_file(path), predictor.card.name)
    except AudioError as error:
        why = str(error).removeprefix(f"{audio.shown(path)}: ")
        return records.failed(str(path), why)


def _truth(path: Path, classes: Sequence[str]) -> str:
    """Return the genre that a file's folder is called as; nothing if there is none."""
    meant = names.default(classes).meant([path.absolute().parent.name])
    return next(iter(meant)) if len(meant) == 1 else ""


def _agreement(form: str, heard: Sequence[Heard]) -> Agreement:
    made = [(each, each.records[form]) for each in heard if form in each.records]
    whole = [(each.truth, each.reference, other) for each, other in made if other.status == "ok"]
    distances = [distance(one, other) for _, one, other in whole]
    believed = [(one, other) for _, one, other in whole if one.is_answered]
    known = [(truth, one, other) for truth, one, other in whole if truth]
    return Agreement(
        form=form,
        n_tracks=len(whole),
        n_same=sum(one.genre == other.genre for _, one, other in whole),
        mean_distance=sum(distances) / len(distances) if distances else math.nan,
        largest_distance=max(distances, default=math.nan),
        n_believed=len(believed),
        n_other=sum(two.is_answered and two.answer != one.answer for one, two in believed),
        n_none=sum(not two.is_answered for _, two in believed),
        n_known=len(known),
        n_right=sum(other.genre == truth for truth, _, other in known),
        n_right_before=sum(one.genre == truth for truth, one, _ in known),
        problems=tuple(
            f"{audio.shown(each.path)}: {other.error}"
            for each, other in made
            if other.status == "error"
        ),
    )
