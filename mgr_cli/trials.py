"""Trials of a study: what we note of them, and what becomes of those whose process died.

Whoever works on a study says every minute that it is alive, and notes on its trial which process of
which machine it is. The trials of one that died are marked as failed, and queued again with the
same values and with what they had found so far, unless they have killed several processes. On the
machine of the dead this is seen at once, elsewhere by its silence.
"""

import os
import socket

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from mgr_cli import databases

RETRIES = 3  # of a trial whose process died each time

ENTRY = "entry"  # attributes of a trial: its entry of the zoo, where it was the best so far,
PROBLEM = "problem"  # why it failed,
CHOSEN = "chosen"  # all values under our names, constants too,
PROCESS = "process"  # who is at work on it,
POINT = "point"  # its place in the grid,
AGAIN = "again"  # the number of the trial that it repeats,
DEATHS = "deaths"  # and how many processes have died of it


def revive(study: optuna.Study) -> None:
    """Queue the trials again whose process is gone: on this machine, or silent for long."""
    with databases.quiet():
        for trial in find_dead(study):
            give_again(study, trial)
        fail_stale_trials(study)


def find_dead(study: optuna.Study) -> list[FrozenTrial]:
    """List the running trials of processes of this machine that are gone."""
    host = socket.gethostname()
    return [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if (told := trial.user_attrs.get(PROCESS)) and told[0] == host and not _is_alive(told[1])
    ]


def give_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Mark a running trial whose process is gone, and queue it with what it had found so far."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):
        return  # another process was first
    if PROBLEM not in trial.user_attrs:
        queue_dead(study, trial)


def queue_dead(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial again whose process died, unless it has too often."""
    deaths = trial.user_attrs.get(DEATHS, 0) + 1
    if deaths <= RETRIES:
        queue_again(study, trial, deaths=deaths)


def queue_again(study: optuna.Study, trial: FrozenTrial, *, deaths: int | None = None) -> None:
    """Queue a trial that has failed for no fault of its own, with what it had found so far."""
    kept = {key: trial.user_attrs[key] for key in (POINT, DEATHS) if key in trial.user_attrs}
    said = {DEATHS: deaths} if deaths else {}
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**kept, **said, AGAIN: first_number(trial)},
            system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )
    )


def first_number(trial: FrozenTrial) -> int:
    """Return the number that a trial had when it was drawn."""
    return int(trial.user_attrs.get(AGAIN, trial.number))


def process() -> tuple[str, int]:
    """Name this process, for others to know whether it is alive."""
    return socket.gethostname(), os.getpid()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
