"""Every default of the project, written once.

Three frozen dataclasses travel with a trained entry and say how its input is made
(`FeatureSpec`), how a track is cut (`SegmentSpec`) and how it was trained (`Recipe`).
They check their own values, because a card may come from a stranger: a value that
would make the program allocate without bound is refused here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from typing import Any, ClassVar, Literal, get_args

VoteRule = Literal["mean", "majority", "product"]
VOTE_RULES: tuple[VoteRule, ...] = get_args(VoteRule)
VOTE: VoteRule = "mean"

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Scale = Literal["decibel", "minmax"]
Monitor = Literal["valid_loss", "valid_accuracy", "none"]
Normalise = Literal["band", "whole"]
Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["constant", "cosine", "onecycle", "plateau", "step"]
Balance = Literal["none", "weights", "sampling"]

Measure = Literal["impurity", "permutation"]
Method = Literal["integrated-gradients", "grad-cam", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
Projection = Literal["pca", "lda", "tsne"]
Mapped = Literal["embeddings", "features"]
View = Literal["waveform", "spectrogram", "mel"]
VIEWS: tuple[View, ...] = get_args(View)

Engine = Literal["local", "dask", "ray", "spark"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]
LoggerName = Literal["tensorboard", "wandb", "mlflow"]
TagMode = Literal["fill", "replace", "append"]

SEED = 0
SPLIT_RATIOS = (0.8, 0.1, 0.1)  # train, valid, test, where a dataset has no split of its own
N_BOOTSTRAP = 1_000  # resamplings of the tracks behind a 95 % interval
PRECISION = 0.8  # share of right answers that is wanted of those that are believed
FEWEST_CALIBRATED = 20  # validation tracks; of fewer a card learns no temperature and no trust
TOPS = (2, 3)  # among how many of the most probable genres the truth is looked for
PACED_TRACKS = 20  # that are timed, the median counts
EXPLAINED_SECONDS = 30.0  # of a song
N_FILTERS = 16  # of a layer that are drawn
N_PERMUTATIONS = 5  # of a feature whose importance is measured
PREDICT_BATCH = 64  # segments that go through a net at a time, at the most
PREDICT_VALUES = 2**21  # of all their features together; a net's own maps are many times as much

# Limits on what a stranger's file may ask for.
MIN_SECONDS = 0.1  # a shorter track has nothing to hear
MAX_SECONDS = 24 * 3600.0  # a longer one is refused
MAX_EXPLAINED_SECONDS = 600.0  # its picture and all that is drawn on it are in memory
MAX_CHANNELS = 64
MAX_AUDIO_VALUES = 2**34  # samples times channels of a track; a day of stereo at 99 kHz
MAX_AUDIO_BYTES = 2**36  # of its file; a day of stereo at 48 kHz has 66 GB where a sample has 8
MAX_CARD_BYTES = 4 * 2**20
MAX_WEIGHTS_BYTES = 4 * 2**30
MAX_CLASSES = 1_000
MAX_SEGMENT_VALUES = 2**22  # bands times frames; ten minutes at 43 frames a second and 128 bands
SAMPLE_RATES = (1_000, 768_000)  # Hz, lowest and highest that are believed

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, what)`` by everything that takes more than a second."""


def silent(done: int, total: int, what: str) -> None:
    """Report progress to nobody."""


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, outside {low} to {high}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


# What pydantic reads where one of these stands on a card: no unknown key, no guessed type.
ON_CARDS = {"extra": "forbid", "strict": True}


@dataclass(frozen=True)
class FeatureSpec:
    """How a waveform becomes log-mel frames; every choice has a name here.

    Attributes
    ----------
    sample_rate : int
        In Hz; audio is brought to it.
    n_fft : int
        Length of the Hann window and of the transform, in samples.
    hop_length : int
        From one STFT frame to the next, in samples.
    n_mels : int
        Mel bands.
    fmin, fmax : float
        Lowest and highest frequency of the bands, in Hz; `fmax` None is half the rate.
    top_db : float
        Dynamic range: what is further below the loudest value of the track is lifted
        to this floor, in dB.
    scale : {"decibel", "minmax"}
        ``decibel``: dB below the track's loudest value, in [-top_db, 0]. ``minmax``: the
        same stretched to the track's own lowest and highest value, in [0, 1].
    decimation : float
        Keep one STFT frame in so many: column j is STFT frame
        ``floor((j + 0.5) · decimation)``, as a picture of fixed width keeps them.
        Levels still refer to all frames. 1 keeps every frame.
    """

    sample_rate: int = 22_050
    n_fft: int = 2_048
    hop_length: int = 512
    n_mels: int = 128
    fmin: float = 0.0
    fmax: float | None = None
    top_db: float = 80.0
    scale: Scale = "decibel"
    decimation: float = 1.0
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        _within("sample_rate", self.sample_rate, *SAMPLE_RATES)
        _within("n_fft", self.n_fft, 16, 65_536)
        _within("hop_length", self.hop_length, 1, 65_536)
        _within("n_mels", self.n_mels, 1, 1_024)
        _within("fmax", self.highest, 0.0, self.sample_rate / 2)
        _within("fmin", self.fmin, 0.0, self.highest)
        if self.fmin == self.highest:
            raise ValueError(f"fmin and fmax are both {self.fmin}, no band lies between them")
        _within("top_db", self.top_db, 1.0, 300.0)
        _within("decimation", self.decimation, 1.0, 1_024.0)
        _one_of("scale", self.scale, get_args(Scale))

    @property
    def highest(self) -> float:
        """Upper edge of the highest band, in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def frame_rate(self) -> float:
        """Columns a second."""
        return self.sample_rate / (self.hop_length * self.decimation)

    def n_frames(self, n_samples: int) -> int:
        """Return how many columns a waveform of so many samples has."""
        # The largest j with floor((j + 0.5) * decimation) < n, for n STFT frames, plus one.
        # An odd window is extended by n_fft - 1 samples in all, and so misses one.
        n_stft = 1 + (n_samples - self.n_fft % 2) // self.hop_length
        n = floor(n_stft / self.decimation + 0.5)
        while n > 0 and floor((n - 0.5) * self.decimation) >= n_stft:
            n -= 1
        return n


@dataclass(frozen=True)
class SegmentSpec:
    """How a track's frames are cut into segments.

    Attributes
    ----------
    seconds : float
        Length of a segment.
    hop_seconds : float
        From the start of one segment to the start of the next.
    """

    seconds: float = 3.0
    hop_seconds: float = 3.0
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        _within("seconds", self.seconds, 0.05, 600.0)
        _within("hop_seconds", self.hop_seconds, 0.05, 600.0)

    def length(self, rate: float) -> int:
        """Return the length of a segment in frames, or samples, of so many a second."""
        return max(1, round(self.seconds * rate))

    def hop(self, rate: float) -> int:
        """Return the distance of two segments in the same."""
        return max(1, round(self.hop_seconds * rate))


@dataclass(frozen=True)
class Recipe:
    """How a net is trained; every architecture has its own defaults in the registry.

    Attributes
    ----------
    epochs : int
        At the most; an epoch draws as many random segments from a track as fit into it.
    batch_size : int
        Segments a step.
    optimizer : {"adamw", "adam", "sgd"}
        ``adamw`` decays weights apart from the gradient; for the others `weight_decay` is an L2
        penalty, whose gradient is added to that of the loss.
    learning_rate, weight_decay, momentum : float
        Of the optimiser; norms and biases are not decayed, and momentum is of ``sgd`` alone.
    schedule : {"constant", "cosine", "onecycle", "plateau", "step"}
        What the learning rate does over the epochs: ``plateau`` multiplies it by `gamma` when
        the monitored figure has not improved for `step_size` epochs, ``step`` every `step_size`
        epochs whatever it does.
    step_size : int
        Epochs.
    gamma : float
        In (0, 1).
    clip : float
        Longest gradient, as a norm over all weights; longer ones are scaled down. 0 is off.
    balance : {"none", "weights", "sampling"}
        What makes up for genres with few tracks: their segments count more in the loss, or are
        drawn more often, in inverse proportion to how many there are.
    patience : int
        Epochs without improvement of the monitored figure before training stops.
    monitor : {"valid_loss", "valid_accuracy", "none"}
        Figure on the validation split (both of whole tracks, by mean probability) that
        picks the epoch whose weights are kept. ``none`` trains to the end and keeps the last.
    normalise : {"band", "whole"}
        Whether each band of a log-mel is brought to mean 0 and standard deviation 1, or all bands
        together, which keeps their differences.
    label_smoothing : float
        In [0, 1).
    mixup : float
        Alpha of the Beta distribution that mixes two segments; 0 is off.
    frequency_mask, time_mask : float
        Widest SpecAugment mask as a share of the bands, and of the segment's frames.
    gain : float
        Largest change of a segment's level, up or down, in dB.
    noise : float
        Largest standard deviation of the noise that is added, that of the features being 1.
    shift : float
        Longest way that a segment is rolled over time, as a share of its length.
    equalise : float
        Largest change of a band's level by a curve over frequency, up or down, in dB.
    transpose : float
        Longest way that a segment is moved in frequency, as a share of the bands.
    dynamics : float
        How far the dynamic range of a segment is stretched or shrunk: 0.2 is by 0.8 to 1.2.
    low_pass : float
        Most of the highest bands that every second segment loses, as a share of them all.
    tempo, pitch : float
        Largest changes of a waveform: 0.1 is 10 % faster or slower; in semitones.
    copies : int
        0 changes every segment that a step sees; else a step sees it as it is, and so many
        changed copies beside it.
    teacher_share : float
        Share of the targets that a teacher gives, where there is one.
    ema : float
        Decay of the running average of the weights that is validated and kept, a step, less in
        the first steps; 0 is off.
    refit : float
        L2 penalty of a last layer that is fitted to its optimum at the end; 0 is off.
    """

    epochs: int = 60
    batch_size: int = 64
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    step_size: int = 5
    gamma: float = 0.5
    clip: float = 0.0
    balance: Balance = "none"
    patience: int = 15
    monitor: Monitor = "valid_loss"
    normalise: Normalise = "band"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    frequency_mask: float = 0.0
    time_mask: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    shift: float = 0.0
    equalise: float = 0.0
    transpose: float = 0.0
    dynamics: float = 0.0
    low_pass: float = 0.0
    tempo: float = 0.0
    pitch: float = 0.0
    copies: int = 0
    teacher_share: float = 0.5
    ema: float = 0.0
    refit: float = 0.0
    __pydantic_config__: ClassVar[dict[str, Any]] = ON_CARDS

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, get_args(Optimizer))
        _one_of("schedule", self.schedule, get_args(Schedule))
        _one_of("balance", self.balance, get_args(Balance))
        _one_of("monitor", self.monitor, get_args(Monitor))
        _one_of("normalise", self.normalise, get_args(Normalise))
        _within("epochs", self.epochs, 1, 100_000)
        _within("batch_size", self.batch_size, 1, 65_536)
        _within("learning_rate", self.learning_rate, 1e-9, 10.0)
        _within("weight_decay", self.weight_decay, 0.0, 10.0)
        _within("momentum", self.momentum, 0.0, 0.9999)
        _within("step_size", self.step_size, 1, 100_000)
        _within("gamma", self.gamma, 1e-6, 0.9999)
        _within("clip", self.clip, 0.0, 1e6)
        _within("patience", self.patience, 1, 100_000)
        _within("label_smoothing", self.label_smoothing, 0.0, 0.99)
        _within("mixup", self.mixup, 0.0, 10.0)
        _within("frequency_mask", self.frequency_mask, 0.0, 1.0)
        _within("time_mask", self.time_mask, 0.0, 1.0)
        _within("gain", self.gain, 0.0, 60.0)
        _within("noise", self.noise, 0.0, 100.0)
        _within("shift", self.shift, 0.0, 0.5)
        _within("equalise", self.equalise, 0.0, 60.0)
        _within("transpose", self.transpose, 0.0, 0.5)
        _within("dynamics", self.dynamics, 0.0, 0.9)
        _within("low_pass", self.low_pass, 0.0, 0.9)
        _within("tempo", self.tempo, 0.0, 1.0)
        _within("pitch", self.pitch, 0.0, 12.0)
        _within("copies", self.copies, 0, 8)
        _within("teacher_share", self.teacher_share, 0.0, 1.0)
        _within("ema", self.ema, 0.0, 0.99999)
        _within("refit", self.refit, 0.0, 100.0)


# The front end of an audio dataset unless told otherwise: GTZAN's pictures (387.5 columns
# of the 1,293 frames of 30 s), so that what is trained on pictures is tried on audio.
FEATURES = FeatureSpec(scale="minmax", decimation=1293 / 387.5)
SEGMENTS = SegmentSpec()
