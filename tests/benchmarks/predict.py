"""Figures of `mgr predict`: one song from a cold start, many songs, and memory, as ratios.

    python -m tests.benchmarks.predict                   on songs that are synthesised
    python -m tests.benchmarks.predict --audio FOLDER    on four minutes each of real music

Every part compares contestants that take turns, in rounds; the figure is the median of the
rounds' ratios, beside their range.

*cold* is a whole process each: ``mgr predict four.mp3``; ``python -c "import torch"``, which it
should beat; and the naive script, `librosa.load`, `librosa.feature.melspectrogram` and the same
net by torch. *bulk* is many songs: the bound only decodes (soundfile), averages and resamples
(soxr) with as many processes; `predict_all` with a crew; the same in this process alone; and the
naive script's loop, one song after the other, imports not counted. *memory* is the peak of resident
memory of this process and of the largest of its workers, over songs, over one long file, and over
many short ones.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from mgr_cli.bulk import Order, n_cores, predict_all
from mgr_cli.demo import DEMO
from mgr_cli.zoo import entries
from tests import audio_files

SECONDS, RATE = 240, 44_100

NAIVE = """
import sys, librosa, numpy as np, torch
from pathlib import Path
from mgr_cli.zoo import weights
from mgr_cli.zoo.card import load_card
folder = Path(sys.argv[1])
card = load_card(folder)
net, inputs, spec = weights.load_net(folder, card), card.inputs, card.features
from tests.benchmarks.predict import naive
for name in sys.argv[2:]:
    print(naive(name, card, net))
"""

MEMORY = """
import json, resource, sys
from pathlib import Path
from mgr_cli.bulk import Order, predict_all
folder, n_jobs, times, *names = sys.argv[1:]
paths = [Path(name) for name in names] * int(times)
order = Order(Path(folder), device="cpu", n_jobs=int(n_jobs))
bad = sum(record.status != "ok" for _, record in predict_all(paths, order))
# Of this process Linux would count what the one that started it had.
own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([len(paths), bad, int(own) // 1024, child // 1024]))
"""


def naive(name: str, card: object, net: object) -> int:
    """Do what a tutorial does, all of a song at once, for an entry that eats log-mels."""
    import librosa
    import torch

    from mgr_cli import segments as cutting
    from mgr_cli.zoo.card import Card

    assert isinstance(card, Card)
    assert isinstance(net, torch.nn.Module)
    spec, inputs = card.features, card.inputs
    waveform, _ = librosa.load(name, sr=spec.sample_rate)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=spec.sample_rate, n_fft=spec.n_fft, hop_length=spec.hop_length,
        n_mels=spec.n_mels,
    )  # fmt: skip
    levels = librosa.power_to_db(power, ref=np.max, top_db=spec.top_db)
    kept = np.floor((np.arange(levels.shape[1] / spec.decimation) + 0.5) * spec.decimation)
    levels = levels[:, kept[kept < levels.shape[1]].astype(int)]
    if spec.scale == "minmax":
        levels = (levels - levels.min()) / (levels.max() - levels.min())
    cut = cutting.cut(levels, length=inputs.length, hop=inputs.hop)
    batch = card.normalisation["log-mel"].apply(cut)
    with torch.inference_mode():
        probs = net(torch.from_numpy(np.ascontiguousarray(batch, np.float32))).softmax(dim=1)
    return int(probs.mean(dim=0).argmax())


def decode(path: Path) -> int:
    """Do what cannot be left out."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        mono += samples[:, channel]
    mono /= samples.shape[1]
    return len(soxr.resample(mono, rate, 22_050, quality="HQ"))


def songs(folder: Path, audio: Path | None, n_songs: int) -> list[Path]:
    """Make mp3s of four minutes, 128 kbit/s, joint stereo, of real music or of synthesised."""
    suffixes = (".mp3", ".wav", ".flac")
    found = sorted(p for p in audio.rglob("*") if p.suffix in suffixes) if audio else [DEMO]
    made = []
    for number in range(n_songs):
        parts, missing, place = [], SECONDS * RATE, number * 7
        while missing > 0:
            samples, rate = soundfile.read(
                found[place % len(found)], dtype="float32", always_2d=True
            )
            stereo = np.repeat(samples, 2, axis=1)[:, :2] if samples.shape[1] == 1 else samples
            parts.append(soxr.resample(stereo, rate, RATE)[:missing])
            missing, place = missing - len(parts[-1]), place + 1
        path, whole = folder / f"four-{number}.mp3", np.concatenate(parts)
        made.append(audio_files.encode(path, whole, RATE, codec="libmp3lame", container="mp3"))
    return made


def rounds(
    contestants: Mapping[str, Callable[[], object]], n_rounds: int, *, against: str, per: int = 0
) -> None:
    """Let them take turns, and print medians: seconds, songs a minute, and ratios to one."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(n_rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    for name, each in seconds.items():
        ratios = [own / other for own, other in zip(each, seconds[against], strict=True)]
        middle = statistics.median(each)
        pace = f"{60 * per / middle:7.0f} songs/min" if per else ""
        print(
            f"  {name:32} {middle:7.2f} s {pace} {statistics.median(ratios):6.2f} of {against} "
            f"[{min(ratios):.2f}, {max(ratios):.2f}]",
            flush=True,
        )


def call(*arguments: object) -> str:
    """Run Python, see that it ends well, and return what it prints."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def cold(song: Path, entry: Path, n_rounds: int) -> None:
    print("cold: one song of four minutes, whole processes")
    ways: dict[str, Callable[[], object]] = {
        "import torch": lambda: call("-c", "import torch"),
        "mgr predict": lambda: call(
            "-m", "mgr_cli", "predict", song, "--model", entry, "--device", "cpu"
        ),
        "librosa and torch": lambda: call("-c", NAIVE, entry, song),
    }
    rounds({"first time": lambda: [way() for way in ways.values()]}, 1, against="first time")
    rounds(ways, n_rounds, against="import torch")


def bulk(files: Sequence[Path], entry: Path, n_rounds: int, n_jobs: int) -> None:
    from joblib import Parallel, delayed

    from mgr_cli.zoo import weights
    from mgr_cli.zoo.card import load_card

    def predicted(jobs: int) -> None:
        found = list(predict_all(files, Order(entry, device="cpu", n_jobs=jobs)))
        assert all(record.status == "ok" for _, record in found)

    card = load_card(entry)
    net = weights.load_net(entry, card)
    print(f"bulk: {len(files)} songs of four minutes, {n_jobs} processes")
    ways: dict[str, Callable[[], object]] = {
        "bound": lambda: Parallel(n_jobs=n_jobs)(delayed(decode)(path) for path in files),
        "predict_all": lambda: predicted(n_jobs),
        "predict_all, this process alone": lambda: predicted(1),
        "librosa and torch": lambda: [naive(str(path), card, net) for path in files],
    }
    ways["bound"]()  # its processes start, and librosa compiles
    naive(str(files[0]), card, net)
    rounds(ways, n_rounds, against="bound", per=len(files))


def memory(files: Sequence[Path], folder: Path, entry: Path, n_jobs: int, hours: float) -> None:
    print("memory: peak MiB")
    samples, _ = soundfile.read(files[0], dtype="int16")
    with soundfile.SoundFile(folder / "long.flac", "w", RATE, 2) as file:
        for _ in range(round(hours * 3600 / SECONDS)):
            file.write(samples)
    soundfile.write(folder / "short.flac", samples[: 2 * RATE], RATE)
    cases: dict[str, tuple[int, int, Sequence[Path]]] = {
        f"{len(files)} songs": (n_jobs, 1, files),
        f"{hours:g} h, this process alone": (1, 1, [folder / "long.flac"]),
        f"{hours:g} h, twice, with a crew": (n_jobs, 2, [folder / "long.flac"]),
        "10,000 of 2 s": (n_jobs, 10_000, [folder / "short.flac"]),
    }
    for name, (jobs, times, paths) in cases.items():
        start = time.perf_counter()
        n, bad, own, child = json.loads(call("-c", MEMORY, entry, jobs, times, *paths))
        assert not bad
        print(
            f"  {name:32} {own:6} here, {child:6} in a worker, {n} files in "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--audio", type=Path, help="folder of real music, of any length")
    parser.add_argument("--entry", type=Path, help="default: the zoo's")
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=n_cores())
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--parts", nargs="+", default=["cold", "bulk", "memory"])
    chosen = parser.parse_args()
    entry = chosen.entry or entries.default_entry()
    print(f"{platform.machine()}, {n_cores()} cores, {entry.name}, {chosen.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        files = songs(Path(folder), chosen.audio, min(chosen.songs, 6))
        many = [files[number % len(files)] for number in range(chosen.songs)]
        if "cold" in chosen.parts:
            cold(files[0], entry, chosen.rounds)
        if "bulk" in chosen.parts:
            bulk(many, entry, chosen.rounds, chosen.jobs)
        if "memory" in chosen.parts:
            memory(many, Path(folder), entry, chosen.jobs, chosen.hours)
