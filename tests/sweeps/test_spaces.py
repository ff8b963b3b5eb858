"""What a sweep draws of an architecture, and the search spaces that ship."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mgr_cli.errors import ArchitectureError, SweepError
from mgr_cli.hyperband import EarlyTerminate
from mgr_cli.models import registry
from mgr_cli.models.grids import GRIDS
from mgr_cli.sweeps.builtin import HYBRIDS, space_of
from mgr_cli.sweeps.distributions import Choice, Interval, probes
from mgr_cli.sweeps.spaces import ALIASES, Variable, grid, resolve
from mgr_cli.sweeps.sweep import read
from tests.sweeps.test_sweep import SEED_000

# What seed 000 adds to its file for the 1-D CNN with an LSTM.
SCHEDULES = """\
  reduce_lr_factor: #factor que redueix el LR en el ReduceOnPlateau
    values: [0.5, 0.7]
  step_lr_step_size: #número de steps en StepLR
    values: [5, 10]
  step_lr_gamma: #factor que redueix el LR en el StepLR
    values: [0.5, 0.7]
"""


def resolved(
    tmp_path: Path, parameters: str, architecture: str = "cnn1d-lstm", head: str = ""
) -> tuple[Variable, ...]:
    path = tmp_path / "sweep.yaml"
    path.write_text(f"{head}parameters:\n{parameters}", encoding="utf-8")
    return resolve(read(path), architecture)


def test_file_of_seed_000_is_that_of_its_hybrids(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(SEED_000, encoding="utf-8")
    for architecture in ("cnn1d-lstm", "cnn2d-gru"):
        ours = resolve(space_of(architecture), architecture)
        assert [replace(v, line=0) for v in resolve(read(path), architecture)] == list(ours)
        assert [(v.name, v.part) for v in ours] == [
            ("epochs", "recipe"), ("batch_size", "recipe"), ("learning_rate", "recipe"),
            ("hidden_dim", "set"), ("dropout", "set"), ("num_layers", "set"),
        ]  # fmt: skip


def test_schedules_of_seed_000_are_drawn_one_or_the_other(tmp_path: Path) -> None:
    variables = resolved(tmp_path, SCHEDULES)
    assert variables[0] == Variable(
        "schedule", "recipe", Choice(("plateau", "step")), None, "reduce_lr_factor", 2
    )
    assert [(v.name, v.schedule, v.line) for v in variables[1:]] == [
        ("gamma", "plateau", 2), ("step_size", "step", 4), ("gamma", "step", 6),
    ]  # fmt: skip
    combinations = list(grid(variables))
    assert combinations[:3] == [
        {"schedule": "plateau", "gamma": 0.5},
        {"schedule": "plateau", "gamma": 0.7},
        {"schedule": "step", "step_size": 5, "gamma": 0.5},
    ]
    assert len(combinations) == 2 + 2 * 2


def test_name_of_a_schedule_sets_it(tmp_path: Path) -> None:
    first, *_ = resolved(tmp_path, "  step_lr_gamma: {value: 0.5}\n")
    assert (first.name, first.distribution) == ("schedule", Choice(("step",)))


def test_schedule_that_is_said_stays(tmp_path: Path) -> None:
    text = "  step_lr_gamma: {value: 0.5}\n  scheduler: {values: [step, cosine]}\n"
    variables = resolved(tmp_path, text)
    assert [v.name for v in variables] == ["schedule", "gamma"]
    assert list(grid(variables)) == [{"schedule": "step", "gamma": 0.5}, {"schedule": "cosine"}]


@pytest.mark.parametrize("name", ALIASES)
def test_every_alias_is_a_name_of_ours(name: str) -> None:
    nets = {*registry.defaults("cnn1d-lstm"), *vars(registry.find("cnn1d-lstm").recipe)}
    assert ALIASES[name].name in nets | set(registry.defaults("linear-svc"))
    for architecture in (*registry.ARCHITECTURES, *registry.CLASSICAL, *registry.BORROWED):
        assert name not in registry.defaults(architecture)


def test_fitted_row_has_hyperparameters_alone(tmp_path: Path) -> None:
    (variable,) = resolved(tmp_path, "  C: {values: [1, 10]}\n", "svc-rbf")
    assert (variable.name, variable.part, variable.distribution) == (
        "c", "set", Choice((1.0, 10.0)),
    )  # fmt: skip
    with pytest.raises(SweepError, match=r":2: 'epochs' is no parameter of svc-rbf; it has c, gam"):
        resolved(tmp_path, "  epochs: {value: 3}\n", "svc-rbf")


def test_numbers_become_what_the_field_is(tmp_path: Path) -> None:
    text = "  batch_size: {distribution: q_log_uniform_values, min: 8, max: 64, q: 8.0}\n"
    text += "  layers: {values: ['512,256', '512']}\n  weight_decay: {value: 0}\n"
    variables = {v.name: v.distribution for v in resolved(tmp_path, text, "ffnn")}
    assert variables["batch_size"] == Interval(8, 64, log=True, step=8)
    assert [type(value) for value in probes(variables["batch_size"])] == [int, int]
    assert variables["weight_decay"] == Choice((0.0,))


def test_value_may_need_another_value(tmp_path: Path) -> None:
    """A transformer of 160 values cannot have the three heads that are the default."""
    assert resolved(tmp_path, "  dim: {value: 160}\n  heads: {values: [4, 5]}\n", "vit")
    with pytest.raises(SweepError, match=r":2: 'dim' cannot be used: vit: .*heads"):
        resolved(tmp_path, "  dim: {value: 160}\n", "vit")


BAD = [
    ("cnn1d", "  dropout: {value: 0.1}\n  hidden_dim: {value: 64}\n", 3,
     "'hidden_dim' is no parameter of cnn1d; it has epochs"),
    ("cnn1d", "  dropuot: {value: 0.1}\n", 2, "did you mean 'dropout'?"),
    ("cnn1d", "  dropout: {value: 2}\n", 2,
     "'dropout' cannot be used: cnn1d: dropout is 2.0, outside 0.0 to 0.95"),
    ("cnn1d-lstm", "  hidden_dim: {value: 64}\n  dropout:\n    min: 0.1\n    max: 1.5\n", 3,
     "dropout is 1.5, outside"),
    ("cnn1d-lstm", "  dropout: {value: 2}\n  hidden_dim: {value: 9999}\n", 2, "dropout is 2.0"),
    ("cnn1d", "  learning_rate: {min: 0.1, max: 99.5}\n", 2,
     "'learning_rate' cannot be used: learning_rate is 99.5, outside"),
    ("cnn1d", "  lr: {value: 99}\n", 2, "'lr' cannot be used: learning_rate is 99.0, outside"),
    ("cnn1d", "  optimizer: {values: [adam, lion]}\n", 2, "optimizer is 'lion', expected one of"),
    ("cnn1d", "  optimizer: {value: 3.5}\n", 2, "'optimizer' is 3.5, expected str"),
    ("cnn1d", "  optimizer: {min: 1, max: 3}\n", 2, "'optimizer' is drawn from numbers"),
    ("cnn1d", "  batch_size: {min: 8.0, max: 64.0}\n", 2,
     "'batch_size' is drawn with fractions, expected int"),
    ("cnn1d", "  epochs: {value: 2.5}\n", 2, "'epochs' is 2.5, expected int"),
    ("cnn1d", "  learning_rate: {value: high}\n", 2, "'learning_rate' is 'high', expected float"),
    ("cnn1d", "  lr: {value: 0.1}\n  learning_rate: {value: 0.1}\n", 3,
     "'learning_rate' and 'lr' of line 2 are both learning_rate"),
    ("cnn1d", "  gamma: {value: 0.1}\n  step_lr_gamma: {value: 0.1}\n", 3,
     "'step_lr_gamma' and 'gamma' of line 2 are both gamma"),
    ("cnn1d", "  schedule: {value: cosine}\n  step_lr_gamma: {value: 0.1}\n", 3,
     "'step_lr_gamma' is of the schedule step, which line 2 does not name"),
    ("kostrzewa", "  kernel_size: {min: 2, max: 6}\n", 2, "kernel_size is 2, outside 3 to 6"),
    ("mlp", "  alpha: {value: -1}\n", 2, "'alpha' cannot be used: mlp: alpha is -1.0, outside"),
    ("mlp", "  early_stopping: {values: [0, 1]}\n", 2, "'early_stopping' is 0, expected bool"),
    ("vgg16", "  cut: {values: [fc1, fc9]}\n", 2, "cut is 'fc9', expected one of block5_pool"),
    ("vgg16", "  classifier: {values: [svc-rbf, linear-svc]}\n  gamma: {value: 0.1}\n", 3,
     "'gamma' is no parameter of vgg16; it has cut, pca, classifier, c"),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "text", "line", "message"), BAD)
def test_what_an_architecture_cannot_do_points_at_the_line(
    tmp_path: Path, architecture: str, text: str, line: int, message: str
) -> None:
    with pytest.raises(SweepError) as raised:
        resolved(tmp_path, text, architecture)
    said = str(raised.value)
    assert said.startswith(f"{tmp_path / 'sweep.yaml'}:{line}: ")
    assert message in said
    assert "\n" not in said


def test_space_of_kostrzewa_is_seed_002s() -> None:
    sweep = space_of("kostrzewa")
    assert sweep.method == "random"
    assert sweep.early_terminate == EarlyTerminate(eta=3, min_iter=1)
    simple = {"kernels_1": 64, "kernels_2": 64, "kernels_3": 128, "kernels_4": 128}
    tuned: dict[str, Any] = {"kernels_1": 32, "kernels_2": 128, "kernels_3": 192, "kernels_4": 98}
    for point in (
        simple | {"kernel_size": 5, "dropout": 0.2, "learning_rate": 1e-3},
        tuned | {"kernel_size": 6, "dropout": 0.25, "learning_rate": 1e-3},
    ):
        variables = {v.name: v.distribution for v in resolve(sweep, "kostrzewa")}
        assert set(variables) == set(point)
        for name, drawn in variables.items():
            values = probes(drawn)
            inside = isinstance(drawn, Interval) and drawn.low <= point[name] <= drawn.high
            assert inside or point[name] in values


@pytest.mark.parametrize("architecture", [*HYBRIDS, "kostrzewa", *GRIDS, *registry.BORROWED])
def test_every_space_that_ships_can_be_searched(architecture: str) -> None:
    assert resolve(space_of(architecture), architecture)


def test_grids_are_walked_as_the_grid_search_walks_them() -> None:
    points = list(grid(resolve(space_of("svc-rbf"), "svc-rbf")))
    assert len(points) == 4 * 3
    assert points[0] == {"c": 0.01, "gamma": 1e-2}
    assert {"layers": "512,32", "alpha": 0.05, **GRIDS["mlp"].fixed} in list(
        grid(resolve(space_of("mlp"), "mlp"))
    )


def test_architecture_without_a_space_says_who_has_one() -> None:
    with pytest.raises(SweepError, match=r"vit has no search space of its own; .*kostrzewa"):
        space_of("vit")
    with pytest.raises(ArchitectureError, match="unknown architecture 'cnn1d-lst'"):
        space_of("cnn1d-lst")


def test_own_space_of_another_architecture_is_an_error_that_names_it() -> None:
    with pytest.raises(SweepError, match="cnn1d-gru's own search space:0: 'hidden_dim' is no"):
        resolve(space_of("cnn1d-gru"), "cnn1d")
