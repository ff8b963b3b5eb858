"""What becomes of trials whose process died."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import optuna
from optuna.trial import TrialState

from mgr_cli import studies, trials
from tests.test_studies import ABOUT, RATE, search, variable


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def begun(study: optuna.Study, host: str, pid: int) -> int:
    """Leave a trial behind as a process does that dies in its second epoch."""
    trial = study.ask()
    trial.set_user_attr(trials.PROCESS, (host, pid))
    studies.suggest(trial, [variable("learning_rate", RATE)])
    trial.report(0.25, 1)
    return trial.number


def test_trial_of_a_dead_process_is_queued_again(tmp_path: Path) -> None:
    study = studies.open_study(tmp_path / "study", search(), ABOUT)
    here = socket.gethostname()
    dead = begun(study, here, dead_pid())
    living = begun(study, here, os.getpid())
    elsewhere = begun(study, f"not-{here}", dead_pid())
    assert [trial.number for trial in trials.find_dead(study)] == [dead]
    trials.revive(study)
    listed = study.get_trials()
    assert [listed[n].state.name for n in (dead, living, elsewhere)] == [
        "FAIL", "RUNNING", "RUNNING",
    ]  # fmt: skip
    (again,) = listed[3:]
    assert (again.state, again.params) == (TrialState.WAITING, listed[dead].params)
    assert again.intermediate_values == {1: 0.25}
    assert trials.first_number(again) == dead
    assert studies.n_settled(study) == 0
    assert study.ask().number == again.number
    trials.give_again(study, listed[dead])  # another process that saw it dead, too late
    assert len(study.get_trials()) == 4


def test_trial_that_kills_its_process_is_given_up(tmp_path: Path) -> None:
    study = studies.open_study(tmp_path / "study", search(), ABOUT)
    pid = dead_pid()
    for n_deaths in range(1, trials.RETRIES + 2):
        trial = study.ask()
        trial.set_user_attr(trials.PROCESS, (socket.gethostname(), pid))
        trials.revive(study)
        assert len(study.get_trials()) == min(n_deaths, trials.RETRIES) + 1
    assert studies.n_waiting(study) == 0
