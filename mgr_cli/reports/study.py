"""A study as one page: Optuna's pictures, which can be pointed at, and its trials as a table.

The page holds all of it, plotly.js too, asks nothing of the net, and runs nothing else.
"""

import warnings
from collections.abc import Sequence

import optuna
import plotly.graph_objects as go
from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from mgr_cli.reports import plots
from mgr_cli.reports.page import Html, document, place, section, table
from mgr_cli.trials import PROBLEM

PICTURES = (
    visualization.plot_optimization_history,
    visualization.plot_intermediate_values,
    visualization.plot_parallel_coordinate,
    visualization.plot_param_importances,
    visualization.plot_timeline,
)
_FIGURES = ("trial", "value", "epochs", "seconds")  # columns that stand at the right


def page(
    study: optuna.Study, *, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> Html:
    """Draw a study.

    Parameters
    ----------
    study : Study
        With a trial that ran to its end, at least.
    title : str
        Of the page.
    header, rows : sequences of str
        Of the table of trials.

    Returns
    -------
    Html
        The whole page, for `page.save`.
    """
    figures = _figures(study)
    trials = section("Trials", table(header, rows, figures=_FIGURES))
    return document(title, *map(place, figures), trials, scripts=plots.scripts(figures))


def _figures(study: optuna.Study) -> dict[str, go.Figure]:
    """Draw what there is to draw, each by its name."""
    figures = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)  # of few trials: importances are alike
        for draw in PICTURES:
            if draw is visualization.plot_intermediate_values and not _has_epochs(study):
                continue
            try:
                figure = draw(study)
            except (ValueError, RuntimeError):  # of one trial, or one parameter: nothing to draw
                continue
            figures[draw.__name__.removeprefix("plot_").replace("_", "-")] = figure
    return figures


def trials(study: optuna.Study) -> tuple[list[str], list[list[str]]]:
    """Make the table of a study's trials, the best first, then the others by number.

    Returns
    -------
    list of str
        The header.
    list of list of str
        A row a trial.
    """
    found = study.get_trials(deepcopy=False)
    names = list(dict.fromkeys(name for trial in found for name in trial.params))
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    done = [trial for trial in found if trial.state == TrialState.COMPLETE]
    done.sort(key=lambda trial: sign * (trial.value or 0.0))
    rest = [trial for trial in found if trial.state != TrialState.COMPLETE]
    rows = []
    for trial in (*done, *rest):
        last = trial.value if trial.value is not None else _last(trial)
        rows.append(
            [
                str(trial.number), trial.state.name.lower(), "" if last is None else f"{last:.4f}",
                str(len(trial.intermediate_values) or ""),
                f"{trial.duration.total_seconds():.0f}" if trial.duration else "",
                *(_shown(trial.params.get(name, "")) for name in names),
                str(trial.user_attrs.get(PROBLEM, "")),
            ]
        )  # fmt: skip
    return ["trial", "state", "value", "epochs", "seconds", *names, "problem"], rows


def _has_epochs(study: optuna.Study) -> bool:
    return any(trial.intermediate_values for trial in study.get_trials(deepcopy=False))


def _last(trial: optuna.trial.FrozenTrial) -> float | None:
    steps = trial.intermediate_values
    return steps[max(steps)] if steps else None


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
