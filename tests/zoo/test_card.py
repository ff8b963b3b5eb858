import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mgr_cli.config import MAX_CARD_BYTES
from mgr_cli.errors import ZooError
from mgr_cli.failures import Confusion, Failures, Recall
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.intervals import Estimate
from mgr_cli.zoo.card import CARD, Assessment, Card, load_card, save_card
from tests import tiny

ESTIMATES = {"accuracy": Estimate(0.5, 0.25, 0.75)}
FAILURES = Failures(
    (Recall("blues", 2, 10), Recall("jazz", 8, 10), Recall("rock", 0, 0)),
    (Confusion("blues", "jazz", 7, 10),),
)
FULL = tiny.card().model_copy(
    update={
        "figures": {"test": Assessment(20, 200, "mean", ESTIMATES, ESTIMATES)},
        "failures": {"test": FAILURES},
        "looks": {"test": 2},
        "temperature": 1.5,
        "chosen": "by lot",
        "not_for": "weddings",
    }
)
SHIPPED = sorted(path.parent for path in (Path(__file__).parents[2] / "zoo").glob("*/card.json"))

Document = dict[str, Any]
NEEDED = [name for name, field in Card.model_fields.items() if field.is_required()]
ONE: Document = {"mean": [0.0], "std": [1.0]}


def document() -> Document:
    """Return a whole card as JSON has it."""
    return FULL.model_dump(mode="json")


def refused(folder: Path, content: Document | str) -> str:
    """Return what is said of a bad card."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / CARD).write_text(text, encoding="utf-8")
    with pytest.raises(ZooError) as raised:
        load_card(folder)
    message = str(raised.value)
    assert str(folder / CARD) in message
    assert message.isprintable()  # one line, and no escape sequences of a stranger's
    return message


def test_a_saved_card_is_read_back_as_it_was(tmp_path: Path) -> None:
    save_card(tmp_path, FULL)
    card = load_card(tmp_path)
    assert card == FULL
    assert card.features == tiny.SPEC
    assert card.figures["test"].track["accuracy"] == Estimate(0.5, 0.25, 0.75)


@pytest.mark.parametrize("key", ["failures", "looks", "chosen", "not_for"])
def test_a_card_from_before_a_field_is_read_without_it(tmp_path: Path, key: str) -> None:
    old = document()
    del old[key]
    (tmp_path / CARD).write_text(json.dumps(old))
    card = load_card(tmp_path)
    assert not getattr(card, key)
    assert card == FULL.model_copy(update={key: type(getattr(FULL, key))()})


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_what_is_shipped_loses_nothing_when_it_is_saved_again(folder: Path, tmp_path: Path) -> None:
    save_card(tmp_path, load_card(folder))
    shipped, saved = (json.loads((each / CARD).read_text()) for each in (folder, tmp_path))
    assert _agreeing(saved, shipped) == shipped


def _agreeing(saved: Any, shipped: Any) -> Any:
    """Leave out what a card may say that did not exist when this one was written."""
    if not isinstance(shipped, dict):
        return saved
    return {key: _agreeing(saved[key], value) for key, value in shipped.items()}


def test_a_card_is_json_with_its_version_first(tmp_path: Path) -> None:
    save_card(tmp_path, FULL)
    written = json.loads((tmp_path / CARD).read_text())
    assert next(iter(written.items())) == ("format_version", 2)
    assert written["classes"] == list(tiny.GENRES)


def test_other_scripts_survive(tmp_path: Path) -> None:
    card = FULL.model_copy(update={"classes": ("forró", "演歌", "rock"), "failures": {}})
    save_card(tmp_path, card)
    assert load_card(tmp_path).classes == ("forró", "演歌", "rock")


EVERY_PLACE = [
    (), ("features",), ("segments",), ("normalisation", "log-mel"), ("recipe",), ("dataset",),
    ("weights",), ("golden",), ("figures", "test"), ("figures", "test", "track", "accuracy"),
    ("failures", "test"),
]  # fmt: skip


def inside(card: Document, place: tuple[str, ...]) -> Document:
    for key in place:
        card = card[key]
    return card


@pytest.mark.parametrize("place", EVERY_PLACE)
def test_an_unknown_key_is_named_wherever_it_stands(tmp_path: Path, place: tuple[str, ...]) -> None:
    card = document()
    inside(card, place)["mood"] = "sad"
    assert ": " + ".".join([*place, "mood"]) + ": " in refused(tmp_path, card)


@pytest.mark.parametrize("key", NEEDED)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    card = document()
    del card[key]
    assert f": {key}: Field required" in refused(tmp_path, card)


WRONG: dict[str, tuple[tuple[str, ...], Any]] = {
    "version": (("format_version",), 1),
    "text for a number": (("n_parameters",), "12"),
    "text for a score": (("figures", "test", "track", "accuracy", "value"), "0.5"),
    "text for a count": (("figures", "test", "n_tracks"), "20"),
    "negative count": (("figures", "test", "n_tracks"), -1),
    "text in the features": (("features", "n_mels"), "16"),
    "half a band": (("features", "n_mels"), 16.5),
    "text in the recipe": (("recipe", "learning_rate"), "fast"),
    "truth for a number": (("seed",), True),
    "number for text": (("licence",), 3),
    "null": (("provenance",), None),
    "unknown vote": (("vote",), "loudest"),
    "unknown split": (("figures", "final"), {}),
    "unknown split of looks": (("looks", "final"), 1),
    "look less than none": (("looks", "test"), -1),
    "text for a look": (("looks", "test"), "2"),
    "long choice": (("chosen",), "x" * 2_001),
    "list for a misuse": (("not_for",), ["weddings"]),
    "no confusions": (("failures", "test", "confusions"), None),
    "list for a hyper-parameter": (("hyperparameters", "width"), [2]),
    "no class": (("classes",), []),
    "one class": (("classes",), ["rock"]),
    "too many classes": (("classes",), [str(n) for n in range(1_001)]),
    "negative": (("n_parameters",), -1),
    "no temperature": (("temperature",), 0.0),
    "freezing": (("temperature",), 1e-30),
    "hot": (("temperature",), 1_001.0),
    "long text": (("name",), "x" * 2_001),
    "digest": (("weights", "sha256"), "0" * 63),
    "digest in capitals": (("golden", "sha256"), "A" * 64),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_named_by_its_key(tmp_path: Path, case: str) -> None:
    place, value = WRONG[case]
    card = document()
    inside(card, place[:-1])[place[-1]] = value
    assert ": " + ".".join(place) in refused(tmp_path, card)


# Values that a spec refuses itself: its own key is named first, the value's in the reason.
BEYOND: dict[str, tuple[str, str, Any]] = {
    "bands": ("features", "n_mels", 10**9),
    "window": ("features", "n_fft", 2**30),
    "hop": ("features", "hop_length", 0),
    "rate": ("features", "sample_rate", 10**12),
    "decimation": ("features", "decimation", 0.0),
    "hour": ("segments", "seconds", 3_600.0),
    "no hop": ("segments", "hop_seconds", 0.0),
    "epochs": ("recipe", "epochs", 0),
    "batch": ("recipe", "batch_size", 10**9),
    "smoothing": ("recipe", "label_smoothing", 1.0),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_value_beyond_its_range_is_named(tmp_path: Path, case: str) -> None:
    section, key, value = BEYOND[case]
    card = document()
    card[section][key] = value
    message = refused(tmp_path, card)
    assert f": {section}: " in message
    assert f"{key} is {value}, outside" in message


NUMBERS: list[tuple[str, ...]] = [
    ("temperature",),
    ("features", "fmin"),
    ("features", "top_db"),
    ("segments", "seconds"),
    ("recipe", "learning_rate"),
    ("recipe", "mixup"),
    ("hyperparameters", "dropout"),
    ("figures", "test", "track", "accuracy", "value"),
    ("figures", "test", "segment", "accuracy", "low"),
]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", NUMBERS)
def test_what_is_no_number_is_refused(tmp_path: Path, place: tuple[str, ...], number: str) -> None:
    card = document()
    inside(card, place[:-1])[place[-1]] = "HERE"
    message = refused(tmp_path, json.dumps(card).replace('"HERE"', number))
    assert f": {place[0]}" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("mean", 1e30), ("mean", float("nan")), ("std", 0.0), ("std", -1.0), ("std", 1e-30),
     ("std", float("inf")), ("std", float("nan"))],
)  # fmt: skip
def test_normalisation_that_would_leave_float32_is_refused(
    tmp_path: Path, key: str, value: float
) -> None:
    card = document()
    card["normalisation"]["log-mel"][key][3] = value
    assert ": normalisation.log-mel: " in refused(tmp_path, card)


def test_normalisation_of_other_bands_is_refused(tmp_path: Path) -> None:
    card = document()
    card["normalisation"]["log-mel"] = {"mean": [0.0] * 15, "std": [1.0] * 15}
    assert "differ in their number of bands" in refused(tmp_path, card)
    card["normalisation"]["log-mel"] = {"mean": [0.0] * 16, "std": [1.0] * 15}
    assert "one mean and one standard deviation" in refused(tmp_path, card)


def test_kinds_of_features_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    card = document() | {"eats": ["waveform"]}
    assert "eats and normalisation differ" in refused(tmp_path, card)
    card = document() | {"eats": ["log-mel", "log-mel"]}
    assert "eats and normalisation differ" in refused(tmp_path, card)
    card = document() | {"segments": None}
    assert "segments are for log-mels and waveforms" in refused(tmp_path, card)
    vectors = {"eats": ["table"], "columns": ["a"], "normalisation": {"table": ONE}}
    assert "segments are for log-mels and waveforms" in refused(tmp_path, document() | vectors)


def test_what_somebody_else_computed_cannot_be_heard() -> None:
    ours = {"eats": ("handcrafted",), "columns": ("mfcc.mean.01",), "segments": None}
    card = Card.model_validate(
        vars(FULL) | ours | {"normalisation": {"handcrafted": Normalisation((0.0,), (1.0,))}}
    )
    assert card.plan.kinds == ("handcrafted",)
    with pytest.raises(ZooError, match="hears no sound"):
        _ = card.model_copy(update={"columns": ("vggish.01",)}).plan


def test_a_class_listed_twice_is_refused(tmp_path: Path) -> None:
    card = document()
    card["classes"] = ["rock", "jazz", "rock"]
    assert "a class is listed twice" in refused(tmp_path, card)


def test_segments_beyond_memory_are_refused(tmp_path: Path) -> None:
    # Each value is within its range; 600 s of one frame a sample are not.
    card = document()
    card["features"] |= {"sample_rate": 768_000, "hop_length": 1}
    card["segments"]["seconds"] = 600.0
    assert f"a segment has {600 * 768_000 * 16} values" in refused(tmp_path, card)


def recall(place: int, **changes: object) -> Callable[[Document], None]:
    return lambda said: said["failures"]["test"]["recalls"][place].update(changes)


def confusion(**changes: object) -> Callable[[Document], None]:
    return lambda said: said["failures"]["test"]["confusions"][0].update(changes)


@pytest.mark.parametrize(
    ("lie", "match"),
    [
        (recall(0, n_right=11), "n_right is 11, outside 0 to 10"),
        (recall(0, n_right=4), "more tracks of a genre were confused"),
        (recall(0, n_right="2"), "should be a valid integer"),
        (recall(2, n_tracks=1), "failures and figures differ"),
        (recall(2, genre="salsa"), "failures and figures differ"),
        (recall(1, genre="salsa"), "a confusion and the recalls differ"),
        (confusion(n_tracks=11), "a confusion and the recalls differ"),
        (confusion(truth="salsa"), "a confusion and the recalls differ"),
        (confusion(n_taken=0), "n_taken is 0, outside 1 to 10"),
        (confusion(said="blues"), "no confusion with itself"),
        (lambda said: said["figures"].clear(), "failures and figures differ"),
        (lambda said: said["figures"]["test"].update(n_tracks=21), "failures and figures differ"),
    ],
)  # fmt: skip
def test_failures_that_cannot_be_are_refused(
    tmp_path: Path, lie: Callable[[Document], None], match: str
) -> None:
    card = document()
    lie(card)
    assert match in refused(tmp_path, card)


@pytest.mark.parametrize(
    "name",
    ["../model.safetensors", "/etc/passwd", "a/b", "..\\model", "C:\\model", "..", ".", "",
     ".hidden", "model\0", "model\n"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["weights", "golden"])
def test_files_outside_the_folder_are_refused(tmp_path: Path, key: str, name: str) -> None:
    card = document()
    card[key]["file"] = name
    message = refused(tmp_path, card)
    assert f": {key}: " in message
    assert "is not a plain file name" in message


def test_a_key_with_control_characters_stays_on_its_line(tmp_path: Path) -> None:
    card = document()
    card["a\n\x1b[31mred"] = 1
    assert r"a\n\x1b[31mred" in refused(tmp_path, card)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '"card"', "[" * 100_000, '{"a": 1} {"b": 2}']
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    assert "the card" in refused(tmp_path, text)


def test_a_card_of_many_megabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / CARD).write_bytes(b" " * (MAX_CARD_BYTES + 1))
    with pytest.raises(ZooError, match=f"larger than {MAX_CARD_BYTES} bytes"):
        load_card(tmp_path)


def broken(path: Path) -> None:
    path.write_bytes(b"\xff\xfe{}")


def folder_instead(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [broken, folder_instead])
def test_what_cannot_be_read_is_a_zoo_error(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / CARD)
    with pytest.raises(ZooError, match="cannot be read"):
        load_card(tmp_path)


def test_a_folder_without_card_is_no_entry(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"no zoo entry, it has no card\.json"):
        load_card(tmp_path)
