"""Sweep files, and what points at the line of what is wrong in one."""

from math import exp
from pathlib import Path

import pytest

from mgr_cli.errors import SweepError
from mgr_cli.hyperband import EarlyTerminate
from mgr_cli.sweeps.distributions import Beta, Choice, Distribution, Interval, Normal
from mgr_cli.sweeps.lines import MAX_BYTES, MAX_ITEMS
from mgr_cli.sweeps.parameters import DISTRIBUTIONS
from mgr_cli.sweeps.sweep import Metric, Parameter, Sweep, read

# The slide of seed 000.
SEED_000 = """\
# sweep.yaml
parameters:
  epochs:
    value: 30
  batch_size:
    values: [16, 32, 64, 128]
  learning_rate:
    values: [1e-4, 3e-4, 5e-4, 7e-4, 1e-3]
  hidden_dim:
    values: [64, 128, 256]
  dropout:
    values: [0.2, 0.3, 0.4, 0.5]
  num_layers: #en el RNN
    values: [1, 2]
"""

EVERY = {
    "value: 0.5": Choice((0.5,)),
    "distribution: constant, value: adam": Choice(("adam",)),
    "value: '1e-4'": Choice(("1e-4",)),
    "values: [a, b]": Choice(("a", "b")),
    "distribution: categorical, values: [true]": Choice((True,)),
    "values: [1, 2], probabilities: [0.25, 0.75]": Choice((1, 2), (0.25, 0.75)),
    "distribution: categorical_w_probabilities, values: [1], probabilities: [1]": Choice(
        (1,), (1,)
    ),
    "min: 3, max: 6": Interval(3, 6, step=1),
    "distribution: int_uniform, min: 3, max: 6": Interval(3, 6, step=1),
    "min: 0.0, max: 1": Interval(0.0, 1.0),
    "min: 1e-4, max: 1e-2": Interval(1e-4, 1e-2),
    "distribution: uniform, min: 0, max: 1": Interval(0.0, 1.0),
    "distribution: q_uniform, min: 0, max: 9": Interval(0, 9, step=1),
    "distribution: q_uniform, min: 5, max: 29, q: 10": Interval(10, 20, step=10),
    "distribution: q_uniform, min: 0.1, max: 0.3, q: 0.1": Interval(0.1, 0.3, step=0.1),
    "distribution: q_uniform, min: 1.1, max: 1.3, q: 0.1": Interval(1.1, 1.3, step=0.1),
    "distribution: log_uniform, min: -2, max: 1": Interval(exp(-2), exp(1), log=True),
    "distribution: log_uniform_values, min: 1e-4, max: 1e-2": Interval(1e-4, 1e-2, log=True),
    "distribution: q_log_uniform, min: 0, max: 3, q: 2": Interval(2, 20, log=True, step=2),
    "distribution: q_log_uniform_values, min: 0.3, max: 9": Interval(1, 9, log=True, step=1),
    "distribution: q_log_uniform_values, min: 1e-12, max: 9": Interval(1, 9, log=True, step=1),
    "distribution: inv_log_uniform, min: 1, max: 2": Interval(exp(-2), exp(-1), log=True),
    "distribution: inv_log_uniform_values, min: 1, max: 2": Interval(1.0, 2.0, log=True),
    "distribution: normal": Normal(0.0, 1.0),
    "distribution: normal, mu: 3, sigma: 2": Normal(3.0, 2.0),
    "distribution: q_normal, mu: 3, q: 0.5": Normal(3.0, 1.0, step=0.5),
    "distribution: log_normal, sigma: 2": Normal(0.0, 2.0, log=True),
    "distribution: q_log_normal": Normal(0.0, 1.0, log=True, step=1),
    "distribution: beta, a: 2": Beta(2.0, 1.0),
    "distribution: q_beta, a: 2, b: 5, q: 0.1": Beta(2.0, 5.0, step=0.1),
}


def read_text(tmp_path: Path, text: str) -> Sweep:
    path = tmp_path / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return read(path)


def drawn(sweep: Sweep) -> dict[str, Distribution]:
    return {parameter.name: parameter.distribution for parameter in sweep.parameters}


def test_sweep_of_seed_000_is_read_as_it_stands_in_the_slide(tmp_path: Path) -> None:
    assert read_text(tmp_path, SEED_000) == Sweep(
        source=str(tmp_path / "sweep.yaml"),
        method="bayes",
        metric=Metric("valid_accuracy", "maximize"),
        parameters=(
            Parameter("epochs", Choice((30,)), 3),
            Parameter("batch_size", Choice((16, 32, 64, 128)), 5),
            Parameter("learning_rate", Choice((1e-4, 3e-4, 5e-4, 7e-4, 1e-3)), 7),
            Parameter("hidden_dim", Choice((64, 128, 256)), 9),
            Parameter("dropout", Choice((0.2, 0.3, 0.4, 0.5)), 11),
            Parameter("num_layers", Choice((1, 2)), 13),
        ),
        assumed=("method: bayes", "metric: valid_accuracy, maximize"),
    )


def test_everything_that_a_file_can_say_is_read(tmp_path: Path) -> None:
    sweep = read_text(
        tmp_path,
        "program: train.py\nproject: genres\nname: first\nmethod: random\n"
        "command: [python, '${program}']\n"
        "metric: {name: validation/loss, goal: minimize, target: 0.3, impute: best}\n"
        "early_terminate: {type: hyperband, max_iter: 27, s: 2, eta: 2, strict: true}\n"
        "run_cap: 40\nparameters: {dropout: {value: 0.1}}\n",
    )
    assert (sweep.method, sweep.run_cap) == ("random", 40)
    assert sweep.metric == Metric("valid_loss", "minimize", 0.3)
    assert sweep.early_terminate == EarlyTerminate(eta=2, max_iter=27, s=2)
    assert sweep.ignored == (
        "program", "project", "name", "command", "metric.impute", "early_terminate.strict",
    )  # fmt: skip
    assert sweep.assumed == ()


@pytest.mark.parametrize("name", ["val_acc", "valid_accuracy", "Validation Accuracy", "val/acc"])
def test_accuracy_has_many_names_and_is_sought_at_its_highest(tmp_path: Path, name: str) -> None:
    sweep = read_text(tmp_path, f"metric: {{name: {name}}}\nparameters: {{a: {{value: 1}}}}")
    assert sweep.metric == Metric("valid_accuracy", "maximize")


@pytest.mark.parametrize(
    ("text", "early", "ignored"),
    [
        ("min_iter: 3", EarlyTerminate(min_iter=3), ()),
        ("min_iter: 4, s: 5", EarlyTerminate(min_iter=4), ("early_terminate.s",)),
        ("min_iter: 4, max_iter: 9", EarlyTerminate(min_iter=4), ("early_terminate.max_iter",)),
        ("min_iter: 4, max_iter: 9, s: 1", EarlyTerminate(max_iter=9, s=1),
         ("early_terminate.min_iter",)),
    ],
)  # fmt: skip
def test_what_wandb_does_not_look_at_is_named(
    tmp_path: Path, text: str, early: EarlyTerminate, ignored: tuple[str, ...]
) -> None:
    sweep = read_text(
        tmp_path,
        f"early_terminate: {{type: hyperband, {text}}}\nparameters: {{a: {{value: 1}}}}",
    )
    assert (sweep.early_terminate, sweep.ignored) == (early, ignored)


@pytest.mark.parametrize("text", EVERY)
def test_every_distribution_is_read(tmp_path: Path, text: str) -> None:
    (parameter,) = read_text(tmp_path, f"parameters: {{a: {{{text}}}}}").parameters
    assert parameter.distribution == EVERY[text]


def test_no_distribution_is_untried() -> None:
    said = {text.split(",")[0].removeprefix("distribution: ") for text in EVERY}
    assert set(DISTRIBUTIONS) <= said
    assert len(DISTRIBUTIONS) == 18


def test_groups_are_dissolved(tmp_path: Path) -> None:
    sweep = read_text(
        tmp_path,
        "parameters:\n  model:\n    parameters:\n      dropout: {value: 0.1}\n"
        "      inner: {parameters: {hidden_dim: {value: 64}}}\n  recipe.epochs: {value: 3}\n",
    )
    assert [(p.name, p.line) for p in sweep.parameters] == [
        ("dropout", 4), ("hidden_dim", 5), ("epochs", 6),
    ]  # fmt: skip


def test_grid_takes_what_can_be_counted(tmp_path: Path) -> None:
    sweep = read_text(
        tmp_path,
        "method: grid\nparameters:\n  a: {values: [x]}\n  b: {min: 1, max: 3}\n"
        "  c: {distribution: q_uniform, min: 0, max: 1, q: 0.5}\n",
    )
    assert set(drawn(sweep)) == {"a", "b", "c"}


BAD = [
    ("", 1, "the file is empty"),
    ("# nothing\n", 1, "the file is empty"),
    ("- a\n- b\n", 1, "a sweep is a list, expected a mapping with some of method, metric"),
    ("method: bayes\n", 1, "no parameters, expected some"),
    ("method: bayes\nparamters:\n  a: {value: 1}\n", 2,
     "unknown key 'paramters', did you mean 'parameters'?"),
    ("xyzzy: 1\n", 1, "unknown key 'xyzzy', expected one of method, metric"),
    ("method: bays\n", 1, "no parameters"),
    ("parameters: {a: {value: 1}}\nmethod: bays\n", 2,
     "method is 'bays', did you mean 'bayes'?"),
    ("parameters: {a: {value: 1}}\nmethod: [bayes]\n", 2, "method is a list, expected"),
    ("method: grid\nmethod: bayes\n", 2, "'method' stands here for the second time"),
    ("parameters:\n  a: {value: 1}\n  b: {value: 1}\n  a: {value: 2}\n", 4,
     "'a' stands here for the second time"),
    ("parameters:\n", 1, "parameters is empty, expected a mapping"),
    ("parameters: {}\n", 1, "parameters is an empty mapping, expected a mapping"),
    ("parameters:\n  a: 30\n", 2, "parameter 'a' is '30', expected a mapping with some of value"),
    ("parameters:\n  a:\n    vales: [1]\n", 3, "unknown key 'vales', did you mean 'values'?"),
    ("parameters:\n  a: {distribution: uniform}\n", 2,
     "uniform needs min and max, and there is no 'min'"),
    ("parameters:\n  a:\n    distribution: unifrom\n", 3,
     "distribution is 'unifrom', did you mean 'uniform'?"),
    ("parameters:\n  a: {q: 1}\n", 2, "nothing to draw from"),
    ("parameters:\n  a: {min: 1}\n", 2, "int_uniform needs min and max, and there is no 'max'"),
    ("parameters:\n  a:\n    value: 1\n    values: [1]\n", 4,
     "constant has no 'values', expected value"),
    ("parameters:\n  a:\n    min: 1\n    max: 9\n    q: 2\n", 5,
     "int_uniform has no 'q', expected min and max"),
    ("parameters:\n  a:\n    min: 6\n    max: 3\n", 4, "min is 6 and max is 3, expected min below"),
    ("parameters:\n  a:\n    min: 3\n    max: 3\n", 4, "min is 3 and max is 3, expected min below"),
    ("parameters:\n  a:\n    min: 3\n    max: much\n", 4, "max is 'much', expected a number"),
    ("parameters:\n  a:\n    min: true\n    max: 3\n", 3, "min is True, expected a number"),
    ("parameters:\n  a:\n    min: 0\n    max: .inf\n", 4, "max is '.inf', expected a finite"),
    ("parameters:\n  a:\n    min: 0\n    max: .nan\n", 4, "max is '.nan', expected a finite"),
    ("parameters:\n  a:\n    min: 0\n    max: 1e999\n", 4, "max is '1e999', expected a finite"),
    ("parameters:\n  a:\n    min: 0\n    max: 1" + 400 * "0" + "\n", 4, "expected a finite number"),
    ("parameters:\n  a:\n    min: 0\n    max: 1" + 5000 * "0" + "\n", 4, "expected a number"),
    ("parameters:\n  a:\n    distribution: int_uniform\n    min: 0.5\n    max: 3\n", 4,
     "min is 0.5 and max is 3, expected whole numbers"),
    ("parameters:\n  a:\n    distribution: log_uniform_values\n    min: 0\n    max: 3\n", 4,
     "min is 0, expected more than 0: log_uniform_values takes its logarithm"),
    ("parameters:\n  a:\n    distribution: inv_log_uniform_values\n    min: -1\n    max: 3\n", 4,
     "min is -1, expected more than 0"),
    ("parameters:\n  a:\n    distribution: log_uniform\n    min: 16\n    max: 1024\n", 4,
     "exponents of e; did you mean log_uniform_values?"),
    ("parameters:\n  a:\n    distribution: q_uniform\n    min: 0\n    max: 9\n    q: 0\n", 6,
     "q is 0, expected more than 0"),
    ("parameters:\n  a:\n    distribution: q_uniform\n    min: 1\n    max: 9\n    q: 10\n", 5,
     "no multiple of q, 10, lies between 1 and 9"),
    ("parameters:\n  a:\n    distribution: normal\n    sigma: 0\n", 4,
     "sigma is 0, expected more than 0"),
    ("parameters:\n  a:\n    distribution: log_normal\n    mu: 1000\n", 4, "exponents of e"),
    ("parameters:\n  a:\n    distribution: beta\n    b: -1\n", 4, "b is -1, expected more than 0"),
    ("parameters:\n  a:\n    values: []\n", 3, "values is an empty list, expected a list of some"),
    ("parameters:\n  a:\n    values: 3\n", 3, "values is '3', expected a list"),
    ("parameters:\n  a:\n    values:\n    - 1\n    - two\n", 5,
     "values are of mixed types, 1 and 'two'"),
    ("parameters:\n  a:\n    values: [0, true]\n", 3, "values are of mixed types, 0 and True"),
    ("parameters:\n  a:\n    values:\n    - 1\n    - 1\n", 5, "values have 1 twice"),
    ("parameters:\n  a:\n    values:\n    - [512, 256]\n", 4, "one of values is a list, expected"),
    ("parameters:\n  a:\n    value: null\n", 3, "value is 'null', expected a number, a text"),
    ("parameters:\n  a:\n    value: 2020-01-01\n", 3, "value is '2020-01-01', expected a number"),
    ("parameters:\n  a:\n    value: !!int ''\n", 3, "value is empty, expected a number"),
    ("parameters:\n  a:\n    value: !!bool much\n", 3, "value is 'much', expected a number"),
    ("parameters:\n  a:\n    value: !!python/object/apply:os.getcwd []\n", 3, "value is an empty"),
    ("parameters:\n  a:\n    values: [1, 2]\n    probabilities: [0.5, 0.6]\n", 4,
     "probabilities are 2 that sum to 1.1, expected 2"),
    ("parameters:\n  a:\n    values: [1, 2]\n    probabilities: [1]\n", 4,
     "probabilities are 1 that sum to 1, expected 2"),
    ("parameters:\n  a:\n    values: [1, 2]\n    probabilities: [2, -1]\n", 4, "none below 0"),
    ("parameters:\n  a:\n    parameters: {b: {value: 1}}\n    value: 1\n", 2,
     "'a' is a group of parameters, and has keys of its own"),
    ("parameters:\n  b: {value: 1}\n  a:\n    parameters:\n      b: {value: 1}\n", 5,
     "'b' is a parameter of line 2 too"),
    ("parameters:\n  m.b: {value: 1}\n  n.b: {value: 1}\n", 3, "'b' is a parameter of line 2 too"),
    ("parameters: &a\n  b: {parameters: *a}\n", 2, "nested more than 8 deep"),
    ("parameters:\n  a: {value: 1}\n  <<: {c: {value: 1}}\n", 3, "unknown key 'c'"),
    ("method: grid\nparameters:\n  a: {value: 1}\n  b: {min: 0.1, max: 1}\n", 4,
     "'b' is continuous, which a grid cannot try; list values"),
    ("method: grid\nparameters:\n  a: {min: 1, max: 1000000}\n", 3, "'a' has 1000000 values"),
    ("method: grid\nparameters:\n  a: {distribution: q_normal}\n", 3, "'a' is continuous"),
    ("method: grid\nparameters:\n  a: {values: [1, 2], probabilities: [0.5, 0.5]}\n", 3,
     "'a' has probabilities, which a grid cannot follow"),
    ("parameters: {a: {value: 1}}\nmetric:\n  goal: maximize\n", 2, "metric has no name"),
    ("parameters: {a: {value: 1}}\nmetric:\n  name: test_acc\n", 3,
     "metric.name is 'test_acc', expected val_accuracy or val_loss"),
    ("parameters: {a: {value: 1}}\nmetric:\n  name: val_loss\n  goal: maximize\n", 4,
     "metric.goal is the wrong way round, expected minimize val_loss"),
    ("parameters: {a: {value: 1}}\nmetric:\n  name: val_loss\n  goal: less\n", 4,
     "metric.goal is 'less', expected one of maximize, minimize"),
    ("parameters: {a: {value: 1}}\nmetric: acc\n", 2, "metric is 'acc', expected a mapping"),
    ("parameters: {a: {value: 1}}\nrun_cap: 0\n", 2, "run_cap is 0, expected a whole number"),
    ("parameters: {a: {value: 1}}\nrun_cap: 1.5\n", 2, "run_cap is 1.5, expected a whole number"),
    ("parameters: {a: {value: 1}}\nearly_terminate:\n  min_iter: 3\n", 2,
     "early_terminate has no type, expected hyperband"),
    ("parameters: {a: {value: 1}}\nearly_terminate:\n  type: envelope\n", 3,
     "early_terminate.type is 'envelope', expected one of hyperband"),
    ("parameters: {a: {value: 1}}\nearly_terminate:\n  type: hyperband\n", 2,
     "early_terminate has neither min_iter, nor max_iter and s"),
    ("parameters: {a: {value: 1}}\nearly_terminate:\n  type: hyperband\n  max_iter: 9\n", 2,
     "early_terminate has neither min_iter, nor max_iter and s"),
    ("parameters: {a: {value: 1}}\nearly_terminate: {type: hyperband, min_iter: 3,\n  eta: 1}\n", 3,
     "eta is 1, expected more than 1"),
    ("parameters: {a: {value: 1}}\nearly_terminate: {type: hyperband, s: 1,\n  max_iter: 2}\n", 3,
     "max_iter is below eta, 3: no trial would be compared"),
    ("parameters: {a: {value: 1}}\nearly_terminate: {type: hyperband,\n  min_iter: 0}\n", 3,
     "min_iter is 0, expected a whole number from 1"),
    ("parameters:\n  a: {value: [1\n  b: 2\n", 3, "no YAML"),
    ("parameters:\n\ta: {value: 1}\n", 2, "no YAML"),
    ("parameters: {a: {value: *b}}\n", 1, "no YAML: found undefined alias"),
    ("a: 1\n---\nb: 1\n", 2, "no YAML: but found another document"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), BAD)
def test_error_is_one_line_that_points_at_the_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(SweepError) as raised:
        read_text(tmp_path, text)
    said = str(raised.value)
    assert said.startswith(f"{tmp_path / 'sweep.yaml'}:{line}: ")
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (b"\xff\xfe\x00", "cannot be read"),
        (b"\x00", "no YAML"),
        (b"#" * (MAX_BYTES + 1), f"more than {MAX_BYTES} bytes"),
        (b"[" * 20_000, "no YAML"),
        (None, "cannot be read"),
    ],
)
def test_file_that_is_no_yaml_is_one_line(tmp_path: Path, what: bytes | None, message: str) -> None:
    path = tmp_path / "sweep.yaml"
    if what is not None:
        path.write_bytes(what)
    with pytest.raises(SweepError, match=message) as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_alias_that_stands_for_millions_costs_nothing(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    text = "parameters: {a: {value: 1}}\nprogram: {" + ", ".join(rows) + "}\n"
    assert read_text(tmp_path, text).ignored == ("program",)


def test_number_of_values_is_bounded(tmp_path: Path) -> None:
    values = ", ".join(map(str, range(MAX_ITEMS + 1)))
    with pytest.raises(SweepError, match="values has 1001 items, expected 1000 at most"):
        read_text(tmp_path, f"parameters: {{a: {{values: [{values}]}}}}")
