"""What a recipe does to a batch; what each change is, is in test_augment and test_stretching."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mgr_cli import augment
from mgr_cli.augmentation import Augmentation, Levels, levels_of
from mgr_cli.config import FeatureSpec, Recipe
from mgr_cli.errors import TrainingError
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.plans import Kind

NOTHING = Recipe()
LEVELS = Levels(torch.ones(8), torch.full((8,), -5.0), torch.full((8,), 5.0))
LABELS = torch.arange(4)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def batch(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    return tuple(torch.randn(4, *shape) for shape in shapes)


def test_recipe_without_changes_changes_nothing() -> None:
    inputs = batch((8, 30), (600,))
    found, labels = Augmentation(NOTHING, ("log-mel", "waveform"))(inputs, LABELS)
    assert all(torch.equal(x, y) for x, y in zip(inputs, found, strict=True))
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize(
    ("kind", "shape", "changes"),
    [
        ("log-mel", (8, 30), {"gain": 6.0}),
        ("log-mel", (8, 30), {"noise": 0.5}),
        ("log-mel", (8, 30), {"shift": 0.3}),
        ("log-mel", (8, 30), {"frequency_mask": 0.9}),
        ("log-mel", (8, 30), {"time_mask": 0.9}),
        ("log-mel", (8, 30), {"equalise": 6.0}),
        ("log-mel", (8, 30), {"transpose": 0.3}),
        ("log-mel", (8, 30), {"dynamics": 0.3}),
        ("log-mel", (8, 30), {"low_pass": 0.5}),
        ("waveform", (9_000,), {"gain": 6.0}),
        ("waveform", (9_000,), {"noise": 0.5}),
        ("waveform", (9_000,), {"shift": 0.3}),
        ("waveform", (9_000,), {"tempo": 0.2}),
        ("waveform", (9_000,), {"pitch": 2.0}),
        ("handcrafted", (20,), {"noise": 0.5}),
        ("table", (20,), {"noise": 0.5}),
    ],
)
def test_each_change_reaches_the_kinds_that_it_is_for(
    kind: Kind, shape: tuple[int, ...], changes: dict[str, Any]
) -> None:
    (x,) = batch(shape)
    before = x.clone()
    augmentation = Augmentation(replace(NOTHING, **changes), (kind,), LEVELS)
    ((changed,), labels) = augmentation((x,), LABELS)
    assert changed.shape == x.shape
    assert not torch.equal(changed, x)
    assert torch.equal(x, before)
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize(
    ("kinds", "change"),
    [
        (("log-mel",), "tempo"),
        (("log-mel", "waveform"), "pitch"),
        (("log-mel", "waveform"), "dynamics"),
        (("waveform",), "equalise"),
        (("waveform",), "low_pass"),
        (("table",), "transpose"),
        (("handcrafted",), "gain"),
        (("table",), "time_mask"),
        (("handcrafted",), "shift"),
    ],
)
def test_change_that_cannot_be_made_is_refused(kinds: tuple[Kind, ...], change: str) -> None:
    recipe = replace(NOTHING, **{change: 0.3})  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=f"{change} is for .*leave it out of the recipe"):
        Augmentation(recipe, kinds)


def test_copies_stand_behind_what_is_as_it_was() -> None:
    (x,) = batch((8, 30))
    recipe = replace(NOTHING, copies=2, time_mask=0.5)
    (found,), labels = Augmentation(recipe, ("log-mel",))((x,), LABELS)
    assert torch.equal(found[:4], x)
    assert labels.tolist() == [0, 1, 2, 3] * 3
    for copy in (found[4:8], found[8:]):
        hidden = copy == 0
        assert hidden.any()
        assert torch.equal(copy[~hidden], x[~hidden])
    assert not torch.equal(found[4:8], found[8:])


def test_forms_of_a_segment_are_shifted_alike() -> None:
    frames = torch.arange(30.0).repeat(4, 8, 1)
    samples = torch.arange(600.0).repeat(4, 1)  # 20 a frame
    recipe = replace(NOTHING, shift=0.5)
    (levels, wave), _ = Augmentation(recipe, ("log-mel", "waveform"))((frames, samples), LABELS)
    assert len({float(track[0]) for track in wave}) > 1
    assert torch.equal(20 * levels[:, 0, 0], wave[:, 0])


@pytest.mark.parametrize(
    ("scale", "unit", "floor", "ceiling"), [("decibel", 1.0, -80.0, 0.0), ("minmax", 1 / 80, 0, 1)]
)
def test_levels_are_those_of_the_normalised_bands(
    scale: Any, unit: float, floor: float, ceiling: float
) -> None:
    spec = FeatureSpec(n_mels=2, top_db=80.0, scale=scale)
    found = levels_of(spec, Normalisation((0.25, -1.0), (2.0, 0.5)))
    expected = {
        "per_decibel": [unit / 2, unit / 0.5],
        "floor": [(floor - 0.25) / 2, (floor + 1) / 0.5],
        "ceiling": [(ceiling - 0.25) / 2, (ceiling + 1) / 0.5],
    }
    for name, values in expected.items():
        torch.testing.assert_close(getattr(found, name), torch.tensor(values))


def spied(monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, Any]:
    """Replace changes by ones that only note down what they are asked for, and return the notes."""
    asked: dict[str, Any] = {}

    def spy(name: str) -> Any:
        def change(x: Any, **options: Any) -> Any:
            asked.update({f"{name}.{key}": value for key, value in options.items()})
            return x

        return change

    for name in names:
        monkeypatch.setattr(augment, name, spy(name))
    monkeypatch.setattr("mgr_cli.augmentation.stretch", spy("stretch"))
    return asked


def test_options_of_waveforms_arrive_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spied(monkeypatch, "noise", "shift", "amplify", "gain", "mask")
    recipe = Recipe(gain=1.0, noise=2.0, shift=0.3, tempo=0.4, pitch=5.0)
    Augmentation(recipe, ("waveform",))(batch((600,)), LABELS)
    assert asked == {
        "stretch.tempo": 0.4, "stretch.semitones": 5.0, "amplify.decibels": 1.0,
        "noise.level": 2.0, "shift.share": 0.3,
    }  # fmt: skip


def test_options_of_levels_arrive_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spied(
        monkeypatch, "stretch_range", "transpose", "equalise", "low_pass", "gain", "noise"
    )
    recipe = Recipe(dynamics=0.1, transpose=0.2, equalise=3.0, low_pass=0.4, gain=5.0)
    Augmentation(recipe, ("log-mel",), LEVELS)(batch((8, 30)), LABELS)
    assert {key: value for key, value in asked.items() if not isinstance(value, Tensor)} == {
        "stretch_range.share": 0.1, "transpose.share": 0.2, "equalise.decibels": 3.0,
        "low_pass.share": 0.4, "gain.decibels": 5.0, "noise.level": 0.0,
    }  # fmt: skip
    assert asked["stretch_range.floor"] is asked["low_pass.floor"] is LEVELS.floor
    assert asked["stretch_range.ceiling"] is LEVELS.ceiling
    assert asked["equalise.per_decibel"] is asked["gain.per_decibel"] is LEVELS.per_decibel
