"""Plotly's figures on a page: what can be pointed at, turned and zoomed.

The library is put on the page once and weighs almost 5 MB, so that the page asks nothing of the
net. It would fetch maps of the world and their letters, which none of ours shows, and the page's
Content-Security-Policy would not let it.
"""

import json
import re
from collections.abc import Mapping

import plotly.graph_objects as go
import plotly.io
import plotly.offline

# The toolbar has a button that sends the data to plotly's own server, unless it is told not to.
CONFIG = {
    "displaylogo": False, "responsive": True, "showSendToCloud": False, "plotlyServerURL": "",
}  # fmt: skip
"""Of every figure that a browser draws."""
_OPTIONS = json.dumps({"config": CONFIG})


def scripts(figures: Mapping[str, go.Figure]) -> list[str]:
    """Return what draws figures, for `page.document`: the library, then a script for each.

    Parameters
    ----------
    figures : mapping of str to Figure
        By the names of their places (`page.place`).

    Returns
    -------
    list of str
        JavaScript; nothing where there is no figure.

    Raises
    ------
    ValueError
        If a name is not of letters, digits and dashes alone.
    """
    for name in figures:
        if not re.fullmatch("[a-z0-9-]+", name):
            raise ValueError(f"{name!r} is no name of a place: a-z, 0-9 and - are")
    # Plotly writes < and / as \u003c and \u002f, so that no name ends the script that it is in.
    drawn = [
        f'Plotly.newPlot("{name}", Object.assign({plotly.io.to_json(figure)}, {_OPTIONS}));'
        for name, figure in figures.items()
    ]
    return [plotly.offline.get_plotlyjs(), *drawn] if drawn else []
