"""The rows of the registry: what can be trained, how, and whose it is. Read without torch."""

from dataclasses import dataclass, replace

from mgr_cli.config import SEGMENTS, Recipe, SegmentSpec
from mgr_cli.plans import Kind


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes
    ----------
    name : str
        What people type after ``--arch``.
    builder : str
        ``module:function`` that makes the net. Its keyword arguments are the dimensions of the
        data (`n_frames` only where the net takes segments of one length) and the
        hyper-parameters.
    eats : tuple of str
        Kinds of features, one for each tensor that the net takes.
    recipe : Recipe
        How it is trained unless told otherwise.
    segments : SegmentSpec or None
        What it hears at a time, unless told otherwise; None where that is the track.
    summary, source : str
        One line each.
    """

    name: str
    builder: str
    eats: tuple[Kind, ...]
    recipe: Recipe
    summary: str
    source: str
    segments: SegmentSpec | None = SEGMENTS


@dataclass(frozen=True)
class Rival:
    """A row of the table of pipelines of scikit-learn, which are fitted to one row a segment.

    They eat what is one row a track, or else log-mels, summed up over each segment.

    Attributes
    ----------
    name : str
        What people type after ``--arch``.
    builder : str
        ``module:function`` that makes the pipeline. Its keyword arguments are the
        hyper-parameters, and the seed of what it draws.
    summary, source : str
        One line each.
    """

    name: str
    builder: str
    summary: str
    source: str


@dataclass(frozen=True)
class Borrowed:
    """A row of the table of nets that others have trained, whose features a rival judges.

    Attributes
    ----------
    name : str
        What people type after ``--arch``.
    builder : str
        ``module:function`` that makes the net, cut behind a layer. It maps what it eats to one
        row a segment.
    eats : tuple of str
        Kinds of features, one for each tensor that the net takes, not normalised.
    cuts : tuple of str
        The layers, the default first; an encoder has others, by number.
    pca : float
        Share of the variance that the components before the rival keep; 0 is none.
    classifier : str
        The rival, unless told otherwise.
    rivals : tuple of str
        Those of the published table.
    segments : SegmentSpec
        What it is given at a time, unless told otherwise.
    summary, source : str
        One line each.
    """

    name: str
    builder: str
    eats: tuple[Kind, ...]
    cuts: tuple[str, ...]
    pca: float
    classifier: str
    rivals: tuple[str, ...]
    segments: SegmentSpec
    summary: str
    source: str


_LEVELS: tuple[Kind, ...] = ("log-mel",)

# Seed 000: Adam with weight decay, ReduceLROnPlateau, 30 epochs; the masks are its "data
# augmentation", of which it says no more.
_HYBRID = Recipe(
    epochs=30, optimizer="adam", learning_rate=1e-3, weight_decay=1e-4, schedule="plateau",
    frequency_mask=0.2, time_mask=0.2,
)  # fmt: skip
# Chosen on GTZAN's validation split. Accuracy rises past the best loss, so the last epoch is kept.
_RESIDUAL = Recipe(
    epochs=45, learning_rate=3e-3, weight_decay=2e-2, schedule="onecycle", monitor="none",
    normalise="whole", label_smoothing=0.1, mixup=0.4, frequency_mask=0.25, time_mask=0.25,
    transpose=0.016, equalise=4.0, dynamics=0.1, low_pass=0.05, ema=0.999,
)  # fmt: skip

# What a seed's document does not say (all but the optimiser's kind, mostly) is ours.
_SEGMENT = Recipe(optimizer="sgd", learning_rate=1e-2, weight_decay=1e-3)
_KOSTRZEWA = Recipe(
    optimizer="adam", batch_size=32, weight_decay=0.0, schedule="constant", patience=10
)
_DEEP = Recipe(
    optimizer="adam", batch_size=32, learning_rate=3e-4, weight_decay=0.0, schedule="plateau"
)  # fmt: skip
_RECURRENT = Recipe(optimizer="adam", weight_decay=1e-4)
_WAVE = replace(_RECURRENT, batch_size=16)
_FEATURES = Recipe(
    epochs=200, batch_size=32, optimizer="adam", learning_rate=1e-4, weight_decay=0.0,
    schedule="constant", patience=3,
)  # fmt: skip
_TRANSFORMER = Recipe(
    learning_rate=3e-4, weight_decay=5e-2, label_smoothing=0.1,
    mixup=0.3, frequency_mask=0.2, time_mask=0.2,
)  # fmt: skip
# Chosen on GTZAN's validation split. Batch norms have counted enough after three epochs, and the
# refit does the rest.
_STATISTICS = Recipe(
    epochs=3, optimizer="sgd", learning_rate=2e-2, schedule="onecycle", monitor="none",
    normalise="whole", refit=3e-3,
)  # fmt: skip
_LONG = SegmentSpec(seconds=10.0, hop_seconds=5.0)
_CROP = SegmentSpec(seconds=2**19 / 44_100, hop_seconds=2**19 / 44_100)  # 2^19 samples: 11.9 s
_TRACK = SegmentSpec(seconds=29.72, hop_seconds=29.72)  # 1,280 frames of 512 samples at 22,050 Hz
_CLIP = SegmentSpec(seconds=30.0, hop_seconds=30.0)  # 1,292 of them

NETS = (
    Architecture(
        "cnn1d", "mgr_cli.models.hybrid:cnn1d", _LEVELS, _HYBRID,
        "convolution over time, global pooling", "seed 000, without its RNN",
    ),
    Architecture(
        "cnn1d-gru", "mgr_cli.models.hybrid:cnn1d_gru", _LEVELS, _HYBRID,
        "convolution over time, then a GRU, global pooling", "seed 000",
    ),
    Architecture(
        "cnn1d-lstm", "mgr_cli.models.hybrid:cnn1d_lstm", _LEVELS, _HYBRID,
        "convolution over time, then an LSTM, global pooling", "seed 000",
    ),
    Architecture(
        "cnn2d", "mgr_cli.models.hybrid:cnn2d", _LEVELS, _HYBRID,
        "convolution over time and frequency, global pooling", "seed 000, without its RNN",
    ),
    Architecture(
        "cnn2d-gru", "mgr_cli.models.hybrid:cnn2d_gru", _LEVELS, _HYBRID,
        "convolution over time and frequency, then a GRU", "seed 000",
    ),
    Architecture(
        "cnn2d-lstm", "mgr_cli.models.hybrid:cnn2d_lstm", _LEVELS, _HYBRID,
        "convolution over time and frequency, then an LSTM", "seed 000",
    ),
    Architecture(
        "cnn-segment", "mgr_cli.models.plain:cnn_segment", _LEVELS, _SEGMENT,
        "four plain convolutions over short segments, global mean", "seed 001",
    ),
    Architecture(
        "kostrzewa", "mgr_cli.models.plain:kostrzewa", _LEVELS, _KOSTRZEWA,
        "four 5 × 5 convolutions over a whole clip, one dense layer",
        "seed 002, after Kostrzewa et al., ICCS 2021", _TRACK,
    ),
    Architecture(
        "resnet2d", "mgr_cli.models.crnn:resnet2d", _LEVELS, _RECURRENT,
        "four residual blocks down to one band, global pooling, perceptron",
        "seed 003, 2-D CNN", _CROP,
    ),
    Architecture(
        "crnn", "mgr_cli.models.crnn:crnn", _LEVELS, _RECURRENT,
        "the same residual blocks, then an LSTM's last output", "seed 003, CRNN", _CROP,
    ),
    Architecture(
        "mm-crnn", "mgr_cli.models.crnn:mm_crnn", ("log-mel", "waveform"), _WAVE,
        "that encoder and the one of wave-cnn1d side by side, then an LSTM's last output",
        "seed 003, MM-CRNN", _CROP,
    ),
    Architecture(
        "wave-cnn1d", "mgr_cli.models.crnn:wave_cnn1d", ("waveform",), _WAVE,
        "four stages of strided convolution over samples, global pooling, perceptron",
        "seed 003, 1-D CNN", _CROP,
    ),
    Architecture(
        "ffnn", "mgr_cli.models.feedforward:ffnn", ("handcrafted",), _FEATURES,
        "dense layers over the 518 features, or a table of others", "seed 002, FFNN", None,
    ),
    Architecture(
        "cnn-deep", "mgr_cli.models.plain:cnn_deep", _LEVELS, _DEEP,
        "seven 3 × 3 convolutions over a whole clip, two dense layers", "seed 004", _CLIP,
    ),
    Architecture(
        "vit", "mgr_cli.models.transformer:vit", _LEVELS, _TRANSFORMER,
        "transformer encoder over square patches, class token",
        "seed 004, after Dosovitskiy et al., ICLR 2021",
    ),
    Architecture(
        "short-chunk-resnet", "mgr_cli.models.residual:short_chunk_resnet", _LEVELS, _RESIDUAL,
        "small residual net over short segments, mean and max pooling",
        "after Won et al., SMC 2020 (short-chunk CNN + Res)",
    ),
    Architecture(
        "modulation", "mgr_cli.models.modulation:modulation", _LEVELS, _STATISTICS,
        "timbre, contrast, attacks and modulation spectra of a segment, one linear layer",
        "after Lee et al., IEEE Transactions on Multimedia 2009", _LONG,
    ),
    Architecture(
        "scattering", "mgr_cli.models.scattering:scattering", _LEVELS, _STATISTICS,
        "waves over time and frequency, chords, how bands move together, and modulation, "
        "one linear layer",
        "after Andén et al., IEEE Transactions on Signal Processing 2019", _LONG,
    ),
    Architecture(
        "committee", "mgr_cli.models.committee:committee", _LEVELS, replace(_RESIDUAL, epochs=40),
        "several nets side by side, the geometric mean of their probabilities",
        "after Lakshminarayanan et al., NeurIPS 2017", _LONG,
    ),
)  # fmt: skip

_CLASSICAL = (
    ("mlp", "multi-layer perceptron", "seed 004"),
    ("svc-rbf", "support vectors, radial kernel", "seed 004"),
    ("linear-svc", "support vectors, linear", "seed 004"),
    ("extra-trees", "forest whose thresholds are drawn", "seed 004"),
    ("random-forest", "forest of bootstrapped trees", "seeds 001 and 004"),
    ("logistic-regression", "multinomial logistic regression", "seed 004"),
    ("knn", "nearest tracks", "seed 004"),
    ("bagging", "bagged decision trees", "seed 004"),
    ("ridge", "least squares with an L2 penalty", "seed 004"),
    ("sgd", "linear support vectors by gradient descent", "seed 004"),
    ("decision-tree", "one tree", "seed 004"),
    ("adaboost", "boosted stumps", "seed 004"),
    ("nearest-centroid", "nearest mean of a genre", "seed 004"),
    ("perceptron", "linear machine that learns from its errors", "seed 004"),
    ("gaussian-nb", "naive Bayes of normal columns", "seed 004"),
    ("hist-gradient-boosting", "gradient-boosted trees over binned columns", "scikit-learn"),
)
_VOTING = (
    ("vote-mlp-rf-svc", "vote of mlp, random-forest and svc-rbf", "seed 004"),
    ("vote-mlp-svc", "vote of mlp and svc-rbf", "seed 004"),
    ("vote-knn-rf-gnb", "vote of knn, random-forest and gaussian-nb", "seed 004"),
)
PIPELINES = tuple(
    Rival(name, f"mgr_cli.models.{home}:{name.replace('-', '_')}", summary, source)
    for home, rows in (("classical", _CLASSICAL), ("voting", _VOTING))
    for name, summary, source in rows
)

SHARES = (0.90, 0.95, 0.99)
"""Of the variance that principal components keep, in seed 002's table."""

_PICTURES = SegmentSpec(seconds=29.7, hop_seconds=29.7)  # seed 002's: one picture a clip
_BREATH = SegmentSpec(seconds=10.0, hop_seconds=10.0)  # AST hears no more at a time
_SEED_002 = ("linear-svc", "svc-rbf", "mlp")

BACKBONES = (
    Borrowed(
        "vgg16", "mgr_cli.models.imagenet:vgg16", _LEVELS, ("block5_pool", "fc1", "fc2"),
        0.9, "svc-rbf", _SEED_002, _PICTURES,
        "ImageNet's VGG16 on pictures of log-mels, principal components, a rival", "seed 002",
    ),
    Borrowed(
        "resnet50", "mgr_cli.models.imagenet:resnet50", _LEVELS,
        ("conv5_block1_2_relu", "avg_pool"), 0.9, "svc-rbf", _SEED_002, _PICTURES,
        "ImageNet's ResNet-50 on pictures of log-mels, principal components, a rival", "seed 002",
    ),
    Borrowed(
        "hf", "mgr_cli.models.encoders:encoder", ("waveform",), ("mean", "all"),
        0.0, "logistic-regression", ("logistic-regression", "mlp"), _BREATH,
        "an audio encoder of Hugging Face (hf:FOLDER), its layers averaged over time, a rival",
        "ours",
    ),
)  # fmt: skip
