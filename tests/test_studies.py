"""What is drawn, what is queued, and what a database of studies says when it is none."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from mgr_cli import databases, studies, trials
from mgr_cli.errors import StudyError
from mgr_cli.hyperband import Resources
from mgr_cli.studies import Search
from mgr_cli.sweeps.distributions import Beta, Choice, Distribution, Interval, Normal, Value
from mgr_cli.sweeps.spaces import Variable
from mgr_cli.sweeps.sweep import Method, Metric, Sweep

ABOUT = {"dataset": "tiny", "split_digest": "a" * 64}
RATE = Interval(1e-5, 1e-1, log=True)
N_DRAWS = 30


def variable(
    name: str, over: Distribution, schedule: object = None, parameter: str = ""
) -> Variable:
    return Variable(name, "recipe", over, schedule, parameter or name, 1)  # type: ignore[arg-type]


def search(*variables: Variable, method: Method = "random", seed: int = 0) -> Search:
    sweep = Sweep("x.yaml", method, Metric(), ())
    return Search("ffnn", sweep, variables or (variable("learning_rate", RATE),), None, seed)


def drawn(over: Distribution, n: int = N_DRAWS) -> list[Value]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [studies.suggest(study.ask(), [variable("x", over)])["x"] for _ in range(n)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.mark.parametrize(
    ("over", "low", "high"),
    [
        (RATE, 1e-5, 1e-1),
        (Interval(0.25, 0.5), 0.25, 0.5),
        (Normal(3.0, 0.1), 2.0, 4.0),
        (Normal(0.0, 0.1, log=True), 0.5, 2.0),
        (Beta(2.0, 2.0), 0.0, 1.0),
    ],
)
def test_real_numbers_are_drawn_within_their_range(
    over: Distribution, low: float, high: float
) -> None:
    values = drawn(over)
    assert len(set(values)) == N_DRAWS
    assert all(low <= float(x) <= high for x in values)


@pytest.mark.parametrize(
    ("over", "among"),
    [
        (Interval(3, 6, step=1), [3, 4, 5, 6]),
        (Interval(32, 96, step=32), [32, 64, 96]),
        (Interval(0.1, 0.5, step=0.2), [0.1, 0.3, 0.5]),
        (Interval(8, 32, log=True, step=8), [8, 16, 24, 32]),
        (Normal(0.0, 1.0, step=2), [-4, -2, 0, 2, 4]),
        (Choice((16, 32, 64)), [16, 32, 64]),
        (Choice(("a", "b"), (0.5, 0.5)), ["a", "b"]),
        (Choice((True, False)), [True, False]),
    ],
)
def test_steps_and_choices_are_drawn_with_their_type(
    over: Distribution, among: Sequence[Value]
) -> None:
    values = drawn(over)
    for x in values:
        near = [y for y in among if x == pytest.approx(y, abs=1e-9)]
        assert [type(y) for y in near] == [type(x)]
    assert len({round(x, 6) if isinstance(x, float) else x for x in values}) > 1


def test_shares_of_a_choice_are_followed() -> None:
    values = drawn(Choice((1, 2), (0.9, 0.1)), 200)
    assert 160 <= values.count(1) <= 196  # 180 ± 4.2 (one standard deviation)


def test_constant_is_not_drawn() -> None:
    trial = optuna.create_study().ask()
    assert studies.suggest(trial, [variable("epochs", Choice((30,)))]) == {"epochs": 30}
    assert trial.params == {}


def scheduled() -> list[Variable]:
    """Make what `spaces.resolve` makes of seed 000's plateau and step parameters."""
    return [
        variable("schedule", Choice(("plateau", "step")), None, "reduce_lr_factor"),
        variable("gamma", Choice((0.5, 0.7)), "plateau", "reduce_lr_factor"),
        variable("step_size", Choice((5, 10)), "step", "step_lr_step_size"),
        variable("gamma", Choice((0.1, 0.2)), "step", "step_lr_gamma"),
    ]


def test_what_is_of_another_schedule_is_not_drawn() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(N_DRAWS):
        trial = study.ask()
        chosen = studies.suggest(trial, scheduled())
        seen.add(chosen["schedule"])
        if chosen["schedule"] == "plateau":
            assert set(chosen) == {"schedule", "gamma"}
            assert chosen["gamma"] in (0.5, 0.7)
            assert set(trial.params) == {"schedule", "reduce_lr_factor"}
        else:
            assert set(chosen) == {"schedule", "step_size", "gamma"}
            assert chosen["gamma"] in (0.1, 0.2)
    assert seen == {"plateau", "step"}


@pytest.mark.parametrize("method", ["bayes", "random"])
def test_same_trials_are_followed_by_the_same(tmp_path: Path, method: Method) -> None:
    asked = search(method=method)
    found = []
    for name in ("one", "two"):
        study = studies.open_study(tmp_path / name, asked, ABOUT)
        for number in range(12):
            study.sampler = studies.sampler(asked, study)
            trial = study.ask()
            chosen = studies.suggest(trial, asked.variables)
            study.tell(trial, float(chosen["learning_rate"]))
            if name == "two" and number == 5:  # a trial that is run again changes nothing
                trials.queue_again(study, study.get_trials()[-1])
                again = study.ask()
                study.tell(again, state=TrialState.FAIL)
            found.append((name, chosen["learning_rate"]))
    one, two = ([x for who, x in found if who == name] for name in ("one", "two"))
    assert one == two
    assert len(set(one)) == 12


def test_folder_is_of_one_search_and_one_dataset(folder: Path) -> None:
    studies.open_study(folder, search(), ABOUT).ask()
    again = studies.open_study(folder, search(), ABOUT)
    assert len(again.get_trials()) == 1
    others = [
        (search(seed=1), ABOUT),
        (search(method="bayes"), ABOUT),
        (search(), ABOUT | {"split_digest": "b" * 64}),
    ]
    for asked, about in others:
        with pytest.raises(StudyError, match="searches something else") as raised:
            studies.open_study(folder, asked, about)
        assert "\n" not in str(raised.value)


def test_file_that_was_moved_or_commented_on_is_the_same_study(folder: Path) -> None:
    asked = search()
    study = studies.open_study(folder, asked, ABOUT)
    study.ask()
    moved = replace(
        asked,
        sweep=replace(asked.sweep, source="elsewhere.yaml", ignored=("project",)),
        variables=tuple(replace(each, line=each.line + 7) for each in asked.variables),
    )
    assert len(studies.open_study(folder, moved, ABOUT).trials) == 1


def test_damaged_description_is_one_line(folder: Path) -> None:
    studies.open_study(folder, search(), ABOUT)
    (folder / studies.DESCRIPTION).write_text("{")
    with pytest.raises(StudyError, match=r"study\.json: cannot be read"):
        studies.open_study(folder, search(), ABOUT)


def test_what_is_not_there_cannot_be_looked_at(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study here; start one"):
        studies.load_study(folder)
    assert not folder.exists()
    url = f"sqlite:///{tmp_path / 'other.db'}"
    studies.open_study(folder, search(), ABOUT, storage=url)
    with pytest.raises(StudyError, match="has no study 'missing'"):
        studies.load_study(tmp_path / "missing", storage=url)
    assert studies.load_study(folder, storage=url).study_name == "study"


def test_settled_are_done_stopped_or_failed_by_themselves(folder: Path) -> None:
    study = studies.open_study(folder, search(), ABOUT)
    study.tell(study.ask(), 0.5)
    stopped = study.ask()
    stopped.report(0.1, 1)
    study.tell(stopped, state=TrialState.PRUNED)
    failed = study.ask()
    failed.set_user_attr(trials.PROBLEM, "the loss is nan")
    study.tell(failed, state=TrialState.FAIL)
    study.tell(study.ask(), state=TrialState.FAIL)  # interrupted
    study.ask()
    assert studies.n_settled(study) == 3
    assert studies.n_running(study) == 1


def test_best_of_equals_is_the_one_that_was_kept(folder: Path) -> None:
    study = studies.open_study(folder, search(), ABOUT)
    assert studies.best(study) is None
    for value, has_entry in ((0.5, True), (0.9, False), (0.9, True), (0.9, True)):
        trial = study.ask()
        if has_entry:
            trial.set_user_attr(trials.ENTRY, f"trial-{trial.number}")
        study.tell(trial, value)
    best = studies.best(study)
    assert best is not None
    assert best.number == 2


def test_grid_is_queued_once_and_whole(folder: Path) -> None:
    asked = search(
        variable("batch_size", Interval(16, 32, step=16)), variable("epochs", Choice((3,))),
        variable("dropout", Choice((0.1, 0.2, 0.3))), method="grid",
    )  # fmt: skip
    study = studies.open_study(folder, asked, ABOUT)
    for _ in range(2):
        studies.enqueue(study, asked, folder)
    assert studies.n_waiting(study) == 6
    found = []
    while studies.n_waiting(study):
        trial = study.ask()
        found.append(studies.suggest(trial, asked.variables))
        study.tell(trial, 0.5)
        studies.enqueue(study, asked, folder)
    assert found == [
        {"batch_size": size, "epochs": 3, "dropout": dropout}
        for size in (16, 32)
        for dropout in (0.1, 0.2, 0.3)
    ]


def test_grid_that_was_half_queued_is_filled_up(folder: Path) -> None:
    asked = search(variable("dropout", Choice((0.1, 0.2, 0.3))), method="grid")
    study = studies.open_study(folder, asked, ABOUT)
    study.enqueue_trial({"dropout": 0.1}, user_attrs={trials.POINT: 0})
    studies.enqueue(study, asked, folder)
    assert studies.n_waiting(study) == 3


def test_grid_of_two_schedules_has_the_points_of_each(folder: Path) -> None:
    asked = search(*scheduled(), method="grid")
    study = studies.open_study(folder, asked, ABOUT)
    studies.enqueue(study, asked, folder)
    found = [studies.suggest(study.ask(), asked.variables) for _ in range(studies.n_waiting(study))]
    assert found == [
        *({"schedule": "plateau", "gamma": gamma} for gamma in (0.5, 0.7)),
        *(
            {"schedule": "step", "step_size": size, "gamma": gamma}
            for size in (5, 10)
            for gamma in (0.1, 0.2)
        ),
    ]


def closed_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


def refusals(folder: Path, url: str | None) -> list[str]:
    """Return what is said where a study is begun, and where it is looked at."""
    with pytest.raises(StudyError) as begun:
        studies.open_study(folder, search(), ABOUT, storage=url)
    with pytest.raises(StudyError) as looked_at:
        studies.load_study(folder, storage=url)
    return [str(begun.value), str(looked_at.value)]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://u:secret@h/x", "nosuch://u:***@h/x: no database"),
        ("no url", "--storage: no database"),
        ("mysql+mysqldb://u:secret@127.0.0.1/x", "no driver of it is installed (No module named"),
        ("postgresql://u:secret@127.0.0.1:{port}/x", "no database of studies answers here"),
        ("sqlite:////no/such/folder/x.db", "no database of studies answers here"),
    ],
)
def test_storage_that_is_none_is_one_line_without_the_password(
    folder: Path, url: str, said: str
) -> None:
    url = url.replace("{port}", str(closed_port()))
    for message in refusals(folder, url):
        assert said in message
        assert "\n" not in message
        assert "secret" not in message
    assert not (folder / studies.DESCRIPTION).exists()


def test_file_that_is_no_database_is_one_line(folder: Path) -> None:
    folder.mkdir()
    (folder / databases.DATABASE).write_bytes(b"no database" * 1000)
    for message in refusals(folder, None):
        assert "study.db: no database of studies answers here (" in message
        assert "\n" not in message


def test_hyperband_is_optunas_with_our_resources(folder: Path) -> None:
    asked = Search("ffnn", Sweep("x", "bayes", Metric(), ()), (), Resources(2, 18, 3), 0)
    pruner = studies.open_study(folder, asked, ABOUT).pruner
    assert isinstance(pruner, optuna.pruners.HyperbandPruner)
    assert (pruner._min_resource, pruner._max_resource, pruner._reduction_factor) == (2, 18, 3)
