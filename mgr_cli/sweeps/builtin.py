"""Search spaces that ship: those of the seeds, for whom nobody writes a file.

Seed 000 searches its hybrids by Bayes' rule over one file. Seed 002 searches its net, after
Kostrzewa et al., by Hyperband, and its rivals over the grids of `models.grids`.
"""

from collections.abc import Mapping

from mgr_cli.errors import SweepError
from mgr_cli.hyperband import EarlyTerminate
from mgr_cli.models import registry
from mgr_cli.models.grids import GRIDS
from mgr_cli.sweeps.distributions import Choice, Distribution, Interval, Value
from mgr_cli.sweeps.sweep import Method, Metric, Parameter, Sweep

HYBRIDS = ("cnn1d", "cnn1d-gru", "cnn1d-lstm", "cnn2d", "cnn2d-gru", "cnn2d-lstm")
SEED_000: Mapping[str, tuple[Value, ...]] = {
    "epochs": (30,),
    "batch_size": (16, 32, 64, 128),
    "learning_rate": (1e-4, 3e-4, 5e-4, 7e-4, 1e-3),
    "hidden_dim": (64, 128, 256),
    "dropout": (0.2, 0.3, 0.4, 0.5),
    "num_layers": (1, 2),
}
_RECURRENT = ("hidden_dim", "num_layers")  # not of its plain CNNs

_KERNELS = Interval(32, 256, step=1)
SEED_002: Mapping[str, Distribution] = {
    **{f"kernels_{place}": _KERNELS for place in range(1, 5)},
    "kernel_size": Interval(3, 6, step=1),
    "dropout": Choice((0.2, 0.25, 0.5)),
    "learning_rate": Choice((1e-2, 1e-3, 1e-4)),
}


def space_of(architecture: str) -> Sweep:
    """Return the search space of an architecture.

    Raises
    ------
    ArchitectureError
        If there is no such architecture.
    SweepError
        If it has none; the message says which have one.
    """
    registry.check(architecture)
    if architecture in HYBRIDS:
        has_rnn = architecture not in ("cnn1d", "cnn2d")
        drawn = {k: Choice(v) for k, v in SEED_000.items() if has_rnn or k not in _RECURRENT}
        return _sweep(architecture, "bayes", drawn)
    if architecture == "kostrzewa":
        return _sweep(architecture, "random", SEED_002, EarlyTerminate(min_iter=1))
    rival = architecture
    if architecture in registry.BORROWED:
        rival = registry.BORROWED[architecture].classifier
    if rival in GRIDS:
        constant = {name: (value,) for name, value in GRIDS[rival].fixed.items()}
        tried = {**constant, **GRIDS[rival].tried}
        return _sweep(architecture, "grid", {name: Choice(v) for name, v in tried.items()})
    having = ", ".join((*HYBRIDS, "kostrzewa", *GRIDS, *registry.BORROWED))
    raise SweepError(
        f"{architecture} has no search space of its own; name a sweep file, or one of {having}"
    )


def _sweep(
    architecture: str,
    method: Method,
    drawn: Mapping[str, Distribution],
    early_terminate: EarlyTerminate | None = None,
) -> Sweep:
    return Sweep(
        source=f"{architecture}'s own search space",
        method=method,
        metric=Metric(),
        parameters=tuple(Parameter(name, over) for name, over in drawn.items()),
        early_terminate=early_terminate,
    )
