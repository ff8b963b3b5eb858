"""The options of a front end: every parameter, and presets that have them all."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from mgr_cli.commands import console
from mgr_cli.config import FEATURES, FeatureSpec, Scale
from mgr_cli.errors import DatasetError
from mgr_cli.plans import PRESETS, Preset

PANEL = "Front end"


def complete_preset(incomplete: str) -> list[tuple[str, str]]:
    """Offer the presets that begin like this."""
    return [(name, row.summary) for name, row in PRESETS.items() if name.startswith(incomplete)]


def _option(flag: str, text: str) -> Any:
    return typer.Option(flag, help=text, rich_help_panel=PANEL, show_default=False)


PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset", autocompletion=complete_preset, metavar="NAME", rich_help_panel=PANEL,
        help=f"One of {', '.join(PRESETS)}; what stands below changes it.",
    ),
]  # fmt: skip
SampleRateOption = Annotated[int | None, _option("--sample-rate", "Hz.")]
NFftOption = Annotated[int | None, _option("--n-fft", "Window and transform, in samples.")]
HopLengthOption = Annotated[int | None, _option("--hop-length", "Frame to frame, in samples.")]
NMelsOption = Annotated[int | None, _option("--n-mels", "Mel bands.")]
FminOption = Annotated[float | None, _option("--fmin", "Lowest frequency, Hz.")]
FmaxOption = Annotated[float | None, _option("--fmax", "Highest frequency, Hz.")]
TopDbOption = Annotated[float | None, _option("--top-db", "Dynamic range, dB.")]
ScaleOption = Annotated[
    Scale | None, _option("--scale", "dB below the loudest, or the track's own range in 0 to 1.")
]
DecimationOption = Annotated[float | None, _option("--decimation", "Keep one frame in so many.")]
MinSecondsOption = Annotated[float | None, _option("--min-seconds", "Shorter tracks are not used.")]
MaxSecondsOption = Annotated[
    float | None, _option("--max-seconds", "What follows in longer ones is not read.")
]


def preset(name: str | None) -> Preset | None:
    """Return the preset of that name.

    Raises
    ------
    DatasetError
        If there is none.
    """
    if name is not None and name not in PRESETS:
        raise DatasetError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name] if name else None


def spec(chosen: Preset | None, changes: dict[str, Any]) -> FeatureSpec | None:
    """Return a preset's front end, or the project's own, with changes; None without either."""
    wanted = {key: value for key, value in changes.items() if value is not None}
    if chosen is None and not wanted:
        return None
    try:
        return replace(chosen.spec if chosen else FEATURES, **wanted)
    except ValueError as error:
        console.fail(str(error))
