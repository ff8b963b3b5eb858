import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from mgr_cli import audio, votes
from mgr_cli import prediction as predicting
from mgr_cli.config import PREDICT_BATCH, VOTE_RULES, FeatureSpec, SegmentSpec, VoteRule
from mgr_cli.errors import AudioError, MgrError, ZooError
from mgr_cli.features.mel import log_mel
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.files import Spool
from mgr_cli.inputs import Arrays
from mgr_cli.prediction import Prediction, Predictor, chosen_device
from mgr_cli.zoo import entries, weights
from mgr_cli.zoo.card import Card, load_card, save_card
from tests import audio_files, tiny


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.entry(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def predictor(entry: Path) -> Predictor:
    return Predictor.load(entry, device="cpu", runtime="torch")


class Recorder:
    """A net that gives each segment what it is told, and remembers what it saw."""

    def __init__(self, rows: np.ndarray | None = None) -> None:
        self.rows = rows
        self.seen: list[np.ndarray] = []

    def __call__(self, inputs: Arrays) -> np.ndarray:
        (x,) = inputs
        first = sum(map(len, self.seen))
        self.seen.append(x.copy())
        if self.rows is None:
            return np.full((len(x), 3), 1 / 3, np.float32)
        return self.rows[first : first + len(x)]


def noise(n_frames: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-40, 10, (16, n_frames)).astype(np.float32)


def same(one: Prediction, two: Prediction, *, atol: float) -> None:
    np.testing.assert_allclose(one.segment_probs, two.segment_probs, rtol=0, atol=atol)
    np.testing.assert_allclose(one.probs, two.probs, rtol=0, atol=atol)
    assert one.genre == two.genre
    assert one.starts == two.starts
    assert one.padded == two.padded


# The ladder.


def climb(predictor: Predictor, path: Path) -> Prediction:
    """Enter the ladder at each step, and hold the steps against each other."""
    spec = predictor.card.features
    waveform = audio.load(path, sample_rate=spec.sample_rate)
    from_features = predictor.from_features(log_mel(waveform, spec))
    from_waveform = predictor.from_waveform(waveform)
    same(from_waveform, from_features, atol=0.0)
    from_file = predictor.from_file(path)
    # A stream transforms other runs of frames, and a matrix product of another shape adds
    # up in another order: some 1e-6 of the power, a few 1e-5 dB, and the net in between.
    same(from_file, from_waveform, atol=1e-4)
    assert from_waveform.seconds == len(waveform) / spec.sample_rate
    # Of the file's own samples, of which resampling may round one off.
    assert from_file.seconds == pytest.approx(from_waveform.seconds, abs=1 / spec.sample_rate)
    return from_file


@pytest.mark.parametrize("scale", ["decibel", "minmax"])
@pytest.mark.parametrize("decimation", [1.0, 2.5])
def test_file_waveform_and_features_come_to_the_same(
    tmp_path: Path, scale: str, decimation: float
) -> None:
    spec = replace(tiny.SPEC, scale=scale, decimation=decimation)  # type: ignore[arg-type]
    card = tiny.card().model_copy(update={"features": spec})
    predictor = Predictor(card, weights.score_with(tiny.net(), card))
    # Three blocks of up to ten seconds, at another rate, in stereo: 500 frames, so that the
    # last of 50 segments ends with the frame that only the end of the track completes.
    path = audio_files.write(tmp_path / "tones.wav", audio_files.tones(24.96, 11_025), 11_025)
    prediction = climb(predictor, path)
    assert prediction.seconds == pytest.approx(24.96, abs=1e-3)
    assert prediction.decoder


def test_a_real_recording_comes_to_the_same_on_every_step(
    predictor: Predictor, shared: Path
) -> None:
    path = shared / "audio/cc/sorohanro_-_solo-trumpet-06.hq.ogg"
    prediction = climb(predictor, path)
    assert prediction.seconds == pytest.approx(soundfile.info(path).duration, abs=1e-3)
    assert np.ptp(prediction.segment_probs, axis=0).max() > 0.01  # it changes over time


def test_level_does_not_matter(predictor: Predictor) -> None:
    waveform = audio_files.tones(3.0, 8_000)[:, 0]
    quiet = predictor.from_waveform((0.1 * waveform).astype(np.float32))
    same(quiet, predictor.from_waveform(waveform), atol=1e-4)  # levels refer to the loudest


@pytest.mark.parametrize("shape", [(15, 40), (17, 40), (16, 0), (40,), (1, 16, 40)])
def test_features_of_another_shape_are_refused(
    predictor: Predictor, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"expected \(16, n_rows\)"):
        predictor.from_features(np.zeros(shape, np.float32))


def test_a_file_that_cannot_be_used_is_an_audio_error(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        predictor.from_file(tmp_path / "gone.mp3")
    truncated = audio_files.cut(
        audio_files.write(tmp_path / "whole.flac", audio_files.tones(5.0, 8_000), 8_000),
        0.5,
        tmp_path / "half.flac",
    )
    with pytest.raises(AudioError, match=r"half\.flac: (damaged|truncated)"):
        predictor.from_file(truncated)


def test_a_file_shorter_than_a_column_is_an_audio_error(tmp_path: Path) -> None:
    # A column is the middle one of 40 frames 50 ms apart: the first is at 1 s.
    spec = replace(tiny.SPEC, decimation=40.0)
    card = tiny.card().model_copy(update={"features": spec})
    predictor = Predictor(card, Recorder())
    path = audio_files.write(tmp_path / "short.wav", audio_files.tones(0.9, 8_000), 8_000)
    with pytest.raises(AudioError, match=r"short\.wav: 0\.90 s are too short .* one is 2\.00 s"):
        predictor.from_file(path)


# Length.


def peak_of(work: Callable[[], Prediction]) -> tuple[Prediction, int]:
    """Return a result and the most memory that was held on the way, in bytes."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_track(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = FeatureSpec(sample_rate=8_000, n_fft=256, hop_length=128, n_mels=64)
    card = tiny.card().model_copy(
        update={
            "features": spec,
            "normalisation": {"log-mel": Normalisation((-40.0,) * 64, (10.0,) * 64)},
            "segments": SegmentSpec(3.0, 3.0),
        }
    )

    def score(inputs: Arrays) -> np.ndarray:
        (x,) = inputs
        sums = np.exp(x.reshape(len(x), 64, -1).mean(axis=2)[:, 20:23])
        probs: np.ndarray = sums / sums.sum(axis=1, keepdims=True)
        return probs

    predictor = Predictor(card, score)
    rng = np.random.default_rng(0)
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8_000, 1, "PCM_16") as file:
        for _ in range(30):  # minutes
            file.write(0.1 * rng.standard_normal(60 * 8_000))
    whole = predictor.from_waveform(audio.load(path, sample_rate=8_000))
    monkeypatch.setattr(Spool, "MEMORY", 2**18)
    streamed, peak = peak_of(lambda: predictor.from_file(path))
    # As float32 the waveform takes 57.6 MB and the frames 28.8 MB. What the stream holds is
    # a block, its spectra, and a batch of 64 segments (3 MB).
    assert peak < 20e6
    assert len(streamed.starts) == 598  # 112,501 frames, 188 a segment, 77 left over
    assert streamed.seconds == 1_800
    same(streamed, whole, atol=1e-4)


def test_a_spool_on_disk_gives_what_one_in_memory_gives(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = audio_files.write(tmp_path / "t.wav", audio_files.tones(25.0, 8_000), 8_000)
    in_memory = predictor.from_file(path)
    monkeypatch.setattr(Spool, "MEMORY", 64)
    same(predictor.from_file(path), in_memory, atol=0.0)


def test_a_short_track_is_repeated_and_flagged() -> None:
    recorder = Recorder()
    card = tiny.card().model_copy(
        update={"normalisation": {"log-mel": Normalisation((0.0,) * 16, (1.0,) * 16)}}
    )
    levels = noise(4)
    prediction = Predictor(card, recorder).from_features(levels)
    assert prediction.padded
    assert prediction.starts == (0.0,)
    assert prediction.seconds == 0.2
    (seen,) = recorder.seen
    np.testing.assert_array_equal(seen[0], np.concatenate([levels] * 3, axis=1)[:, :10])


def test_a_track_of_one_segment_is_whole() -> None:
    recorder = Recorder()
    prediction = Predictor(tiny.card(), recorder).from_features(noise(10))
    assert not prediction.padded
    assert prediction.starts == (0.0,)


def test_segments_cover_the_track_and_say_where_they_begin() -> None:
    # 47 frames, 10 a segment: four of them, and one more that ends with the track, because
    # 7 frames are left over.
    prediction = Predictor(tiny.card(), Recorder()).from_features(noise(47))
    assert prediction.starts == (0.0, 0.5, 1.0, 1.5, 1.85)
    assert prediction.segment_seconds == 0.5
    assert prediction.starts[-1] + prediction.segment_seconds == pytest.approx(47 / 20)
    assert len(prediction.segment_probs) == 5


def test_segments_are_cut_where_they_say_in_batches_of_any_size() -> None:
    recorder = Recorder()
    card = tiny.card().model_copy(
        update={
            "normalisation": {"log-mel": Normalisation((0.0,) * 16, (1.0,) * 16)},
            "segments": SegmentSpec(seconds=0.5, hop_seconds=0.25),
        }
    )
    levels = noise(1_000)
    prediction = Predictor(card, recorder).from_features(levels)
    assert [len(x) for x in recorder.seen] == [PREDICT_BATCH] * 3 + [199 - 3 * PREDICT_BATCH]
    for x, start in zip(np.concatenate(recorder.seen), prediction.starts, strict=True):
        first = round(20 * start)
        np.testing.assert_array_equal(x, levels[:, first : first + 10])


# From segments to a genre.

ROWS = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.4, 0.6, 0.0], [0.3, 0.3, 0.4]])


def test_a_prediction_says_what_the_vote_says() -> None:
    prediction = Predictor(tiny.card(), Recorder(ROWS)).from_features(noise(40))
    np.testing.assert_allclose(prediction.probs, [0.5, 0.4, 0.1])
    np.testing.assert_array_equal(prediction.segment_probs, ROWS)
    assert prediction.genres == tiny.GENRES
    assert (prediction.genre, prediction.vote) == ("blues", "mean")
    assert prediction.confidence == pytest.approx(0.5)
    assert prediction.decoder == ""


@pytest.mark.parametrize("rule", VOTE_RULES)
def test_the_rule_is_that_of_the_caller_else_of_the_card(rule: VoteRule) -> None:
    on_card = tiny.card().model_copy(update={"vote": rule})
    asked = Predictor(tiny.card(), Recorder(ROWS), vote=rule).from_features(noise(40))
    own = Predictor(on_card, Recorder(ROWS)).from_features(noise(40))
    for prediction in (asked, own):
        assert prediction.vote == rule
        np.testing.assert_array_equal(prediction.probs, votes.pool(ROWS, rule=rule))
        assert prediction.genre == tiny.GENRES[votes.decide(ROWS, rule=rule)]
    genres = {"mean": "blues", "majority": "jazz", "product": "blues"}  # 0.0432, 0.0108, 0
    assert asked.genre == genres[rule]


def test_ranks_begin_with_the_winner_and_fall() -> None:
    prediction = Predictor(tiny.card(), Recorder(ROWS)).from_features(noise(40))
    assert [genre for genre, _ in prediction.ranked()] == ["blues", "jazz", "rock"]
    assert [p for _, p in prediction.ranked()] == pytest.approx([0.5, 0.4, 0.1])
    # Two segments each, and jazz has the higher mean: it wins, though equal and later.
    tied = np.array([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.9, 0.1], [0.0, 0.9, 0.1]])
    prediction = Predictor(tiny.card(), Recorder(tied), vote="majority").from_features(noise(40))
    assert prediction.genre == "jazz"
    assert prediction.ranked() == [("jazz", 0.5), ("blues", 0.5), ("rock", 0.0)]


# What the net is given.


def test_long_segments_go_through_the_net_few_at_a_time() -> None:
    recorder = Recorder()
    card = tiny.card().model_copy(update={"segments": SegmentSpec(500.0, 500.0)})  # 160,000 values
    Predictor(card, recorder).from_features(noise(20 * 10_000))
    assert [len(x) for x in recorder.seen] == [13, 7]  # 13 of them are below 2^21


def test_features_are_normalised_once_by_the_cards_bands() -> None:
    recorder = Recorder()
    mean, std = tuple(range(-50, -34)), tuple(range(1, 17))
    card = tiny.card().model_copy(
        update={
            "normalisation": {
                "log-mel": Normalisation(tuple(map(float, mean)), tuple(map(float, std)))
            }
        }
    )
    levels = noise(10)
    before = levels.copy()
    Predictor(card, recorder).from_features(levels)
    expected = (levels - np.array(mean)[:, None]) / np.array(std)[:, None]
    np.testing.assert_allclose(recorder.seen[0][0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(levels, before)


class Known(nn.Module):
    """Logits 0, 1 and 3 for every segment."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([0.0, 1.0, 3.0]).repeat(len(x), 1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logarithms_of_what_is_pooled(temperature: float) -> None:
    card = tiny.card().model_copy(update={"temperature": temperature})
    prediction = Predictor(card, weights.score_with(Known(), card)).from_features(noise(10))
    exponentials = np.exp(np.array([0, 1, 3]) / temperature)
    np.testing.assert_allclose(prediction.probs, exponentials / exponentials.sum(), rtol=1e-6)


def test_loading_takes_the_entrys_own_net_and_card(entry: Path, predictor: Predictor) -> None:
    card = load_card(entry)
    assert predictor.card == card
    levels = noise(10)
    x = torch.from_numpy(tiny.NORMALISATION.apply(levels))[None]
    with torch.inference_mode():
        expected = tiny.net()(x).softmax(dim=1).numpy()
    np.testing.assert_array_equal(predictor.from_features(levels).segment_probs, expected)


def test_a_prediction_can_be_had_again(predictor: Predictor) -> None:
    levels = noise(200)
    same(predictor.from_features(levels), predictor.from_features(levels), atol=0.0)


def test_an_entry_that_is_not_whole_is_a_zoo_error(tmp_path: Path) -> None:
    with pytest.raises(ZooError):
        Predictor.load(tmp_path)


def test_auto_is_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch, entry: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device("auto") == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    with pytest.raises(MgrError, match="no GPU"):
        chosen_device("cuda")
    card: Card = Predictor.load(entry, device="auto").card
    assert card.name == "tiny"


def test_without_torch_auto_asks_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")  # as if nobody had imported it
    monkeypatch.setattr(predicting, "_has_driver", lambda: False)
    assert chosen_device("auto") == "cpu"
    assert "torch" not in sys.modules
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device("auto") == "cuda"


class Driver:
    """NVIDIA's driver: what it answers to both questions, and how many GPUs it knows."""

    def __init__(self, start: int, answer: int, count: int) -> None:
        self._start, self._answer, self._count = start, answer, count

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._start

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self._count
        return self._answer


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (Driver(0, 0, 2), True), (Driver(0, 0, 0), False), (Driver(100, 0, 2), False),
        (Driver(0, 1, 0), True), (object(), False),
    ],
)  # fmt: skip
def test_a_driver_without_a_gpu_is_none(
    driver: object, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: driver)
    assert predicting._has_driver() is expected


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise OSError("no such library")

    monkeypatch.setattr("ctypes.CDLL", fail)
    assert not predicting._has_driver()


# What runs it.


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Make an entry with a graph."""
    return entries.save(tiny.card(), tiny.net(), tmp_path, rng=np.random.default_rng(0))


def test_graph_and_net_say_the_same(both: Path) -> None:
    levels = noise(200)
    graph, net = (
        Predictor.load(both, device="cpu", runtime=runtime).from_features(levels).segment_probs
        for runtime in ("onnx", "torch")
    )
    np.testing.assert_allclose(graph, net, rtol=0, atol=1e-5)
    assert not np.array_equal(graph, net)  # they are two


def test_the_cpu_takes_the_graph_where_there_is_one(
    both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the net was loaded")

    with monkeypatch.context() as patched:
        patched.setattr(weights, "load_model", refuse)
        Predictor.load(both, device="cpu")
        with pytest.raises(AssertionError):
            Predictor.load(both, device="cpu", runtime="torch")
    save_card(both, load_card(both).model_copy(update={"graph": None, "no_graph": "too odd"}))
    Predictor.load(both, device="cpu")
    with pytest.raises(ZooError, match="has no graph: too odd"):
        Predictor.load(both, runtime="onnx")


def test_a_graph_is_not_for_a_gpu(both: Path) -> None:
    with pytest.raises(MgrError, match="a graph runs on the CPU"):
        Predictor.load(both, device="cuda", runtime="onnx")
