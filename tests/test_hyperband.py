"""Brackets and rungs, worked by hand, and against Optuna's own pruner."""

from collections import Counter

import numpy as np
import optuna
import pytest
from optuna.pruners import HyperbandPruner
from optuna.trial import TrialState

from mgr_cli.hyperband import (
    Bracket,
    EarlyTerminate,
    Resources,
    Rung,
    bracket_of,
    brackets,
    from_early_terminate,
    optuna_brackets,
    resources_of,
    weights,
)

NAME = "a study"


def table(rows: tuple[Bracket, ...]) -> dict[int, list[tuple[int, float]]]:
    return {row.s: [(rung.n, rung.epochs) for rung in row.rungs] for row in rows}


def pruned(resources: Resources, values: list[float]) -> optuna.Study:
    """Run a study whose trial k is worth `values[k]` at each epoch, counted from 1."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = HyperbandPruner(
        resources.min_resource, resources.max_resource, resources.reduction_factor
    )
    study = optuna.create_study(study_name=NAME, direction="maximize", pruner=pruner)

    def objective(trial: optuna.Trial) -> float:
        for epoch in range(1, resources.max_resource + 1):
            trial.report(values[trial.number], epoch)
            if epoch < resources.max_resource and trial.should_prune():
                raise optuna.TrialPruned
        return values[trial.number]

    study.optimize(objective, n_trials=len(values))
    return study


def initialised(resources: Resources) -> tuple[HyperbandPruner, optuna.Study]:
    pruner = HyperbandPruner(
        resources.min_resource, resources.max_resource, resources.reduction_factor
    )
    study = optuna.create_study(study_name=NAME, pruner=pruner)
    pruner._try_initialization(study)
    return pruner, study


def test_brackets_of_81_epochs_are_those_of_the_paper() -> None:
    assert table(brackets(81, 3)) == {  # its table 1: n_i and r_i
        4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        3: [(34, 3), (11, 9), (3, 27), (1, 81)],
        2: [(15, 9), (5, 27), (1, 81)],
        1: [(8, 27), (2, 81)],
        0: [(5, 81)],
    }


def test_brackets_of_30_epochs_start_at_fractions_of_one() -> None:
    first, third = pytest.approx(30 / 27), pytest.approx(30 / 9)  # R η^-3, R η^-2
    assert table(brackets(30, 3)) == {
        3: [(27, first), (9, third), (3, 10), (1, 30)],
        2: [(12, third), (4, 10), (1, 30)],
        1: [(6, 10), (2, 30)],
        0: [(4, 30)],
    }


def test_epochs_that_a_bracket_costs() -> None:
    longest = brackets(81, 3)[0]
    assert (longest.n, longest.r) == (81, 1)
    # Where each rung trains anew, the paper's budget B comes out: (s_max + 1) R.
    assert sum(rung.n * rung.epochs for rung in longest.rungs) == 5 * 81
    assert longest.epochs == 81 * 1 + 27 * 2 + 9 * 6 + 3 * 18 + 1 * 54


def test_powers_are_exact_where_logarithms_are_not() -> None:
    assert [bracket.s for bracket in brackets(243, 3)] == [5, 4, 3, 2, 1, 0]
    assert len(weights(Resources(1, 243))) == 5  # Optuna's own, see below


def test_one_epoch_is_one_bracket_of_one_trial() -> None:
    assert brackets(1) == (Bracket(0, (Rung(1, 1.0),)),)


@pytest.mark.parametrize(("epochs", "eta"), [(0, 3), (9, 1.5)])
def test_what_cannot_be_halved_is_refused(epochs: int, eta: float) -> None:
    with pytest.raises(ValueError, match="expected at least 1 and 2"):
        brackets(epochs, eta)


@pytest.mark.parametrize("values", [(0, 9, 3), (10, 9, 3), (1, 9, 1)])
def test_resources_out_of_range_are_refused(values: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected 1 ≤ min_resource"):
        Resources(*values)


@pytest.mark.parametrize(
    "resources",
    [
        Resources(1, 81), Resources(1, 30), Resources(3, 30), Resources(1, 243), Resources(1, 1),
        Resources(2, 64, 2), Resources(5, 60, 4),
    ],
)  # fmt: skip
def test_trials_are_dealt_out_as_optuna_deals_them(resources: Resources) -> None:
    pruner, study = initialised(resources)
    assert weights(resources) == tuple(pruner._trial_allocation_budgets)
    rows = optuna_brackets(resources, 200, NAME)
    trials = [optuna.trial.create_trial(state=TrialState.COMPLETE, value=0.0) for _ in range(200)]
    places = []
    for number, trial in enumerate(trials):
        trial.number = number
        places.append(pruner._get_bracket_id(study, trial))
    assert places == [bracket_of(weights(resources), NAME, number) for number in range(200)]
    counts = Counter(places)
    assert [row.n for row in rows] == [counts[place] for place in range(len(rows))]


def test_proportions_are_those_of_the_paper() -> None:
    assert weights(Resources(1, 81)) == tuple(bracket.n for bracket in brackets(81))


def test_rungs_are_where_optuna_stops_a_trial_worse_than_all() -> None:
    resources = Resources(1, 30)
    rows = optuna_brackets(resources, 80, NAME)
    assert [[rung.epochs for rung in row.rungs] for row in rows] == [
        [1, 3, 9, 27, 30], [3, 9, 27, 30], [9, 27, 30], [27, 30],
    ]  # fmt: skip
    powers = optuna_brackets(Resources(1, 9), 80, NAME)  # nothing is stopped at its end
    assert [[rung.epochs for rung in row.rungs] for row in powers] == [[1, 3, 9], [3, 9], [9]]
    study = pruned(resources, [-float(number) for number in range(80)])
    shares = weights(resources)
    first: set[int] = set()
    for trial in study.trials:
        place = bracket_of(shares, NAME, trial.number)
        assert trial.last_step == (rows[place].r if place in first else 30)
        first.add(place)  # which nobody was there to stop


def test_epochs_are_those_that_optuna_takes_where_order_says_nothing() -> None:
    resources, n_trials = Resources(1, 27), 60
    taken = []
    for seed in range(40):
        values = np.random.default_rng(seed).permutation(n_trials).astype(float)
        trials = pruned(resources, list(values)).trials
        taken.append(sum(trial.last_step or 0 for trial in trials))
    expected = sum(row.epochs for row in optuna_brackets(resources, n_trials, NAME))
    # The mean of 40 studies is known to 2 %, and that of ours, of 100, to 1 %.
    assert expected == pytest.approx(np.mean(taken), rel=0.05)


def test_more_pass_than_one_in_eta() -> None:
    (row,) = optuna_brackets(Resources(5, 9), 9, NAME)  # the first rung that anyone sees
    # 1 + 1/2 + 1/3 + 1/4 + 1/5 + 2/6 + 2/7 + 2/8 + 3/9 = 3.5 of 9, known to 0.1
    assert row.rungs in ((Rung(9, 5), Rung(3, 9)), (Rung(9, 5), Rung(4, 9)))


@pytest.mark.parametrize(
    ("early", "rungs"),
    [
        (EarlyTerminate(min_iter=3), (3, 9, 27, 81)),  # both are examples of W&B's
        (EarlyTerminate(max_iter=27, s=2), (3, 9)),
        (EarlyTerminate(max_iter=30, s=2), (3, 10)),
        (EarlyTerminate(max_iter=27, s=9), (1, 3, 9)),
        (EarlyTerminate(eta=1.5, min_iter=10), (10, 15, 22, 33, 50, 75)),
        (EarlyTerminate(min_iter=100), ()),
        (EarlyTerminate(eta=1e9, min_iter=1), (1,)),
    ],
)
def test_rungs_are_those_that_wandb_documents(
    early: EarlyTerminate, rungs: tuple[int, ...]
) -> None:
    assert from_early_terminate(early, 100) == rungs


def test_last_epoch_is_no_rung() -> None:
    assert from_early_terminate(EarlyTerminate(min_iter=1), 27) == (1, 3, 9)


def test_early_terminate_without_a_start_is_refused() -> None:
    with pytest.raises(ValueError, match="neither min_iter"):
        from_early_terminate(EarlyTerminate(max_iter=27), 27)


@pytest.mark.parametrize(
    ("early", "resources"),
    [
        (EarlyTerminate(min_iter=3), Resources(3, 60, 3)),
        (EarlyTerminate(max_iter=27, s=2), Resources(3, 27, 3)),
        (EarlyTerminate(eta=1.2, min_iter=4), Resources(4, 60, 2)),
        (EarlyTerminate(min_iter=100), Resources(60, 60, 3)),  # never stops a trial
        (EarlyTerminate(max_iter=600, s=1), Resources(60, 60, 3)),
    ],
)
def test_optuna_is_given_what_wandb_means(early: EarlyTerminate, resources: Resources) -> None:
    assert resources_of(early, 60) == resources
