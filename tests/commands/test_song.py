import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from mgr_cli.commands import hearing, song
from mgr_cli.explanation.result import Attribution, Explanation
from mgr_cli.features.mel import hz_to_mel
from mgr_cli.prediction import Prediction
from tests.commands.workspace import SAMPLE_RATE, run
from tests.explanation.test_listening import RATE, SPEC, spot

QUICK = ("--method", "integrated-gradients")


@pytest.fixture(scope="session")
def explained(
    trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    """Explain one song with everything; the folder, what is on stdout, and on stderr."""
    root = tmp_path_factory.mktemp("explained")
    done = run(
        "explain", trained / "songs" / "hum" / "0.wav", "--model", trained / "zoo" / "sounds",
        *QUICK, "--json", "--png", root / "x.png", "--listen", root / "for.wav",
        "--listen-against", root / "against.wav",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return root, json.loads(done.stdout), done.stderr


def test_json_is_one_object_with_all_that_was_found(
    explained: tuple[Path, dict[str, Any], str],
) -> None:
    root, record, _ = explained
    assert list(record) == [
        "path", "model", "genre", "confidence", "probabilities", "seconds", "part", "bands_hz",
        "most_faithful", "attributions", "faithfulness", "notes", "files",
    ]  # fmt: skip
    ranked = list(record["probabilities"])
    found = record["attributions"]
    assert [(each["method"], each["genre"]) for each in found] == [
        ("integrated-gradients", genre) for genre in ranked[:2]
    ]  # fmt: skip
    bands = record["bands_hz"]
    for each in found:
        assert len(each["by_band"]) == len(bands) == 128
        # Summed by second or by band, it is the same attribution.
        assert sum(each["by_second"]) == pytest.approx(sum(each["by_band"]), rel=1e-4, abs=1e-6)
        for spans in (each["top_seconds"], each["top_frequencies"]):
            shares = [span["share"] for span in spans]
            assert shares == sorted(shares, reverse=True)
            assert 0 < sum(shares) <= 1 + 1e-9
    (check,) = record["faithfulness"]
    assert (check["method"], check["genre"]) == ("integrated-gradients", ranked[0])
    curve = check["curves"]
    assert check["areas"]["deletion"] == pytest.approx(
        np.trapezoid(curve["deletion"], curve["shares"])
    )
    assert record["files"] == {
        "picture": str(root / "x.png"), "listen": str(root / "for.wav"),
        "listen_against": str(root / "against.wav"),
    }  # fmt: skip


def test_files_are_written_and_said(
    explained: tuple[Path, dict[str, Any], str], trained: Path
) -> None:
    root, record, said = explained
    assert {path.name for path in root.iterdir()} == {"x.png", "for.wav", "against.wav"}
    with Image.open(root / "x.png") as picture:
        assert picture.width > 1_500
    original, _ = soundfile.read(trained / "songs" / "hum" / "0.wav", always_2d=True)
    part = record["part"]
    length = (part["stop"] - part["start"]) * SAMPLE_RATE
    for name in ("for.wav", "against.wav"):
        heard, rate = soundfile.read(root / name, always_2d=True)
        assert rate == SAMPLE_RATE
        assert len(heard) == pytest.approx(length, abs=2e-3 * SAMPLE_RATE)
        assert heard.shape[1] == 1
        first = round(part["start"] * SAMPLE_RATE)
        # What is left can only be between all of it and 30 dB less.
        power = (heard**2).sum() / (original[first : first + len(heard)] ** 2).sum()
        assert 10**-3 * 0.9 <= power <= 1.01
    genres = list(record["probabilities"])
    for name, genre in zip(("for.wav", "against.wav"), genres[:2], strict=True):
        (line,) = [each for each in said.splitlines() if each.startswith(str(root / name))]
        assert f"what did not speak for {genre} (by integrated-gradients, the most faith" in line


def test_table_names_the_seconds_and_the_frequencies(inside: Path, tmp_path: Path) -> None:
    done = run("explain", "songs/hiss/0.wav", "--method", "occlusion", "--png", tmp_path / "x.png")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("songs/hiss/0.wav  4.0 s, sounds; explained: 0:00.0–0:0")
    assert lines[1:3] == ["what it says", lines[2]]
    assert lines[2].split() == ["genre", "probability"]
    winner = lines[3].split()[0]
    titles = [line for line in lines if "by occlusion" in line]
    assert len(titles) == 2
    assert f"spoke for {winner}, by occlusion" in titles[0]
    assert lines[-3] == f"how faithful, for {winner}"
    assert lines[-2].split() == [
        "method", "deletion", "at", "random", "insertion", "at", "random", "random", "weights"
    ]  # fmt: skip
    assert lines[-1].split()[0] == "occlusion"
    assert "Areas under curves" in done.stderr


def test_unchecked_song_has_no_table_of_faithfulness(inside: Path, tmp_path: Path) -> None:
    png = tmp_path / "x.png"
    done = run("explain", "songs/hum/2.wav", *QUICK, "--no-check", "--png", png)
    assert done.exit_code == 0, done.stderr
    assert "how faithful" not in done.stdout
    assert done.stderr == f"picture: {png}\n"


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("nobody.wav",), "nobody.wav: no such file"),
        (("trained.txt",), "trained.txt: not readable as audio"),
        (("songs",), "songs: a folder where"),
        (("songs/hum/0.wav", "--listen", "songs/hum/0.wav"), "--listen songs/hum/0.wav is the"),
        (("songs/hum/0.wav", "--png", "songs/hum/../hum/0.wav"), "is the song itself"),
        (("songs/hum/0.wav", "--listen-against", "x.mp3"), "let its name end in .wav"),
        (
            ("songs/hum/0.wav", "--listen", "x.wav", "--listen-against", "x.wav"),
            "--listen-against x.wav is where --listen goes",
        ),
        (("songs/hum/0.wav", "--png", "songs"), "--png songs is a folder"),
        (("songs/hum/0.wav", "--start", "99"), "begin earlier"),
        (("songs/hum/0.wav", "--model", "nobody"), "no entry 'nobody'"),
    ],
)  # fmt: skip
def test_wrong_command_is_one_line_and_no_file(
    inside: Path, args: tuple[object, ...], word: str
) -> None:
    song = inside / "songs" / "hum" / "0.wav"
    before = song.read_bytes()
    done = run("explain", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert song.read_bytes() == before
    assert not [*inside.glob("*.png"), *inside.glob("*.wav"), *inside.glob(".*.part")]


def made_up(path: Path, mask: np.ndarray, *, start: float, stop: float) -> Explanation:
    probs = np.array([0.75, 0.25])
    prediction = Prediction(
        ("rock", "pop"), probs, "rock", "mean", probs[None], (0.0,), 3.0, stop, padded=False
    )
    attributions = (
        Attribution("occlusion", "rock", mask), Attribution("occlusion", "pop", -mask)
    )  # fmt: skip
    return Explanation(path, prediction, start, stop, mask, SPEC, attributions)


def tones(seconds: float) -> np.ndarray:
    """Return 1 kHz to the left and 3 kHz to the right, [shape=(n_samples, 2)]."""
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.9 * np.sin(2 * np.pi * time[:, None] * [1_000, 3_000])


def test_part_of_a_stereo_song_stays_stereo_and_in_its_place(tmp_path: Path) -> None:
    song = tones(16.0) * [[1.0, 0.5]]
    song[: 12 * RATE] = 0  # the part lies in the second block that is read
    soundfile.write(tmp_path / "x.wav", song, RATE, subtype="FLOAT")
    mel = hz_to_mel(np.array([1_000.0, SPEC.highest]))
    band = round(41 * float(mel[0] / mel[1]) - 1)
    found = made_up(tmp_path / "x.wav", spot(band, 1), start=12.0, stop=15.0)
    said = hearing.write(found, "rock", tmp_path / "y.wav")
    heard, rate = soundfile.read(tmp_path / "y.wav")
    assert (heard.shape, rate) == ((3 * RATE, 2), RATE)
    middle = slice(round(1.4 * RATE), round(1.6 * RATE))
    first = slice(round(0.2 * RATE), round(0.5 * RATE))
    assert np.abs(heard[middle]).max(axis=0) == pytest.approx([0.9, 0.45 * 10**-1.5], rel=0.02)
    assert np.abs(heard[first]).max(axis=0) == pytest.approx(
        [0.9 * 10**-1.5, 0.45 * 10**-1.5], rel=0.02
    )
    # The part begins 12 s into the song: phases of the tone go on as they would.
    np.testing.assert_allclose(heard[middle, 0], song[12 * RATE :][middle, 0], atol=0.02)
    assert "0:12.0–0:15.0 of the song, what did not speak for rock (by occlusion) turned" in said


def test_nothing_clips_and_it_is_said(tmp_path: Path) -> None:
    loud = 1.6 * tones(1.0)
    soundfile.write(tmp_path / "x.wav", loud, RATE, subtype="FLOAT")
    found = made_up(tmp_path / "x.wav", np.ones((40, 60)), start=0.0, stop=1.0)
    said = hearing.write(found, "rock", tmp_path / "y.wav")
    heard, _ = soundfile.read(tmp_path / "y.wav")
    assert np.abs(heard).max() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(heard, loud / np.abs(loud).max(), atol=2e-3)
    assert "all of it 3.2 dB quieter, lest it clips" in said  # 20 log10(1.6 · 0.9)


def test_more_than_two_channels_are_mixed(tmp_path: Path) -> None:
    wave = tones(1.0)[:, :1] * [[0.2, 0.4, 0.6]]
    soundfile.write(tmp_path / "x.wav", wave, RATE, subtype="FLOAT")
    hearing.write(
        made_up(tmp_path / "x.wav", np.ones((40, 60)), start=0, stop=1), "rock", tmp_path / "y.wav"
    )
    heard, _ = soundfile.read(tmp_path / "y.wav", always_2d=True)
    np.testing.assert_allclose(heard, wave.mean(axis=1, keepdims=True), atol=1e-3)


def test_too_much_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mgr_cli.errors import AudioError

    monkeypatch.setattr(hearing, "MOST_VALUES", 1_000)
    soundfile.write(tmp_path / "x.wav", tones(1.0), RATE)
    found = made_up(tmp_path / "x.wav", np.ones((40, 60)), start=0, stop=1)
    with pytest.raises(AudioError, match="1 s of it are too much; take --seconds less"):
        hearing.write(found, "rock", tmp_path / "y.wav")
    assert not (tmp_path / "y.wav").exists()


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        ((0, 3), "0:00.0–0:03.0"),
        ((59.96, 61.04), "1:00.0–1:01.0"),
        ((3599.9, 3661), "59:59.9–61:01.0"),
    ],
)
def test_seconds_are_shown_as_on_a_clock(span: tuple[float, float], shown: str) -> None:
    assert hearing.clock(*span) == shown


@pytest.mark.parametrize(("hz", "shown"), [(0, "0"), (433, "430"), (10_975, "11,000"), (98, "98")])
def test_frequencies_are_rounded_to_two_digits(hz: float, shown: str) -> None:
    assert song._hertz(hz) == shown
