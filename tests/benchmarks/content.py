"""Figures of the listener that tells music from speech, noise and silence, and its weights.

    python tests/benchmarks/content.py fit SHARED        weights and thresholds, to be written
                                                         into mgr_cli/content.py by hand
    python tests/benchmarks/content.py measure SHARED    false alarms and hits
    python tests/benchmarks/content.py cost SONG         seconds beside decoding and log-mels

SHARED is the folder of real recordings, with `audio/` in it. The weights are fitted on half of
the music in it, on speech of espeak-ng (which must be installed) and on synthesised noise; the
other half, and all real speech, is for testing only.
"""

import argparse
import io
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from sklearn.linear_model import LogisticRegression

from mgr_cli import audio, content
from mgr_cli.config import FeatureSpec
from mgr_cli.features.mel import PowerFrames

RATES = (8_000, 16_000, 22_050, 44_100, 48_000)
SPEECH = ("198-209-0000", "3436-172162-0000", "5703-47212-0000")  # LibriSpeech
ANIMALS = ("456440__", "glacier", "pibble")
LANGUAGES = (
    "en-us", "en-gb", "en-gb-scotland", "de", "fr-fr", "es", "it", "pl", "pt", "nl", "sv", "tr",
    "fi", "cs", "id",
)  # fmt: skip
VOICES = ("", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak", "+whisper")
N_SPEECH, N_NOISE, N_BEATS = 120, 100, 60
SECONDS = 30
SPEECH_FEATURES = ("modulation", "level", "onsets", "shape", "tones")
NOISE_FEATURES = ("level", "memory", "roughness")


@dataclass(frozen=True)
class Recording:
    """A piece of sound and what it is."""

    name: str
    samples: np.ndarray
    rate: int

    def at(self, rate: int) -> "Recording":
        if rate == self.rate:
            return self
        return Recording(self.name, soxr.resample(self.samples, self.rate, rate), rate)

    def coded(self) -> "Recording":
        """Go through mp3, mono at 64 kbit/s where the rate allows."""
        file = io.BytesIO()
        clipped = np.clip(self.samples, -1, 1)
        soundfile.write(
            file, clipped, self.rate, format="MP3", bitrate_mode="CONSTANT",
            compression_level=0.86 if self.rate >= 32_000 else 0.6,
        )  # fmt: skip
        file.seek(0)
        return Recording(self.name, soundfile.read(file, dtype="float32")[0], self.rate)


def recordings(shared: Path, kind: str) -> Iterator[Recording]:
    for path in sorted((shared / "audio").rglob("*")):
        if path.suffix not in (".mp3", ".wav", ".ogg"):
            continue
        found = (
            "speech" if path.name.startswith(SPEECH)
            else "animals" if path.name.startswith(ANIMALS) else "music"
        )  # fmt: skip
        if found == kind:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            name = path.relative_to(shared / "audio").as_posix()
            yield Recording(name, samples.mean(axis=1), rate)


def prose() -> str:
    texts = [
        path.read_text(errors="ignore")
        for path in sorted(Path("/usr/share/common-licenses").iterdir()) if not path.is_symlink()
    ]  # fmt: skip
    return re.sub(r"[^A-Za-z0-9.,;:'\"()]+", " ", " ".join(texts))


def coloured(rng: np.random.Generator, n: int, rate: int, slope: float) -> np.ndarray:
    """Make noise whose power falls with frequency to this power, of level 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / rate)
    spectrum *= np.where(hz > 20, np.maximum(hz, 1) ** (-slope / 2), 0)
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / noise.std(), np.float32)


def reverberated(rng: np.random.Generator, samples: np.ndarray, rate: int) -> np.ndarray:
    n, mix = int(rate * rng.uniform(0.2, 0.8)), rng.uniform(0.1, 0.5)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail /= np.sqrt(np.square(tail).sum())
    length = len(samples) + n
    wet = np.fft.irfft(np.fft.rfft(samples, length) * np.fft.rfft(tail, length), length)
    return np.asarray((1 - mix) * samples + mix * wet[: len(samples)], np.float32)


def spoken(rng: np.random.Generator) -> Iterator[Recording]:
    """Let espeak-ng read, in rooms, with noise, at all levels and rates, some through mp3."""
    text = prose()
    for number in range(N_SPEECH):
        voice = str(rng.choice(LANGUAGES)) + str(rng.choice(VOICES))
        first = int(rng.integers(len(text) - 700))
        command = [
            "espeak-ng", "-v", voice, "-s", str(rng.integers(110, 230)),
            "-p", str(rng.integers(20, 80)), "-g", str(rng.integers(0, 4)), "--stdout",
        ]  # fmt: skip
        wav = subprocess.run([*command, text[first : first + 700]], capture_output=True, check=True)
        samples, rate = soundfile.read(io.BytesIO(wav.stdout), dtype="float32")
        samples = samples[: SECONDS * rate]
        level = samples.std()
        if rng.random() < 0.5:
            samples = reverberated(rng, samples, rate)
        if rng.random() < 0.7:
            noise = coloured(rng, len(samples), rate, rng.choice([0, 1, 2]))
            samples = samples + noise * level * 10 ** (-rng.uniform(10, 45) / 20)
        samples = samples * (10 ** (-rng.uniform(10, 40) / 20) / level)
        made = Recording(f"{number} {voice}", samples.astype(np.float32), rate)
        made = made.at(RATES[number % len(RATES)])
        yield made.coded() if rng.random() < 0.3 and made.rate >= 16_000 else made


def noises(rng: np.random.Generator) -> Iterator[Recording]:
    """Make noise of five colours, some of it in a band only, at all levels and rates."""
    bands = [(0, 96_000), (0, 96_000), (200, 3_000), (1_000, 96_000)]
    for number in range(N_NOISE):
        rate = RATES[number % 5]
        slope, (low, high) = [0, 1, 2, 0.5, -0.5][number // 5 % 5], bands[number // 25 % 4]
        samples = coloured(rng, rate * SECONDS, rate, slope)
        hz = np.fft.rfftfreq(len(samples), 1 / rate)
        spectrum = np.fft.rfft(samples) * ((hz >= low) & (hz <= high))
        samples = np.fft.irfft(spectrum, len(samples))
        samples *= 10 ** (-rng.uniform(12, 45) / 20) / samples.std()
        name = f"{number} f^-{slope} {low}-{high} Hz"
        made = Recording(name, samples.astype(np.float32), rate)
        yield made.coded() if rng.random() < 0.4 and rate >= 16_000 else made


def beats(rng: np.random.Generator) -> Iterator[Recording]:
    """Make what the recordings lack: drums alone, decaying or cut off, at all tempos."""
    for number in range(N_BEATS):
        rate = RATES[number % len(RATES)]
        since = np.arange(rate * SECONDS) / rate % (60 / rng.uniform(60, 420))
        shapes = [np.exp(-since / rng.uniform(0.02, 0.15)), since < rng.uniform(0.03, 0.15)]
        samples = shapes[number // 5 % 2] * coloured(rng, len(since), rate, rng.uniform(0, 2))
        samples += 10 ** (-rng.uniform(20, 60) / 20) * coloured(rng, len(since), rate, 1)
        yield Recording(f"{number} beat", (0.1 * samples).astype(np.float32), rate)


def features(recording: Recording) -> np.ndarray:
    """Measure its seconds, those left out that are silent."""
    seconds = content.Seconds(recording.rate)
    n = len(recording.samples) // seconds.n_samples
    power, found = seconds.measure(recording.samples[: n * seconds.n_samples].astype(np.float32))
    return found[power >= content.SILENCE]


def windowed(rows: np.ndarray, width: int) -> np.ndarray:
    """Average rows over all windows so wide, or over all rows if they are fewer."""
    sums = np.insert(np.cumsum(rows.astype(np.float64), axis=0), 0, 0, axis=0)
    width = max(1, min(width, len(rows)))
    return np.asarray((sums[width:] - sums[:-width]) / width)


def fit_one(
    names: tuple[str, ...], wanted: list[np.ndarray], *others: tuple[float, list[np.ndarray]]
) -> tuple[np.ndarray, float]:
    """Fit log odds to windows of seven seconds; features that are not named weigh 0.

    The windows of `wanted` together weigh 1, those of the others what stands beside them.
    """
    columns = [content.FEATURES.index(name) for name in names]
    groups = [(1.0, wanted), *others]
    sets = [
        np.concatenate([windowed(rows, content.N_TOGETHER) for rows in some if len(rows)])
        for _, some in groups
    ]
    x = np.concatenate(sets)[:, columns]
    is_wanted = np.arange(len(x)) < len(sets[0])
    per_row = [
        np.full(len(rows), 5_000 * weight / len(rows))
        for (weight, _), rows in zip(groups, sets, strict=True)
    ]
    mean, scale = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(max_iter=1000)
    model.fit((x - mean) / scale, is_wanted, sample_weight=np.concatenate(per_row))
    weights = np.zeros(len(content.FEATURES))
    weights[columns] = model.coef_[0] / scale
    return weights, float(model.intercept_[0] - weights[columns] @ mean)


def report(
    what: str, weights: np.ndarray, bias: float, groups: dict[str, list[np.ndarray]]
) -> None:
    print(f"\n{what}: weights {np.array2string(weights, precision=3, separator=', ')}, {bias:.2f}")
    for width in (1, 2, 3, 4, 7):
        for name, tracks in groups.items():
            sums = [windowed(rows, width) @ weights + bias for rows in tracks if len(rows)]
            found = width * np.concatenate(sums)
            marks = np.percentile(found, [0, 1, 5, 50, 95, 99, 99.5, 99.9, 100])
            print(f"  {width} s of {name:14} " + " ".join(f"{mark:8.1f}" for mark in marks))


def fit(shared: Path) -> None:
    rng = np.random.default_rng(0)
    halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number, recording in enumerate(recordings(shared, "music")):
        half = halves[number % 2]
        half.append(features(recording))
        half.append(features(recording.at(RATES[number // 2 % len(RATES)])))
    speech = [features(recording) for recording in spoken(rng)]
    noise = [features(recording) for recording in noises(rng)]
    drums = [features(recording) for recording in beats(rng)]
    real = [features(recording) for recording in recordings(shared, "speech")]
    groups = {
        "music, fitted": halves[0], "music, other": halves[1], "beats": drums,
        "speech, espeak": speech,
    }  # fmt: skip
    weights, bias = fit_one(SPEECH_FEATURES, speech, (1, halves[0]), (0.1, drums))
    report("speech", weights, bias, {**groups, "speech, real": real})
    weights, bias = fit_one(NOISE_FEATURES, noise, (1, halves[0]), (0.1, drums), (0.1, speech))
    report("noise", weights, bias, {**groups, "noise": noise})


def told(recording: Recording, seconds: float = 3.0) -> Counter[str]:
    """Count what the segments of a recording are said to hold."""
    listener = content.Listener(recording.rate)
    listener.push(recording.samples.astype(np.float32))
    listener.finish()
    length = len(recording.samples) / recording.rate
    starts = tuple(np.arange(0, max(length - seconds, 0.001), seconds))
    return Counter(listener.contents(starts, seconds))


def table(name: str, found: list[tuple[str, Counter[str]]], wanted: str) -> None:
    segments = sum((counts for _, counts in found), Counter[str]())
    tracks = Counter(
        max(content.CONTENTS, key=lambda each: counts[each]) for _, counts in found
    )  # fmt: skip
    n = segments.total()
    shares = ", ".join(f"{held} {count / n:.2%}" for held, count in segments.most_common())
    print(f"{name:24} {len(found):4} tracks {dict(tracks)}; {n} segments: {shares}", flush=True)
    for track, counts in found:
        if counts[wanted] < 0.9 * counts.total():
            print(f"    {track}: {dict(counts)}")


def measure(shared: Path) -> None:
    rng = np.random.default_rng(1)  # not the voices and noises of the fit
    table("noise", [(each.name, told(each)) for each in noises(rng)], "noise")
    table("drums alone", [(each.name, told(each)) for each in beats(rng)], "music")
    table("speech of espeak", [(each.name, told(each)) for each in spoken(rng)], "speech")
    for kind in ("speech", "animals", "music"):
        for rate in (None, *RATES):
            for coded in (False, True):
                if coded and rate in (None, 8_000):
                    continue
                found = []
                for recording in recordings(shared, kind):
                    heard = recording.at(rate) if rate else recording
                    found.append((heard.name, told(heard.coded() if coded else heard)))
                name = f"{kind} at {rate or 'its rate'}{', mp3' * coded}"
                table(name, found, kind if kind != "animals" else "music")


def cost(song: Path, repeats: int = 6) -> None:
    best: dict[str, float] = {}
    for _ in range(repeats):
        times = [time.process_time()]
        with audio.open_stream(song, sample_rate=22_050) as stream:
            frames = PowerFrames(FeatureSpec())
            for block in stream:
                frames.push(block)
        times.append(time.process_time())
        with audio.open_stream(song, sample_rate=None) as stream:
            blocks, rate = list(stream), stream.info.sample_rate
        times.append(time.process_time())
        listener = content.Listener(rate)
        for block in blocks:
            listener.push(block)
        listener.finish()
        listener.contents(tuple(np.arange(0.0, stream.seconds - 3, 3)), 3.0)
        times.append(time.process_time())
        for name, passed in zip(("decode + mel", "decode", "listen"), np.diff(times), strict=True):
            best[name] = min(best.get(name, np.inf), passed)
    print({name: f"{passed * 1000:.0f} ms" for name, passed in best.items()})
    print(f"listening takes {best['listen'] / best['decode + mel']:.1%} of decoding and log-mels")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    for command, argument in (("fit", "shared"), ("measure", "shared"), ("cost", "song")):
        commands.add_parser(command).add_argument(argument, type=Path)
    chosen = parser.parse_args()
    if chosen.what == "cost":
        cost(chosen.song)
    else:
        {"fit": fit, "measure": measure}[chosen.what](chosen.shared)
