"""Trials on noise with one loud band a genre: what they are worth, and what stops them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from optuna.trial import FrozenTrial, Trial, TrialState
from torch import Tensor

from mgr_cli import databases, fitting, publication, recipes, studies, training, trials, tuning
from mgr_cli.data import prepared
from mgr_cli.data.dataset import PreparedDataset
from mgr_cli.errors import StudyError, TrainingError
from mgr_cli.evaluation import evaluate
from mgr_cli.hyperband import Resources
from mgr_cli.prediction import Predictor
from mgr_cli.studies import Search
from mgr_cli.sweeps import builtin, spaces
from mgr_cli.sweeps.distributions import Choice, Distribution, Interval, Normal, Value
from mgr_cli.sweeps.sweep import Method, Metric, Parameter, Sweep
from mgr_cli.task import Task
from mgr_cli.trainer import Machine
from mgr_cli.tuning import Bench
from mgr_cli.zoo import entries
from mgr_cli.zoo.card import load_card
from tests import tiny

REPOSITORY = Path(__file__).parents[1]
SERVER = Path("/usr/lib/postgresql")
CPU = Machine(device="cpu")
ARCHITECTURE = "cnn1d-lstm"
NARROW = {"hidden_dim": Choice((4,)), "num_layers": Choice((1,)), "epochs": Choice((2,))}
RATES: dict[str, Distribution] = {"learning_rate": Interval(1e-3, 1e-1, log=True), **NARROW}


def search(
    drawn: dict[str, Distribution] = RATES,
    *,
    method: Method = "random",
    architecture: str = ARCHITECTURE,
    metric: Metric = Metric("valid_loss", "minimize"),  # noqa: B008
    resources: Resources | None = None,
    seed: int = 0,
) -> Search:
    parameters = tuple(Parameter(name, over, 1) for name, over in drawn.items())
    sweep = Sweep("x.yaml", method, metric, parameters)
    return Search(architecture, sweep, spaces.resolve(sweep, architecture), resources, seed)


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Make a dataset whose test split cannot be read."""
    return tiny.dataset(tmp_path_factory.mktemp("easy"), contrast=3.0, absent="test")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "LOOK", 0.05)


def bench(dataset: PreparedDataset, folder: Path, asked: Search) -> Bench:
    return Bench(dataset, asked, folder, machine=CPU)


def outcomes(listed: list[FrozenTrial]) -> list[tuple[dict[str, Value], float | None]]:
    """List what trials drew and brought; those that were interrupted are left out."""
    return [
        (trial.user_attrs[trials.CHOSEN], trial.value)
        for trial in listed
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    ]


def test_value_of_a_trial_is_that_of_training(easy: PreparedDataset, tmp_path: Path) -> None:
    asked = search(seed=3)
    told: list[int] = []
    study = tuning.tune(
        bench(easy, tmp_path / "s", asked), n_trials=3, on_trial=lambda t: told.append(t.number)
    )
    assert told == [0, 1, 2]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    for trial in study.trials:
        hyperparameters, recipe = tuning.settings(asked, trial.user_attrs[trials.CHOSEN])
        trained = training.train(
            easy, ARCHITECTURE, recipe=recipe, hyperparameters=hyperparameters, seed=3,
            machine=CPU,
        )  # fmt: skip
        assert trial.value == trained.best.valid_loss
        assert trial.intermediate_values == {e.number: e.valid_loss for e in trained.history}
    assert len({trial.value for trial in study.trials}) == 3


def test_values_are_parted_into_net_and_recipe() -> None:
    own, recipe = tuning.settings(
        search(), {"learning_rate": 0.5, "hidden_dim": 4, "num_layers": 1, "epochs": 2}
    )
    assert own == {"hidden_dim": 4, "num_layers": 1}
    assert (recipe.learning_rate, recipe.epochs) == (0.5, 2)


def test_best_trial_is_crowned_once_and_the_others_dropped(
    easy: PreparedDataset, tmp_path: Path
) -> None:
    made = bench(easy, tmp_path / "found", search())
    study = tuning.tune(made, n_trials=4)
    best = studies.best(study)
    assert best is not None
    assert best.value == min(trial.value for trial in study.trials if trial.value is not None)
    kept = [path.name for path in (made.folder / tuning.ENTRIES).iterdir()]
    assert kept == [f"trial-{best.number:04}"]
    folder = tuning.crown(made, study, tmp_path / "zoo", name="best", licence="CC0-1.0")
    card = load_card(folder)
    assert (card.name, card.licence, folder.name) == ("best", "CC0-1.0", "best")
    assert f"found by the study found (random, trial {best.number})" in card.provenance
    assert entries.verify(folder).difference == 0.0
    judged = evaluate(Predictor.load(folder, device="cpu"), easy, split="valid", seed=0)
    assert judged.assessment.track == card.figures["valid"].track
    assert tuning.crown(made, study, tmp_path / "zoo", name="best", licence="CC0-1.0") == folder
    other = tuning.crown(made, study, tmp_path / "zoo", name="best", licence="MIT")
    assert other.name == "best-2"
    shutil.rmtree(made.folder / tuning.ENTRIES)
    with pytest.raises(StudyError, match="was run on another machine"):
        tuning.crown(made, study, tmp_path / "zoo", name="best", licence="MIT")


def test_best_recipe_is_read_as_it_was_trained(easy: PreparedDataset, tmp_path: Path) -> None:
    asked = search()
    study = tuning.tune(bench(easy, tmp_path / "s", asked), n_trials=1)
    path = tmp_path / "best.yaml"
    path.write_text(yaml.safe_dump(tuning.best_recipe(asked, study.trials[0])))
    found = recipes.training_of(None, file=path, default="cnn1d")
    own, recipe = tuning.settings(asked, study.trials[0].user_attrs[trials.CHOSEN])
    assert (found.architecture, found.hyperparameters, found.recipe) == (
        ARCHITECTURE, own, recipe,
    )  # fmt: skip


def test_same_seed_has_the_same_trials_and_another_has_others(
    easy: PreparedDataset, tmp_path: Path
) -> None:
    found = [
        outcomes(tuning.tune(bench(easy, tmp_path / name, search(seed=seed)), n_trials=2).trials)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_trial_that_diverges_does_not_end_the_study(
    easy: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Task.training_step

    def explode(self: Task, batch: Any, index: int) -> Tensor:
        if self._recipe.learning_rate == 10.0:
            with torch.no_grad():
                next(self.net.parameters()).fill_(torch.nan)
        return original(self, batch, index)

    monkeypatch.setattr(Task, "training_step", explode)
    asked = search({**RATES, "learning_rate": Choice((10.0, 0.01))}, method="grid")
    study = tuning.tune(bench(easy, tmp_path / "s", asked), n_trials=2)
    failed, done = study.trials
    assert failed.state == TrialState.FAIL
    assert "try a lower learning rate" in failed.user_attrs[trials.PROBLEM]
    assert done.state == TrialState.COMPLETE
    assert studies.n_settled(study) == 2


def test_draw_out_of_its_range_does_not_end_the_study(
    easy: PreparedDataset, tmp_path: Path
) -> None:
    asked = search({**RATES, "label_smoothing": Normal(0.3, 0.5)})
    study = tuning.tune(bench(easy, tmp_path / "s", asked), n_trials=4)
    states = {trial.state for trial in study.trials}
    assert states == {TrialState.COMPLETE, TrialState.FAIL}
    for trial in study.trials:
        is_in_range = 0 <= trial.user_attrs[trials.CHOSEN]["label_smoothing"] <= 0.99
        assert is_in_range == (trial.state == TrialState.COMPLETE)
        assert is_in_range or "label_smoothing is " in trial.user_attrs[trials.PROBLEM]


def test_study_of_failures_alone_has_nothing_to_crown(
    easy: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise TrainingError("memory does not suffice")

    monkeypatch.setattr(training, "train", full)
    made = bench(easy, tmp_path / "s", search())
    study = tuning.tune(made, n_trials=3)
    assert [t.user_attrs[trials.PROBLEM] for t in study.trials] == ["memory does not suffice"] * 3
    with pytest.raises(StudyError, match="no trial has run to its end"):
        tuning.crown(made, study, tmp_path / "zoo", name="best", licence="none")


def test_trials_that_fall_behind_are_stopped(easy: PreparedDataset, tmp_path: Path) -> None:
    # Each worse than the one before: whoever is compared after an epoch is stopped there.
    rates = Choice((1e-2, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9))
    drawn = {**RATES, "epochs": Choice((3,)), "learning_rate": rates}
    asked = search(drawn, method="grid", resources=Resources(1, 3))
    made = bench(easy, tmp_path / "s", asked)
    study = tuning.tune(made, n_trials=6)
    stopped = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    whole = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert len(stopped) + len(whole) == 6
    assert stopped
    assert whole
    assert {len(trial.intermediate_values) for trial in stopped} == {1}
    assert {len(trial.intermediate_values) for trial in whole} == {3}
    assert list((made.folder / tuning.RUNNING).iterdir()) == []
    assert study.trials[0].state == TrialState.COMPLETE  # of a bracket the first is not stopped


def test_nothing_is_searched_beyond_the_target(easy: PreparedDataset, tmp_path: Path) -> None:
    asked = search(metric=Metric("valid_loss", "minimize", target=100.0))
    assert len(tuning.tune(bench(easy, tmp_path / "s", asked), n_trials=5).trials) == 1


def test_study_that_has_all_its_trials_runs_none(easy: PreparedDataset, tmp_path: Path) -> None:
    made = bench(easy, tmp_path / "s", search())
    assert len(tuning.tune(made, n_trials=1).trials) == 1
    assert len(tuning.tune(made, n_trials=1).trials) == 1
    assert len(tuning.tune(made, n_trials=2).trials) == 2


def test_what_is_fitted_has_no_loss_to_be_judged_by(easy: PreparedDataset, tmp_path: Path) -> None:
    asked = search({"alpha": Choice((0.1, 1.0))}, architecture="ridge")
    with pytest.raises(StudyError, match="ridge is fitted, and judged by its accuracy"):
        tuning.tune(bench(easy, tmp_path / "s", asked), n_trials=1)


def test_trial_that_has_reached_its_last_epoch_is_not_stopped(
    easy: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at: list[int] = []

    def is_asked(trial: Trial) -> bool:
        asked_at.append(max(trial.study.trials[trial.number].intermediate_values))
        return False

    monkeypatch.setattr(Trial, "should_prune", is_asked)
    asked = search({**RATES, "epochs": Choice((3,))}, resources=Resources(1, 3))
    tuning.tune(bench(easy, tmp_path / "s", asked), n_trials=1)
    assert asked_at == [1, 2]


def test_grid_of_what_is_fitted_is_tried_whole(easy: PreparedDataset, tmp_path: Path) -> None:
    sweep = builtin.space_of("svc-rbf")
    asked = Search("svc-rbf", sweep, spaces.resolve(sweep, "svc-rbf"), None, 0)
    made = bench(easy, tmp_path / "s", asked)
    study = tuning.tune(made, n_trials=100)  # ends with the grid
    points = list(spaces.grid(asked.variables))
    assert [trial.user_attrs[trials.CHOSEN] for trial in study.trials] == points
    assert len(points) == 12
    for trial in study.trials[::5]:
        chosen = trial.user_attrs[trials.CHOSEN]
        fitted = fitting.fit(easy, "svc-rbf", hyperparameters=chosen, seed=0)
        folder = publication.publish(fitted, easy, tmp_path / f"z{trial.number}", name="x")
        assert trial.value == load_card(folder).figures["valid"].track["accuracy"].value
    best = studies.best(study)
    assert best is not None
    assert [p.name for p in (made.folder / tuning.ENTRIES).iterdir()] == [f"trial-{best.number:04}"]


def test_borrowed_net_is_refused(easy: PreparedDataset, tmp_path: Path) -> None:
    asked = replace(search(), architecture="vgg16")
    with pytest.raises(StudyError, match="is searched on its grid by `mgr train --arch vgg16`"):
        tuning.tune(bench(easy, tmp_path / "s", asked), n_trials=1)
    assert not (tmp_path / "s").exists()


def test_interrupted_study_ends_like_one_that_was_not(
    easy: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = search(method="bayes")
    whole = tuning.tune(bench(easy, tmp_path / "whole", asked), n_trials=3)
    original, calls = training.train, []

    def interrupted(*args: Any, on_epoch: Any, **options: Any) -> training.Trained:
        calls.append(options["checkpoint"])

        def stop(epoch: Any) -> None:
            on_epoch(epoch)
            if len(calls) in (2, 3) and epoch.number == 2:
                raise KeyboardInterrupt

        return original(*args, on_epoch=stop, **options)

    monkeypatch.setattr(training, "train", interrupted)
    made = bench(easy, tmp_path / "stopped", asked)
    for n_trials in (2, 3):  # the second trial is stopped twice
        with pytest.raises(KeyboardInterrupt):
            tuning.tune(made, n_trials=3)
        assert len(list((made.folder / tuning.RUNNING).iterdir())) == 1
        assert studies.n_waiting(studies.load_study(made.folder)) == 1
        assert len(studies.load_study(made.folder).trials) == n_trials + 1
    study = tuning.tune(made, n_trials=3)
    assert calls[1] == calls[2] == calls[3]
    assert outcomes(study.trials) == outcomes(whole.trials)
    assert study.trials[1].params == study.trials[2].params == study.trials[3].params


PROGRAM = """
import sys
from pathlib import Path
from mgr_cli import tuning
from mgr_cli.data import prepared
from tests import test_tuning
tuning.LOOK = 0.1
storage = sys.argv[4] if len(sys.argv) > 4 else None
made = test_tuning.bench(
    prepared.load(Path(sys.argv[1])), Path(sys.argv[2]), test_tuning.shared()
)
print("ready", flush=True)
sys.stdin.readline()
tuning.tune(made, n_trials=int(sys.argv[3]), storage=storage)
"""
N_SHARED = 6


def shared() -> Search:
    return search({**RATES, "epochs": Choice((12,))})


def start(
    dataset: PreparedDataset, folder: Path, n_trials: int, *storage: str
) -> "subprocess.Popen[str]":
    """Start a process that tunes when `go` says so."""
    command = [sys.executable, "-c", PROGRAM, str(dataset.root), str(folder), str(n_trials)]
    return subprocess.Popen(
        [*command, *storage], cwd=REPOSITORY, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def go(*processes: "subprocess.Popen[str]") -> None:
    """Let processes begin at once, as soon as the last has imported all."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


@pytest.mark.slow
def test_killed_study_goes_on_with_the_same_trials(easy: PreparedDataset, tmp_path: Path) -> None:
    whole = tuning.tune(bench(easy, tmp_path / "whole", shared()), n_trials=3)
    made = bench(easy, tmp_path / "killed", shared())
    process = start(easy, made.folder, 3)
    go(process)
    deadline = time.monotonic() + 60
    running = made.folder / tuning.RUNNING
    while time.monotonic() < deadline and process.poll() is None:  # the second trial has begun
        if list(running.glob("0001-*.ckpt")):
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    study = tuning.tune(made, n_trials=3)
    dead = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    (again,) = [trial for trial in study.trials if trials.AGAIN in trial.user_attrs]
    assert [trials.first_number(again)] == [trial.number for trial in dead] == [1]
    assert outcomes(study.trials) == outcomes(whole.trials)


def assert_shared(dataset: PreparedDataset, folder: Path, *storage: str) -> None:
    processes = [start(dataset, folder, N_SHARED, *storage) for _ in range(2)]
    go(*processes)
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert (process.returncode, said) == (0, "")
    study = studies.load_study(folder, storage=storage[0] if storage else None)
    pids = [trial.user_attrs[trials.PROCESS][1] for trial in study.trials]
    assert set(pids) == {process.pid for process in processes}
    assert len(pids) in (N_SHARED, N_SHARED + 1)
    assert [trial.number for trial in study.trials] == list(range(len(pids)))
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    best = studies.best(study)
    assert best is not None
    kept = [path.name for path in (folder / tuning.ENTRIES).iterdir()]
    assert kept == [best.user_attrs[trials.ENTRY]]
    assert entries.verify(folder / tuning.ENTRIES / kept[0]).difference == 0.0


@pytest.mark.slow
def test_two_processes_share_a_study_in_sqlite(easy: PreparedDataset, tmp_path: Path) -> None:
    assert_shared(easy, tmp_path / "s")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of our own on loopback, and yield its URL."""
    servers = sorted(SERVER.glob("*/bin/initdb"))
    if not servers:
        pytest.skip(f"no PostgreSQL server in {SERVER}")
    pytest.importorskip("psycopg", reason="pip install 'mgr-cli[postgres]'")
    folder = Path(tempfile.mkdtemp(prefix="mgr-postgres-"))  # a short path, as sockets need
    user = None
    if os.geteuid() == 0:  # whom it refuses to serve
        user = "postgres"
        try:
            shutil.chown(folder, user, user)
        except LookupError:
            pytest.skip("we are root, and there is no user postgres to run it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, control = folder / "data", servers[-1].with_name("pg_ctl")

    def run(*command: object) -> None:
        subprocess.run(
            [str(word) for word in command], cwd=folder, check=True, stdout=subprocess.DEVNULL,
            user=user, group=user, extra_groups=[] if user else None,
        )  # fmt: skip

    options = f"-h 127.0.0.1 -p {port} -k {folder} -F"  # -F: nobody pulls the plug
    run(servers[-1], "-D", data, "-U", "mgr", "--auth=trust", "-E", "UTF8", "--no-sync")
    run(control, "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield f"postgresql://mgr@127.0.0.1:{port}/postgres"
    finally:
        run(control, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.mark.slow
def test_two_processes_share_a_study_in_postgresql(
    easy: PreparedDataset, tmp_path: Path, postgres: str
) -> None:
    assert_shared(easy, tmp_path / "s", postgres)
    assert not (tmp_path / "s" / databases.DATABASE).exists()
    with pytest.raises(StudyError, match="no database of studies answers") as raised:
        studies.load_study(tmp_path / "s", storage=f"{postgres}-missing")
    assert "\n" not in str(raised.value)


def test_dataset_that_was_split_anew_is_another_study(
    easy: PreparedDataset, tmp_path: Path
) -> None:
    made = bench(easy, tmp_path / "s", search())
    tuning.tune(made, n_trials=1)
    other = tiny.dataset(tmp_path / "other", seed=1)
    tracks = other.tracks.copy()
    tracks["split"] = tracks["split"].sample(frac=1, random_state=0).to_numpy()
    moved = replace(other, tracks=tracks)
    assert moved.split_digest != prepared.load(easy.root).split_digest
    with pytest.raises(StudyError, match="searches something else"):
        tuning.tune(replace(made, dataset=moved), n_trials=1)
