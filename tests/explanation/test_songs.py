"""From a file to its explanation, where the cause is known."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from mgr_cli.config import METHODS, FeatureSpec, Method, SegmentSpec
from mgr_cli.errors import AudioError, MgrError, ZooError
from mgr_cli.explanation import asking, faithfulness, parts, songs
from mgr_cli.explanation.parts import Part
from mgr_cli.explanation.result import Explanation, Faithfulness
from mgr_cli.features.mel import hz_to_mel, log_mel, mel_to_hz
from mgr_cli.features.normalisation import Normalisation, identity
from mgr_cli.inputs import tabulated
from mgr_cli.models import registry
from mgr_cli.models.feedforward import ffnn
from mgr_cli.prediction import Prediction, Predictor
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo.card import Card, load_card
from tests import audio_files, tiny
from tests.explanation import bursts

LABEL, SECOND = 1, 2
PATCH = bursts.patch(LABEL, SECOND)
INSIDE = np.zeros((64, 80), bool)
INSIDE[PATCH] = True


def wav(path: Path, waveform: np.ndarray, rate: int = bursts.RATE) -> Path:
    return audio_files.write(path, waveform[:, None], rate, subtype="FLOAT")


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net, card = bursts.trained()
    return entries.save(card, net, tmp_path_factory.mktemp("zoo"), rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    levels, labels, normalisation = bursts.songs()
    fitted = registry.build_pipeline("logistic-regression", seed=0)
    judge = weights.Judge(fitted.fit(tabulated((levels,)), labels))
    changed: dict[str, object] = {
        "architecture": "logistic-regression",
        "hyperparameters": {},
        "recipe": None,
    }
    card = bursts.card("pipeline", normalisation).model_copy(update=changed)
    return entries.save(card, judge, tmp_path_factory.mktemp("zoo"), rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wav(tmp_path_factory.mktemp("songs") / "a.wav", bursts.song(LABEL, SECOND, seed=7))


@pytest.fixture(scope="module")
def explained(entry: Path, song: Path) -> Explanation:
    return songs.explain(entry, song, device="cpu")


def share_inside(values: np.ndarray) -> float:
    """Return how much of what is above zero lies in the burst."""
    positive = np.maximum(values, 0)
    return float(positive[INSIDE].sum() / max(1e-12, positive.sum()))


def pull_inside(values: np.ndarray) -> float:
    """Return what the burst says for the genre, less what it says against it, of all that is said.

    Neighbouring cells are averaged first, in windows as occlusion's. Integrated gradients of random
    weights are as large in the burst as trained ones, because it is loud, but cancel each other.
    """
    smooth = uniform_filter(values, (4, 10))
    return float(smooth[INSIDE].sum() / max(1e-12, np.abs(smooth).sum()))


def test_the_burst_is_the_cause(explained: Explanation) -> None:
    assert explained.prediction.genre == tiny.GENRES[LABEL]
    assert explained.prediction.confidence > 0.9
    assert 0.03 < INSIDE.mean() < 0.06


@pytest.mark.parametrize("method", METHODS)
def test_what_spoke_for_the_genre_is_where_the_burst_is(
    explained: Explanation, method: str
) -> None:
    values = explained.of(method, tiny.GENRES[LABEL]).values  # type: ignore[arg-type]
    assert values.shape == INSIDE.shape
    band, frame = np.unravel_index(values.argmax(), values.shape)
    bands, frames = PATCH
    assert bands.start - 4 <= band < bands.stop + 4  # windows and maps are eight bands wide
    assert frames.start <= frame < frames.stop
    assert share_inside(values) > 3 * INSIDE.mean()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_drawn_at_random_or_of_random_weights_does_not_find_it(
    entry: Path, explained: Explanation, song: Path, method: str
) -> None:
    own = pull_inside(explained.of(method, tiny.GENRES[LABEL]).values)  # type: ignore[arg-type]
    assert pull_inside(np.random.default_rng(0).normal(size=(64, 80))) < own / 2
    card = load_card(entry)
    part = parts.read(card, song, explained.prediction, start=None, seconds=30)
    found = []
    for seed in range(4):
        net = asking.randomised(card, seed=seed, device="cpu")
        assert net is not None
        masked = asking.masked(net, card, part, device="cpu", asked=lambda n: None)
        asked = songs._Asked(masked, part, card)
        found.append(pull_inside(asked.picture(method, tiny.GENRES[LABEL])))  # type: ignore[arg-type]
    assert np.mean(found) < own / 2


@pytest.mark.parametrize("number", range(3))
def test_taking_away_what_spoke_for_it_is_worse_for_it_than_chance(
    explained: Explanation, number: int
) -> None:
    found = explained.faithfulness[number]
    assert found.method == METHODS[number]
    shares = found.shares
    deleted, by_chance = (
        faithfulness.area(curve, shares) for curve in (found.deletion, found.random_deletion)
    )
    assert deleted < 0.6 * by_chance
    inserted, by_chance = (
        faithfulness.area(curve, shares) for curve in (found.insertion, found.random_insertion)
    )
    assert inserted > 1.5 * by_chance
    if found.randomised is None:  # maps of random weights may be cut off altogether
        assert found.method == "grad-cam"
    else:
        assert abs(found.randomised) < 0.3
    whole = explained.prediction.confidence
    assert found.deletion[0] == found.insertion[-1] == pytest.approx(whole, rel=1e-5)


def test_a_pipeline_is_asked_by_occlusion(pipeline: Path, song: Path) -> None:
    found = songs.explain(pipeline, song, device="cpu")
    assert [(each.method, each.genre) for each in found.attributions] == [
        ("occlusion", genre) for genre, _ in found.prediction.ranked()[:2]
    ]
    assert [note.split(":")[0] for note in found.notes] == [
        "no integrated-gradients",
        "no grad-cam",
    ]
    values = found.of("occlusion", tiny.GENRES[LABEL]).values
    assert share_inside(values) > 2 * INSIDE.mean()  # statistics of a band tell of all its frames
    (check,) = found.faithfulness
    assert check.randomised is None
    assert faithfulness.area(check.deletion, check.shares) < faithfulness.area(
        check.random_deletion, check.shares
    )
    with pytest.raises(MgrError, match="pipeline, which has no gradients; ask for occlusion"):
        songs.explain(pipeline, song, methods=("grad-cam",), device="cpu")


def test_a_row_a_track_is_asked_through_the_sound(tmp_path: Path) -> None:
    rate = 16_000
    spec = FeatureSpec(sample_rate=rate, n_fft=512, hop_length=800, n_mels=32)
    net = ffnn(n_columns=1, n_classes=3, layers="1")
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.fill_(1.0 if name.startswith("layers") and parameter.ndim > 1 else 0.0)
        net.head.get_parameter("1.weight")[:, 0] = torch.tensor([300.0, 0.0, 10.0])
    card = tiny.card("loud").model_copy(
        update={
            "architecture": "ffnn", "hyperparameters": {"layers": "1"}, "eats": ("handcrafted",),
            "columns": ("rmse.std.01",), "normalisation": {"handcrafted": identity(1)},
            "segments": None, "features": spec,
        }
    )  # fmt: skip
    folder = entries.save(card, net.eval(), tmp_path, rng=np.random.default_rng(0))
    rng = np.random.default_rng(0)
    t = np.arange(rate) / rate
    waveform = 0.01 * rng.standard_normal(5 * rate)
    waveform[3 * rate : 4 * rate] += 0.3 * np.sin(2 * np.pi * 1_000 * t)  # what moves its loudness
    path = wav(tmp_path / "a.wav", waveform.astype(np.float32), rate)
    found = songs.explain(folder, path, seconds=2, start=2.5, check=False, device="cpu")
    assert (found.start, found.stop) == (2.5, 4.5)
    np.testing.assert_array_equal(found.levels, log_mel(waveform, spec)[:, 50:90])
    values = found.of("occlusion", tiny.GENRES[0]).values
    band, frame = np.unravel_index(values.argmax(), values.shape)
    assert 10 <= frame < 30
    pitch = float(np.interp(band, np.arange(32), centres(spec)))
    assert 700 < pitch < 1_400
    assert [note.split(":")[0] for note in found.notes[:2]] == [
        "no integrated-gradients", "no grad-cam",
    ]  # fmt: skip
    assert "2.5 to 4.5 s of it, as if that were the song" in found.notes[2]


def centres(spec: FeatureSpec) -> np.ndarray:
    low, high = hz_to_mel(np.array([spec.fmin, spec.highest]))
    return mel_to_hz(np.linspace(low, high, spec.n_mels + 2)[1:-1])


def test_explanation_is_of_the_whole_songs_prediction(
    explained: Explanation, entry: Path, song: Path
) -> None:
    prediction = Predictor.load(entry, device="cpu", runtime="torch").from_file(song)
    np.testing.assert_array_equal(explained.prediction.probs, prediction.probs)
    assert explained.path == song
    assert (explained.start, explained.stop) == (0, 4)
    np.testing.assert_array_equal(
        explained.levels, log_mel(bursts.song(LABEL, SECOND, seed=7), bursts.SPEC)[:, :80]
    )
    pairs = [(each.method, each.genre) for each in explained.attributions]
    genres = [genre for genre, _ in prediction.ranked()[:2]]
    assert pairs == [(method, genre) for method in METHODS for genre in genres]


def test_same_seed_says_the_same_and_progress_reaches_its_end(entry: Path, song: Path) -> None:
    calls: list[tuple[int, int]] = []
    methods = ("occlusion", "grad-cam")
    first, again = (
        songs.explain(
            entry, song, methods=methods, seed=3, device="cpu",  # type: ignore[arg-type]
            progress=lambda done, total, what: calls.append((done, total)),
        )
        for _ in range(2)
    )  # fmt: skip
    half = calls[: len(calls) // 2]
    assert half == calls[len(calls) // 2 :]
    assert half == sorted(half)
    assert len({total for _, total in half}) == 1
    assert half[-1][0] == half[-1][1]
    assert len(half) > 10
    for one, other in zip(first.faithfulness, again.faithfulness, strict=True):
        np.testing.assert_array_equal(one.random_deletion, other.random_deletion)
        assert one.randomised == other.randomised
    assert not songs.explain(
        entry, song, methods=("grad-cam",), check=False, device="cpu"
    ).faithfulness


@pytest.mark.parametrize("check", [True, False])
def test_judgements_are_counted_before_they_are_made(
    entry: Path, song: Path, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    ticks: list[int] = []
    monkeypatch.setattr(songs._Meter, "tick", lambda self, n: ticks.append(n))
    totals: list[int] = []
    songs.explain(
        entry, song, check=check, n_random=1, device="cpu",
        progress=lambda done, total, what: totals.append(total),
    )  # fmt: skip
    assert totals == [sum(ticks)]


def test_what_sums_miss_is_noted_of_the_entry_alone(
    entry: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[int]] = []
    missed = songs._Asked._missed

    def count(asked: songs._Asked, values: np.ndarray, targets: list[int]) -> float:
        calls.append(targets)
        return missed(asked, values, targets) + 0.5

    monkeypatch.setattr(songs._Asked, "_missed", count)
    methods: tuple[Method, ...] = ("integrated-gradients", "grad-cam")
    found = songs.explain(entry, song, methods=methods, n_random=1, device="cpu")
    genres = [tiny.GENRES.index(genre) for genre, _ in found.prediction.ranked()[:2]]
    assert calls == [genres]
    (note,) = (note for note in found.notes if "integrated gradients: in 32 steps" in note)
    assert int(note.split("steps ")[1].split("%")[0]) in range(50, 60)


def card_of(seconds: float, hop_seconds: float) -> Card:
    segments = SegmentSpec(seconds=seconds, hop_seconds=hop_seconds)
    return tiny.card().model_copy(update={"segments": segments})


def prediction_of(probs: list[float], starts: list[float], *, length: float) -> Prediction:
    rows = np.array([[p, 1 - p] for p in probs])
    return Prediction(
        ("a", "b"), rows.mean(axis=0), "a", "mean", rows, tuple(starts), length,
        starts[-1] + length, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("start", "seconds", "expected"),
    [
        (None, 2.0, (2.0, 4.0)),  # 0.7 and 0.9
        (None, 1.0, (3.0, 4.0)),  # 0.9
        (None, 0.2, (3.0, 4.0)),  # a segment is the least
        (None, 2.4, (2.0, 4.0)),  # whole ones
        (None, 2.6, (1.0, 4.0)),  # as many as fill that time most nearly
        (None, 600.0, (0.0, 5.0)),
        (0.0, 2.0, (0.0, 2.0)),
        (1.7, 2.0, (1.0, 3.0)),  # from the one that holds it
        (4.5, 2.0, (4.0, 5.0)),  # to the end
    ],
)
def test_part_is_whole_segments(
    tmp_path: Path, start: float | None, seconds: float, expected: tuple[float, float]
) -> None:
    path = wav(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 5 * 8_000))
    prediction = prediction_of([0.6, 0.2, 0.7, 0.9, 0.1], [0, 1, 2, 3, 4], length=1.0)
    part = parts.read(card_of(1.0, 1.0), path, prediction, start=start, seconds=seconds)
    assert (part.start, part.stop) == expected
    n = round(expected[1] - expected[0])
    assert part.columns == tuple(20 * number for number in range(n))
    assert part.inputs[0].shape == (n, 16, 20)
    whole = log_mel(np.random.default_rng(0).normal(0, 0.1, 5 * 8_000), tiny.SPEC)
    first = round(20 * expected[0])
    np.testing.assert_allclose(part.levels, whole[:, first : first + 20 * n], atol=1e-4)
    normalised = tiny.NORMALISATION.apply(part.levels)
    np.testing.assert_allclose(np.concatenate(part.inputs[0], axis=1), normalised, atol=1e-5)


@pytest.mark.parametrize(
    ("starts", "length", "start", "nearest"),
    [
        ([0.0], 3.0, 3.5, "0"),  # of a song of five seconds
        ([0.0, 2.0, 4.0], 1.0, 1.2, "2"),
        ([0.0, 2.0, 4.0], 1.0, 3.0, "2"),
        ([0.0, 1.9837], 1.0, 1.5, "1.99"),  # 1.98 would be in the gap
    ],
)
def test_no_other_part_is_explained_where_no_segment_is(
    tmp_path: Path, starts: list[float], length: float, start: float, nearest: str
) -> None:
    path = wav(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 5 * 8_000))
    prediction = prediction_of([0.5] * len(starts), starts, length=length)
    prediction = replace(prediction, seconds=5.0)
    card = card_of(length, 2.0)
    expected = rf"a\.wav has no segment at {start:g} s; begin at {nearest} s, where the nearest"
    with pytest.raises(MgrError, match=expected):
        parts.read(card, path, prediction, start=start, seconds=1)
    again = float(nearest)
    assert parts._chosen(card, path, prediction, again, 1.0)[0] == np.searchsorted(
        starts, again, side="right"
    ) - 1  # fmt: skip


@pytest.mark.parametrize("start", [0.0, 598.0])
def test_no_more_of_a_long_song_is_held_than_its_part(tmp_path: Path, start: float) -> None:
    rate, seconds = 8_000, 600
    noise = np.random.default_rng(0).normal(0, 0.1, seconds * rate).astype(np.float32)
    path = wav(tmp_path / "a.wav", noise, rate)
    card = tiny.card().model_copy(update={"eats": ("handcrafted",), "segments": None})
    prediction = replace(prediction_of([0.5], [0.0], length=2.0), seconds=float(seconds))
    tracemalloc.start()
    try:
        part = parts.read(card, path, prediction, start=start, seconds=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    first = round(start * rate)
    np.testing.assert_array_equal(part.inputs[0][0], noise[first : first + 2 * rate])
    assert peak < noise.nbytes / 2


def test_a_part_of_no_sample_is_refused_in_a_line(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 5 * 8_000))
    card = tiny.card().model_copy(update={"eats": ("handcrafted",), "segments": None})
    prediction = replace(prediction_of([0.5], [0.0], length=5.0), seconds=5.0)
    with pytest.raises(AudioError, match=r"a\.wav: 0\.00 s are less than a frame; take a longer"):
        parts.read(card, path, prediction, start=0.0, seconds=1e-5)


def test_overlapping_segments_are_averaged_and_cut_alike(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 2 * 8_000))
    prediction = prediction_of([0.5, 0.5, 0.5], [0, 0.5, 1.0], length=1.0)
    part = parts.read(card_of(1.0, 0.5), path, prediction, start=0, seconds=2)
    assert part.columns == (0, 10, 20)
    values = np.stack([np.full((16, 20), value) for value in (1.0, 3.0, 8.0)])
    expected = np.repeat([1.0, 2.0, 5.5, 8.0], 10)
    np.testing.assert_allclose(part.stitched(values), np.tile(expected, (16, 1)))
    np.testing.assert_array_equal(part.cut(np.arange(40))[1], np.arange(10, 30))


def test_a_song_shorter_than_a_segment_is_drawn_once(entry: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", bursts.song(LABEL, 1, seed=3)[: round(2.5 * bursts.RATE)])
    found = songs.explain(entry, path, device="cpu")
    assert found.prediction.padded
    assert found.levels.shape == (64, 51)  # frames of 2.5 s
    assert (found.start, found.stop) == (0, 2.5)
    for each in found.attributions:
        assert each.values.shape == (64, 51)
    assert 20 <= found.of("occlusion", found.prediction.genre).values.max(axis=0).argmax() < 40
    # A segment of 80 frames has some of the song twice, and they go together.
    check = found.faithfulness[0]
    assert check.deletion[0] == pytest.approx(found.prediction.confidence, rel=1e-5)


def test_integrated_gradients_of_a_short_song_share_out_its_whole_change(
    entry: Path, tmp_path: Path
) -> None:
    path = wav(tmp_path / "a.wav", bursts.song(LABEL, 1, seed=3)[: round(1.7 * bursts.RATE)])
    card = load_card(entry)
    found = songs.explain(
        entry, path, methods=("integrated-gradients",), check=False, device="cpu"
    )  # fmt: skip
    part = parts.read(card, path, found.prediction, start=None, seconds=30)
    model = weights.load_model(entry, card, device="cpu")
    assert isinstance(model, torch.nn.Module)
    masked = asking.masked(model, card, part, device="cpu", asked=lambda n: None)
    asked = songs._Asked(masked, part, card)
    levels = torch.from_numpy(part.inputs[0])
    assert levels.shape == (1, 64, 80)  # which has the song's 35 frames more than twice
    with torch.inference_mode():
        changes = (model(levels) - model(0 * levels))[0].numpy()
    genres = [genre for genre, _ in found.prediction.ranked()[:2]]
    values = asked.values("integrated-gradients", genres)
    assert values.shape == (2, 1, 64, 35)
    for genre, each in zip(genres, values, strict=True):
        expected = changes[tiny.GENRES.index(genre)]
        drawn = found.of("integrated-gradients", genre).values
        assert drawn.shape == (64, 35)
        assert each.sum() == pytest.approx(expected, rel=0.03)  # of the integral's 24 steps
        assert drawn.sum() == pytest.approx(expected, rel=0.03)


def test_a_short_waveform_begins_again_with_its_samples(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 5_130)
    path = wav(tmp_path / "a.wav", waveform)
    card = card_of(4.0, 4.0).model_copy(
        update={"eats": ("waveform",), "normalisation": {"waveform": identity(1)}}
    )
    prediction = replace(prediction_of([0.5], [0.0], length=4.0), seconds=5_130 / 8_000)
    part = parts.read(card, path, prediction, start=None, seconds=4)
    assert (part.period, part.n_frames) == (5_130, 13)
    masked = asking.masked(tiny.net(), card, part, device="cpu", asked=lambda n: None)
    assert (masked.shape, masked.n_frames) == ((16, 13), 80)
    masks = torch.ones(1, 16, 13)
    masks[:, :, 7:] = 0
    (given,) = masked.hidden(masks, torch.from_numpy(part.inputs[0]))
    for copy in range(1, 6):
        kept = slice(copy * 5_130 + 450, copy * 5_130 + 2_100)
        np.testing.assert_allclose(given[0, kept], part.inputs[0][0, kept], atol=1e-3)
        gone = given[0, copy * 5_130 + 3_300 : copy * 5_130 + 4_500]
        assert float(gone.abs().max()) < 1e-3
    whole = prediction_of([0.5], [0.0], length=0.5)
    short = card.model_copy(update={"segments": SegmentSpec(0.5, 0.5)})
    assert parts.read(short, path, whole, start=None, seconds=4).period is None


def test_repeated_frames_are_averaged() -> None:
    part = Part((), (0,), 3, 8_000, 0, 1, np.zeros((1, 3)), tiny.SPEC)
    values = np.array([[[1.0, 2.0, 3.0, 5.0, 6.0]]])
    np.testing.assert_allclose(part.stitched(values), [[3, 4, 3]])


def test_levels_are_in_decibels_whatever_the_entry_hears(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 8_000)
    card = card_of(1.0, 1.0)
    stretched = card.model_copy(update={"features": replace(tiny.SPEC, scale="minmax")})
    prediction = prediction_of([0.5], [0], length=1.0)
    path = wav(tmp_path / "a.wav", waveform)
    one, other = (
        parts.read(each, path, prediction, start=None, seconds=1) for each in (card, stretched)
    )
    np.testing.assert_array_equal(one.levels, other.levels)
    assert other.spec == one.spec == tiny.SPEC
    assert not np.allclose(one.inputs[0], other.inputs[0])


def test_a_part_that_is_not_there_is_refused(entry: Path, song: Path, tmp_path: Path) -> None:
    with pytest.raises(MgrError, match=r"a\.wav is 4\.0 s long and has nothing at 4 s; begin"):
        songs.explain(entry, song, start=4.0, device="cpu")
    for seconds in (0.0, 601.0, float("nan")):
        with pytest.raises(MgrError, match="expected above 0 and up to 600"):
            songs.explain(entry, song, seconds=seconds, device="cpu")
    with pytest.raises(AudioError, match="no such file"):
        songs.explain(entry, tmp_path / "b.wav", device="cpu")


def test_a_table_hears_no_sound(tmp_path: Path, song: Path) -> None:
    net = ffnn_of_a_table()
    card = tiny.card("table").model_copy(
        update={
            "architecture": "ffnn", "hyperparameters": {"layers": "4"}, "eats": ("table",),
            "columns": ("tempo", "key"), "segments": None,
            "normalisation": {"table": Normalisation((0.0, 0.0), (1.0, 1.0))},
        }
    )  # fmt: skip
    folder = entries.save(card, net, tmp_path, rng=np.random.default_rng(0))
    with pytest.raises(ZooError, match="hears no sound"):
        songs.explain(folder, song, device="cpu")


def ffnn_of_a_table() -> torch.nn.Module:
    return registry.build("ffnn", {"n_columns": 2}, n_classes=3, changes={"layers": "4"}).eval()


def test_random_weights_are_of_the_seed_and_leave_the_generator_alone(entry: Path) -> None:
    card = load_card(entry)
    state = torch.random.get_rng_state()
    nets = [asking.randomised(card, seed=seed, device="cpu") for seed in (1, 1, 2)]
    assert torch.equal(state, torch.random.get_rng_state())
    first, same, other = (net.state_dict() for net in nets if net is not None)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["head.1.weight"], other["head.1.weight"])


def test_random_weights_are_torchs_own_and_leave_accelerators_alone(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = load_card(entry)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = registry.build(
            card.architecture, card.inputs.dimensions, n_classes=3, changes=card.hyperparameters
        ).state_dict()
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    net = asking.randomised(card, seed=5, device="cpu")
    assert net is not None
    assert seeded == []
    assert all(torch.equal(x, expected[key]) for key, x in net.state_dict().items())


def test_a_borrowed_net_is_masked_to_the_mean_of_the_part() -> None:
    x = np.random.default_rng(0).normal(3, 1, (2, 16, 10)).astype(np.float32)
    part = Part((x,), (0, 10), 10, 8_000, 0, 1, np.zeros((16, 20)), tiny.SPEC)
    borrowed = tiny.card().model_copy(update={"borrowed": object()})
    for card, expected in ((tiny.card(), np.zeros(16)), (borrowed, x.mean(axis=(0, 2)))):
        masked = asking.masked(tiny.net(), card, part, device="cpu", asked=lambda n: None)
        nothing = masked.hidden(torch.zeros(2, 16, 10), torch.from_numpy(x))[0]
        np.testing.assert_allclose(nothing[0, :, 3], expected, rtol=1e-5)


def test_long_segments_are_asked_about_a_few_at_a_time() -> None:
    for n_frames, expected in ((10, 64), (1_000, 32), (12_000, 2)):  # of 16 bands, 2^19 values
        x = np.zeros((1, 16, n_frames), np.float32)
        part = Part((x,), (0,), n_frames, 8_000, 0, 1, x[0], tiny.SPEC)
        card = card_of(n_frames / 20, 1.0)
        masked = asking.masked(tiny.net(), card, part, device="cpu", asked=lambda n: None)
        assert masked.at_once == min(expected, Predictor(card, tiny.wavering).at_once)


def test_a_genre_that_is_said_of_nothing_is_noted() -> None:
    for nothing, expected in ((0.1, 0), (0.9, 1)):
        curve = np.array([0.5, nothing])
        check = Faithfulness("occlusion", "jazz", np.arange(2), curve, curve, curve, curve, None)
        notes = songs._of_nothing(tiny.card(), [check, check])
        assert len(notes) == expected
    assert notes[0].startswith("where nothing is left, tiny says jazz with 90%, and 50% of")


def test_windows_are_the_finest_that_are_not_too_many() -> None:
    card = tiny.card()
    spec = FeatureSpec(hop_length=2_048)  # 10.8 frames a second
    usual = card.model_copy(update={"features": spec})
    waves = usual.model_copy(update={"eats": ("waveform",)})
    expected = [(usual, 20, (1 / 16, 0.5, 2)), (usual, 128, (1 / 8, 1.0, 2)),
                (usual, 400, (1 / 8, 1.0, 1)), (waves, 128, (1 / 8, 1.0, 1))]  # fmt: skip
    for each, n_frames, (share, seconds, overlap) in expected:
        found = asking.windows(each, (128, n_frames))
        assert (found.share, found.seconds, found.overlap) == (share, seconds, overlap)
    long = asking.windows(waves, (128, 3_200))
    assert long.n_windows(spec, (128, 3_200)) <= 8 * 13
