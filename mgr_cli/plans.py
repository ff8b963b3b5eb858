"""What is computed of every track: which features, through which front end, of how much of it.

A dataset is prepared by one `Plan`. The front ends of the published systems that this project
reproduces, and of the pictures that GTZAN and FMA are shared as, have a name in `PRESETS`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from mgr_cli.config import FEATURES, MAX_SECONDS, MIN_SECONDS, FeatureSpec

Kind = Literal["log-mel", "waveform", "handcrafted", "table"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUDIO_KINDS: tuple[Kind, ...] = ("log-mel", "waveform", "handcrafted")
"""What can be computed of audio; a ``table`` of feature columns is somebody else's work."""
VECTORS: tuple[Kind, ...] = ("handcrafted", "table")
"""What is one row a track."""

Form = Literal["corrected", "fma-compat"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class Plan:
    """What is computed of every track.

    Attributes
    ----------
    kinds : tuple of {"log-mel", "waveform", "handcrafted", "table"}
        Each at most once; ``waveform`` is mono at the front end's rate.
    spec : FeatureSpec
        The front end of log-mels and waveforms.
    form : {"corrected", "fma-compat"}
        Of the hand-crafted features, see `features.handcrafted`.
    min_seconds : float
        A shorter track is not used.
    max_seconds : float, optional
        What follows in a longer one is not read.
    """

    kinds: tuple[Kind, ...] = ("log-mel",)
    spec: FeatureSpec = FEATURES
    form: Form = "corrected"
    min_seconds: float = MIN_SECONDS
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"features are {self.kinds}, expected one kind at least, each once")
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"unknown features {kind!r}; known: {', '.join(KINDS)}")
        if self.form not in FORMS:
            raise ValueError(f"form is {self.form!r}, expected one of {FORMS}")
        longest = MAX_SECONDS if self.max_seconds is None else self.max_seconds
        if not 0 <= self.min_seconds <= longest <= MAX_SECONDS or not longest > 0:
            raise ValueError(
                f"tracks of {self.min_seconds} to {longest} s are asked for, "
                f"expected a range within 0 to {MAX_SECONDS:.0f}"
            )

    def of(self, kind: Kind) -> dict[str, Any]:
        """Return all that determines what one kind of features is, for a digest or a table."""
        length = {"min_seconds": self.min_seconds, "max_seconds": self.max_seconds}
        match kind:
            case "log-mel":
                return asdict(self.spec) | length
            case "waveform":
                return {"sample_rate": self.spec.sample_rate} | length
            case "handcrafted":
                return {"form": self.form} | length
            case "table":
                return {}


@dataclass(frozen=True)
class Preset:
    """A front end by name, the lengths of track that go with it, and whose it is."""

    spec: FeatureSpec
    summary: str
    min_seconds: float = MIN_SECONDS
    max_seconds: float | None = None


_LIBROSA = FeatureSpec()  # 22,050 Hz, 2,048, 512, 128 bands, 80 dB: librosa's own defaults

PRESETS: Mapping[str, Preset] = {
    "gtzan-pictures": Preset(FEATURES, "387.5 columns of 30 s, as GTZAN's pictures have them"),
    "fma-pictures": Preset(
        FeatureSpec(sample_rate=44_100, scale="minmax", decimation=2584 / 128),
        "128 columns of 30 s at 44,100 Hz, as FMA's pictures have them",
    ),
    "seed-000": Preset(_LIBROSA, "log-mel in dB, 43 frames a second: the CNN + RNN hybrids"),
    "seed-001": Preset(_LIBROSA, "the same, cut into segments of 3 s in training"),
    "seed-002": Preset(
        FeatureSpec(scale="minmax"),
        "grey levels of the first 29.70 s: 128 × 1,280, Kostrzewa's CNN",
        min_seconds=29.7,
        max_seconds=29.7,
    ),
    "seed-003": Preset(
        FeatureSpec(sample_rate=44_100, n_fft=4_096, hop_length=1_024),
        "STFT 4,096 / 1,024 at 44,100 Hz; tracks of 2^19 samples at least: CRNN, MM-CRNN",
        min_seconds=2**19 / 44_100,
    ),
    "seed-004": Preset(_LIBROSA, "log-mel in dB, 128 × 1,292 for 30 s: the deep CNN, ViT"),
}
"""The front ends that have a name. What a seed's document does not say is librosa's default."""
