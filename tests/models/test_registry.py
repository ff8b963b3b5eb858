import inspect
import re
import subprocess
import sys

import pytest

from mgr_cli.errors import ArchitectureError
from mgr_cli.models import registry
from mgr_cli.models.registry import ARCHITECTURES, BORROWED, CLASSICAL
from mgr_cli.plans import Kind

NAMES = list(ARCHITECTURES)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_resolves_to_a_builder_of_the_dimensions_and_defaults(name: str) -> None:
    module, function = ARCHITECTURES[name].builder.split(":")
    builder = getattr(__import__(module, fromlist=[function]), function)
    parameters = inspect.signature(builder).parameters
    dimensions = set(parameters) & set(registry.DIMENSIONS)
    # Waveforms and log-mels may be of any length, all else must be known.
    needed = {"log-mel": {"n_mels"}, "waveform": set(), "handcrafted": {"n_columns"}}
    eaten = {"n_classes"}.union(*(needed[kind] for kind in ARCHITECTURES[name].eats))
    assert eaten <= dimensions <= eaten | {"n_frames", "fmin", "fmax"}
    for key, parameter in parameters.items():
        assert parameter.kind is parameter.KEYWORD_ONLY, key
        assert (parameter.default is parameter.empty) == (key in registry.DIMENSIONS), key


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_keyed_by_their_own_name_and_described_in_one_line(name: str) -> None:
    row = ARCHITECTURES[name]
    assert row.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    for text in (row.summary, row.source):
        assert text
        assert "\n" not in text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cnn1d-gur", "cnn1d-gru"),
        ("cnn2dlstm", "cnn2d-lstm"),
        ("short-chunk", "short-chunk-resnet"),
    ],
)
def test_a_misspelt_name_is_answered_with_close_ones(typed: str, meant: str) -> None:
    with pytest.raises(
        ArchitectureError, match=f"unknown architecture '{typed}'; did you mean.*{meant}"
    ):
        registry.find(typed)


def test_a_name_like_no_other_is_answered_with_all_of_them() -> None:
    with pytest.raises(ArchitectureError) as raised:
        registry.find("xyzzy")
    assert all(name in str(raised.value) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_hyperparameter_is_refused_and_the_known_are_listed(name: str) -> None:
    with pytest.raises(ArchitectureError, match=r"it has .*(dropout|members)"):
        registry.hyperparameters(name, {"colour": 3})


@pytest.mark.parametrize("key", registry.DIMENSIONS)
def test_the_dimensions_of_the_data_are_no_hyperparameters(key: str) -> None:
    assert key not in registry.hyperparameters("cnn1d-gru", {})
    with pytest.raises(ArchitectureError, match=key):
        registry.build("cnn1d-gru", {"n_mels": 16, "n_frames": 39}, n_classes=3, changes={key: 4})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("64", "int"), (64.0, "int"), (True, "int"), (None, "int")],
)
def test_a_value_of_another_type_is_refused(value: object, expected: str) -> None:
    with pytest.raises(ArchitectureError, match=f"hidden_dim is {value!r}, expected {expected}"):
        registry.hyperparameters("cnn1d-gru", {"hidden_dim": value})


def test_a_truth_value_is_no_number() -> None:
    with pytest.raises(ArchitectureError, match="dropout is True, expected float"):
        registry.hyperparameters("cnn1d-gru", {"dropout": True})


def test_a_whole_number_will_do_for_a_float() -> None:
    values = registry.hyperparameters("cnn1d-gru", {"dropout": 0})
    assert values == {"hidden_dim": 128, "num_layers": 1, "dropout": 0.0}
    assert type(values["dropout"]) is float


SHAPE = {
    "n_mels": 64, "n_frames": 39, "fmin": 0, "fmax": 8_000, "n_samples": 999, "n_columns": 9,
}  # fmt: skip
OUT_OF_RANGE: dict[str, list[float]] = {
    "hidden_dim": [0, -1, 10**9],
    "num_layers": [0, 9],
    "dropout": [-0.1, 1.0, float("nan"), float("inf")],
    "width": [0, 10**6],
    "patch": [0, 10**6],
    "overlap": [-1, 16],
    "dim": [0, 10**6],
    "depth": [0, 10**6],
    "heads": [0, 65],
    "kernels_1": [31, 257],
    "kernels_2": [31, 257],
    "kernels_3": [31, 257],
    "kernels_4": [31, 257],
    "kernel_size": [2, 7],
}


@pytest.mark.parametrize("name", NAMES)
def test_every_hyperparameter_has_a_range(name: str) -> None:
    for key in registry.hyperparameters(name, {}):
        if key in ("layers", "members"):
            continue  # a text; test_feedforward and test_committee have their ranges
        for value in OUT_OF_RANGE[key]:
            with pytest.raises(ArchitectureError, match=f"{name}: {key} is {value}, outside"):
                registry.build(name, SHAPE, n_classes=3, changes={key: value})


def test_a_net_that_cannot_take_so_few_bands_says_so() -> None:
    with pytest.raises(ArchitectureError, match="cnn2d-gru: n_mels is 63, outside 64"):
        registry.build("cnn2d-gru", {"n_mels": 63, "n_frames": 39}, n_classes=3)


def test_reading_the_table_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from mgr_cli.models.registry import find; find('cnn1d-gru');"
        "print([name for name in ('torch', 'numpy', 'lightning') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_rival_resolves_to_a_pipeline_of_its_seed_and_defaults(name: str) -> None:
    row = CLASSICAL[name]
    assert row.name == name not in ARCHITECTURES
    values = registry.hyperparameters(name, {})
    assert "seed" not in values
    assert all(type(value) in (bool, int, float, str) for value in values.values())
    assert [step for step, _ in registry.build_pipeline(name, seed=1).steps][-1] == "classify"


def test_rival_is_no_net() -> None:
    with pytest.raises(ArchitectureError, match="random-forest is fitted, not trained"):
        registry.find("random-forest")
    with pytest.raises(ArchitectureError, match="random-forest is fitted, not trained"):
        registry.build("random-forest", SHAPE, n_classes=3)


def test_what_is_trained_unasked_eats_what_there_is() -> None:
    cases: list[tuple[Kind, ...]] = [
        ("log-mel", "waveform", "handcrafted"), ("handcrafted",), ("table",), ("waveform",),
    ]  # fmt: skip
    found = [registry.default_for(kinds) for kinds in cases]
    assert found == ["short-chunk-resnet", "ffnn", "ffnn", "wave-cnn1d"]


@pytest.mark.parametrize("name", BORROWED)
def test_borrowed_net_has_the_hyperparameters_of_its_rival(name: str) -> None:
    row = BORROWED[name]
    assert row.name == name not in {*ARCHITECTURES, *CLASSICAL}
    values = registry.hyperparameters(name, {})
    assert list(values)[:3] == ["cut", "pca", "classifier"]
    assert (values["cut"], values["classifier"]) == (row.cuts[0], row.classifier)
    by_mlp = registry.hyperparameters(name, {"classifier": "mlp", "alpha": 0.03})
    assert (by_mlp["alpha"], by_mlp["learning_rate"]) == (0.03, 1e-4)  # the seed's, not ours
    assert "gamma" not in by_mlp
    with pytest.raises(ArchitectureError, match="no hyper-parameter 'gamma'"):
        registry.hyperparameters(name, {"classifier": "mlp", "gamma": 0.1})
    with pytest.raises(ArchitectureError, match="classifier is 'tree', expected one of mlp"):
        registry.hyperparameters(name, {"classifier": "tree"})


def test_rival_of_a_borrowed_net_stands_behind_principal_components() -> None:
    changes = {"classifier": "mlp", "pca": 0.95}
    steps = registry.build_pipeline("vgg16", seed=3, changes=changes).steps
    assert [name for name, _ in steps] == ["scale", "pca", "classify"]
    assert steps[1][1].n_components == 0.95
    assert (steps[2][1].random_state, steps[2][1].batch_size) == (3, 32)
    plain = registry.build_pipeline("vgg16", seed=0, changes={"pca": 0.0})
    assert [name for name, _ in plain.steps] == ["scale", "classify"]
    with pytest.raises(ArchitectureError, match=r"pca is 1\.0, outside 0"):
        registry.build_pipeline("vgg16", seed=0, changes={"pca": 1.0})


@pytest.mark.parametrize("name", [*CLASSICAL, *BORROWED])
def test_what_is_fitted_is_known_as_such(name: str) -> None:
    assert registry.is_fitted(name)
    assert not registry.is_fitted("cnn1d")


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mgr_cli.models.encoders", None)
    with pytest.raises(ArchitectureError, match=r"pip install 'mgr-cli\[hf\]'"):
        registry.build_backbone("hf", cut="mean", settings="{}", sample_rate=16_000)
