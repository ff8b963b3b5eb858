"""Audio files to test with, whole and broken."""

from pathlib import Path

import av
import numpy as np
import soundfile


def tones(seconds: float, sample_rate: int, *, n_channels: int = 2) -> np.ndarray:
    """Return (n, n_channels) float32: 440, 880, … Hz, and a little noise so nothing is trivial."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    pitches = 440.0 * np.arange(1, n_channels + 1)
    noise = np.random.default_rng(0).standard_normal((len(time), n_channels))
    samples = 0.3 * np.sin(2 * np.pi * time[:, None] * pitches) + 0.01 * noise
    return samples.astype(np.float32)


def write(path: Path, samples: np.ndarray, sample_rate: int, **options: str) -> Path:
    """Write (n, channels) with libsndfile; `options` are soundfile's format and subtype."""
    soundfile.write(path, samples, sample_rate, **options)
    return path


def encode(
    path: Path,
    samples: np.ndarray,
    sample_rate: int,
    *,
    codec: str,
    container: str,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode (n, channels), one or two, with FFmpeg."""
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=sample_rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 128_000
        convert = av.AudioResampler(stream.format.name, layout, sample_rate)
        for start in range(0, len(samples), 4096):
            block = np.ascontiguousarray(samples[start : start + 4096].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate = sample_rate
            frame.pts = start
            for converted in convert.resample(frame):
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return path


def encode_silent_video(path: Path) -> Path:
    """Write an MP4 of ten grey pictures and no sound."""
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            grey = np.full((64, 64, 3), 128, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def cut(whole: Path, share: float, target: Path) -> Path:
    """Write the first `share` of a file's bytes to another."""
    data = whole.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target
