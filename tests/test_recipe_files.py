"""What people write in a recipe, and what is made of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from mgr_cli.config import SegmentSpec
from mgr_cli.errors import MgrError, TrainingError
from mgr_cli.models import registry
from mgr_cli.recipes import MAX_BYTES, Training, fitting_of, training_of

DEFAULT = "cnn1d-gru"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def made(tmp_path: Path, text: str) -> Training:
    return training_of(None, file=written(tmp_path, text), default=DEFAULT)


def test_nothing_said_is_the_architectures_own() -> None:
    row = registry.find(DEFAULT)
    assert training_of(None, default=DEFAULT) == Training(DEFAULT, {}, row.recipe, row.segments)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}"])
def test_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    assert made(tmp_path, text) == training_of(None, default=DEFAULT)


def test_file_changes_what_it_names(tmp_path: Path) -> None:
    plan = made(
        tmp_path,
        "arch: cnn2d-lstm\nset: {hidden_dim: 64}\nsegments: {seconds: 5}\n"
        "recipe: {epochs: 3, learning_rate: 1e-4, schedule: step}\n",
    )
    row = registry.find("cnn2d-lstm")
    assert plan.architecture == "cnn2d-lstm"
    assert plan.hyperparameters == {"hidden_dim": 64}
    assert plan.segments == SegmentSpec(seconds=5.0)
    assert plan.recipe == replace(row.recipe, epochs=3, learning_rate=1e-4, schedule="step")


def test_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "arch: cnn2d-gru\nset: {dropout: 0.1}\nrecipe: {epochs: 3}\n")
    plan = training_of(
        "cnn1d-lstm", file=file, settings=["dropout=0.5"], changes={"epochs": 9}, default=DEFAULT
    )
    assert plan.architecture == "cnn1d-lstm"
    assert plan.hyperparameters == {"dropout": 0.5}
    assert plan.recipe.epochs == 9


def test_settings_reach_the_net_its_recipe_and_its_segments(tmp_path: Path) -> None:
    file = written(tmp_path, "segments: {seconds: 5, hop_seconds: 1}\n")
    settings = ["seconds=10", "dropout=0.1", "mixup=0.4"]
    plan = training_of("cnn1d", file=file, settings=settings, default=DEFAULT)
    assert plan.segments == SegmentSpec(seconds=10.0, hop_seconds=1.0)
    assert plan.hyperparameters == {"dropout": 0.1}
    assert plan.recipe == replace(registry.find("cnn1d").recipe, mixup=0.4)


def test_settings_reach_the_segments_of_what_is_fitted() -> None:
    plan = fitting_of("linear-svc", settings=["seconds=10", "c=0.5"])
    assert plan.segments == SegmentSpec(seconds=10.0)
    assert plan.hyperparameters == {"c": 0.5}


def test_what_takes_tracks_as_a_whole_has_no_segments_to_set() -> None:
    with pytest.raises(MgrError, match=r"^ffnn takes tracks as a whole; leave segments out$"):
        training_of("ffnn", settings=["seconds=3"], default=DEFAULT)


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("1", 1.0), ("0.5", 0.5)])
def test_rate_may_be_written_as_yaml_reads_it_or_not(
    tmp_path: Path, text: str, value: float
) -> None:
    assert made(tmp_path, f"recipe: {{learning_rate: {text}}}").recipe.learning_rate == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "expected a mapping with some of arch, set, segments, recipe"),
        ("epochs: 3", "expected a mapping with some of"),
        ("recipe: 3", "recipe is 3, expected a mapping"),
        ("recipe: {lr: 3}", "no 'lr' here; expected epochs, batch_size"),
        ("recipe: {epochs: many}", "epochs is 'many', expected int"),
        ("recipe: {epochs: 1.5}", "epochs is 1.5, expected int"),
        ("recipe: {epochs: true}", "epochs is True, expected int"),
        ("recipe: {epochs: 0}", "epochs is 0, outside 1"),
        ("recipe: {optimizer: lion}", "optimizer is 'lion', expected one of adamw, adam, sgd"),
        ("recipe: {gamma: .nan}", "gamma is nan, outside"),
        ("segments: {seconds: 0}", "seconds is 0.0, outside"),
        ("arch: xyzzy", "unknown architecture 'xyzzy'"),
        ("arch: [1]", "unknown architecture"),
        ("set: {hidden_dim: []}", r"hidden_dim is \[\], expected int"),
        ("a: &a [*a]", "expected a mapping with some of"),
        ("a: !!python/object/apply:os.getcwd []", "no YAML"),
        ("{", "no YAML"),
        ("\t", "no YAML"),
    ],
)
def test_file_that_cannot_be_followed_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MgrError, match=message) as raised:
        made(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        training_of(None, file=tmp_path / "absent.yaml", default=DEFAULT)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match="cannot be read"):
        training_of(None, file=tmp_path / "b.yaml", default=DEFAULT)
    big = written(tmp_path, "#" * (MAX_BYTES + 1))
    with pytest.raises(TrainingError, match="more than"):
        training_of(None, file=big, default=DEFAULT)
