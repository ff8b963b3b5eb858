"""The page of a study: whole, and as harmless as its names are not."""

import base64
import hashlib
import re

import optuna
import plotly.graph_objects as go
import pytest
from optuna.trial import TrialState, create_trial

from mgr_cli.reports import page as pages
from mgr_cli.reports import plots
from mgr_cli.reports import study as report
from mgr_cli.sweeps.sweep import Goal

EVIL = "</script><script>alert(1)</script>"
OUTSIDE = re.compile(
    r"<[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//|@import|url\(\s*[\"']?(?:https?:)?//", re.I
)


def made(
    values: list[float | None], name: str = "rate", direction: Goal = "maximize"
) -> optuna.Study:
    """Make a study; a trial without a value was stopped after an epoch at which it had 0.25."""
    study = optuna.create_study(direction=direction)
    for number, value in enumerate(values):
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
                value=value,
                params={name: 0.1 / (number + 1), "kind": EVIL},
                distributions={
                    name: optuna.distributions.FloatDistribution(0, 1),
                    "kind": optuna.distributions.CategoricalDistribution([EVIL, "b"]),
                },
                intermediate_values={1: 0.25} if value is None else {1: 0.25, 2: value},
            )
        )
    return study


def drawn(study: optuna.Study) -> str:
    header, rows = report.trials(study)
    return report.page(study, title=f"of {EVIL}", header=header, rows=rows)


def markup(page: str) -> str:
    """Return a page without what stands in its scripts."""
    return re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.S)


@pytest.fixture(scope="module")
def page() -> str:
    return drawn(made([0.5, None, 0.9, 0.7], name=f"<b>{EVIL}"))


def test_page_asks_nothing_of_the_net(page: str) -> None:
    assert "Plotly.newPlot" in page
    assert page.count("plotly.js v") == 1  # the library itself, once
    assert len(page) > 3_000_000
    assert not OUTSIDE.search(markup(page))
    assert "cdn.plot.ly/plotly" not in page


def test_page_has_each_picture(page: str) -> None:
    places = re.findall('<div class="plot" id="([a-z-]+)"></div>', page)
    assert len(set(places)) == len(report.PICTURES)
    assert re.findall(r'Plotly\.newPlot\("([a-z-]+)"', page) == places


def test_only_the_page_s_own_scripts_may_run(page: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    digests = [
        base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts
    ]
    assert len(scripts) == 1 + len(report.PICTURES)
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"


def test_no_button_sends_data_away(page: str) -> None:
    for script in re.findall(r"<script>(Plotly\.newPlot.*?)</script>", page, flags=re.S):
        assert '"showSendToCloud": false' in script


def test_the_same_study_gives_the_same_bytes() -> None:
    study = made([0.5, None, 0.9])
    assert drawn(study) == drawn(study)


def test_a_script_that_would_end_itself_is_refused() -> None:
    for script in ("</SCRIPT>", "x = '<!--'"):
        with pytest.raises(ValueError, match="would end it"):
            pages.document("x", scripts=[script])


@pytest.mark.parametrize("name", ['x"); alert(1); ("', "A", ""])
def test_a_name_of_a_place_is_plain(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a place"):
        plots.scripts({name: go.Figure()})


def test_no_figure_needs_no_library() -> None:
    assert plots.scripts({}) == []


def test_names_are_no_markup(page: str) -> None:
    assert EVIL not in page
    assert "alert(1)" not in markup(page).replace("&lt;script&gt;alert(1)&lt;/script&gt;", "")
    assert f"<h1>of {EVIL.replace('<', '&lt;').replace('>', '&gt;')}</h1>" in page


def test_one_trial_suffices() -> None:
    page = drawn(made([0.5]))
    assert "Plotly.newPlot" in page
    assert page.count("<tr>") == 2


@pytest.mark.parametrize(
    ("direction", "order"), [("maximize", ["2", "3", "0", "1"]), ("minimize", ["0", "3", "2", "1"])]
)
def test_table_has_the_best_first_and_the_stopped_last(direction: Goal, order: list[str]) -> None:
    header, rows = report.trials(made([0.5, None, 0.9, 0.7], direction=direction))
    assert header == ["trial", "state", "value", "epochs", "seconds", "rate", "kind", "problem"]
    assert [row[0] for row in rows] == order
    by_number = {row[0]: row for row in rows}
    assert by_number["1"][1:4] == ["pruned", "0.2500", "1"]
    assert by_number["2"][1:4] == ["complete", "0.9000", "2"]
    assert by_number["2"][5] == "0.03333"


def test_table_says_why_a_trial_failed() -> None:
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr("problem", "the loss is nan")
    study.tell(trial, state=TrialState.FAIL)
    _, rows = report.trials(study)
    assert rows[0][:4] == ["0", "fail", "", ""]
    assert rows[0][-1] == "the loss is nan"
