"""What can go wrong through no fault of the code.

Every error that a user can cause is a child of `MgrError` and carries one line that
says what was found, what was expected, and what to do next. A caller's mistake (a wrong
shape, an impossible argument) is a plain `ValueError`.
"""


class MgrError(Exception):
    """Base of every error that a user can cause; its text is one line."""


class AudioError(MgrError):
    """An audio file cannot be used: missing, empty, truncated, silent, not audio."""


class DatasetError(MgrError):
    """A dataset, raw or prepared, cannot be used."""


class LeakError(DatasetError):
    """Tracks are no test of an entry, which has seen them."""


class ArchitectureError(MgrError):
    """An architecture is unknown, or its hyper-parameters do not fit it."""


class ZooError(MgrError):
    """A zoo entry is missing, damaged, or not what its card says."""


class TrainingError(MgrError):
    """A training run cannot start or cannot go on."""


class DivergenceError(TrainingError):
    """A training run computes what is not finite."""


class EngineError(MgrError):
    """A cluster cannot be reached, or what talks to it is not installed."""


class SweepError(MgrError):
    """A sweep file cannot be followed, or an architecture has no such search space."""


class StudyError(MgrError):
    """A study cannot be opened, or is another one than is asked for."""
