"""A study as one page: Optuna's pictures, which can be pointed at, and its trials as a table.

The page holds all of it, plotly.js too, and asks nothing of the net.
"""

import html
import warnings
from collections.abc import Sequence

import optuna
import plotly.io
from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

PICTURES = (
    visualization.plot_optimization_history,
    visualization.plot_intermediate_values,
    visualization.plot_parallel_coordinate,
    visualization.plot_param_importances,
    visualization.plot_timeline,
)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd }}
th:first-child, td:first-child {{ text-align: left }}
</style></head><body>
<h1>{title}</h1>
{pictures}
<h2>Trials</h2>
<div style="overflow-x: auto">{table}</div>
</body></html>
"""


def page(
    study: optuna.Study, *, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
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
    str
        HTML.
    """
    pictures: list[str] = []
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
            pictures.append(
                plotly.io.to_html(
                    figure, full_html=False, include_plotlyjs=not pictures,
                    config={"displaylogo": False},
                )
            )  # fmt: skip
    return _PAGE.format(
        title=html.escape(title), pictures="\n".join(pictures), table=_table(header, rows)
    )


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
                str(trial.user_attrs.get("problem", "")),
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


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = ["".join(f"<th>{html.escape(name)}</th>" for name in header)]
    cells += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
