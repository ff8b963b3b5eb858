from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from mgr_cli import tagging
from mgr_cli.config import TagMode
from mgr_cli.records import Record, failed
from mgr_cli.tagging import Change, Disagreement, Kept
from mgr_cli.tags import names

CLASSES = ("hiphop", "rock", "jazz")
NAMES = names.default(CLASSES)
SURE = Record("song.mp3", answer="hiphop", genre="hiphop", confidence=0.9)
UNSURE = replace(SURE, answer="unsure")
SPEECH = replace(SURE, answer="speech", content="speech")
FAILED = failed("song.mp3", "song.mp3: not audio")


@pytest.mark.parametrize(
    ("mode", "old", "new"),
    [
        ("fill", (), ("Hip-Hop",)),
        ("fill", ("Rock",), None),
        ("replace", (), ("Hip-Hop",)),
        ("replace", ("Rock", "Pop"), ("Hip-Hop",)),
        ("append", (), ("Hip-Hop",)),
        ("append", ("Rock", "Pop"), ("Rock", "Pop", "Hip-Hop")),
    ],
)
def test_a_mode_says_what_becomes_of_a_genre(
    mode: TagMode, old: tuple[str, ...], new: tuple[str, ...] | None
) -> None:
    expected = Kept("has a genre") if new is None else Change(old, new)
    assert tagging.decide(SURE, old, names=NAMES, mode=mode) == expected


def test_what_a_tag_says_already_is_not_written() -> None:
    assert tagging.decide(SURE, ("Hip-Hop",), names=NAMES, mode="replace") == Kept(
        "says so already"
    )
    said = tagging.decide(SURE, ("Rock", "HIP-HOP"), names=NAMES, mode="append")
    assert said == Kept("says so already")
    own = names.Names({**NAMES.of, "hiphop": ("Hip-Hop/Rap",)})
    said = tagging.decide(SURE, ("Hip-Hop", "Rap"), names=own, mode="replace")
    assert said == Kept("says so already")


def test_what_is_added_to_id3v23_is_found_in_its_parts() -> None:
    own = names.Names({**NAMES.of, "hiphop": ("Hip-Hop/Rap",)})
    first = tagging.decide(SURE, ("Rock",), names=own, mode="append")
    assert first == Change(("Rock",), ("Rock", "Hip-Hop/Rap"))
    for old in (("Rock", "Hip-Hop", "Rap"), ("Rap", "hip-hop"), ("Rock", "Hip-Hop/Rap")):
        said = tagging.decide(SURE, old, names=own, mode="append")
        assert said == Kept("says so already")
    half = tagging.decide(SURE, ("Rap",), names=own, mode="append")
    assert half == Change(("Rap",), ("Rap", "Hip-Hop/Rap"))


@pytest.mark.parametrize(
    ("record", "reason"), [(UNSURE, "unsure"), (SPEECH, "no music"), (FAILED, "error")]
)
@pytest.mark.parametrize("mode", get_args(TagMode))
def test_what_is_no_genre_is_never_written(record: Record, reason: str, mode: TagMode) -> None:
    for old in ((), ("Rock",)):
        assert tagging.decide(record, old, names=NAMES, mode=mode) == Kept(reason)  # type: ignore[arg-type]
    # Nobody looks for the file.
    assert tagging.write(record, names=NAMES, mode=mode) == (Kept(reason), None)  # type: ignore[arg-type]


def test_a_class_may_be_called_as_a_content_is() -> None:
    noise = replace(SURE, answer="noise", genre="noise")
    assert tagging.decide(noise, (), names=names.default(["noise"])) == Change((), ("Noise",))


def test_a_confidence_may_be_asked_for() -> None:
    for least, expected in ((0.9, Change((), ("Hip-Hop",))), (0.901, Kept("unsure"))):
        assert tagging.decide(SURE, (), names=NAMES, min_confidence=least) == expected


@pytest.mark.parametrize(
    ("record", "tag", "verdict"),
    [
        (SURE, ("hip hop",), "agrees"),
        (SURE, ("Rock", "Hip-Hop"), "agrees"),
        (SURE, ("Rock",), "disagrees"),
        (SURE, ("Rock", "Polka"), "disagrees"),
        (SURE, ("Polka",), "unknown"),
        (SURE, (), "no tag"),
        (UNSURE, ("Rock",), "unsure"),
        (SPEECH, ("Rock",), "no music"),
    ],
)
def test_a_tag_is_compared_with_an_answer(
    record: Record, tag: tuple[str, ...], verdict: str
) -> None:
    assert tagging.compared(record, tag, NAMES) == verdict


def test_disagreements_come_most_confident_first() -> None:
    found = [
        Disagreement(name, ("Rock",), "jazz", p) for name, p in (("b", 0.5), ("c", 0.9), ("a", 0.5))
    ]
    assert [each.path for each in tagging.ranked(found)] == ["c", "a", "b"]


def test_a_log_lies_where_the_state_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MGR_STATE", str(tmp_path))
    log = tagging.new_log("net")
    assert log._folder == tmp_path / "tags"
    assert log._header["entry"] == "net"
