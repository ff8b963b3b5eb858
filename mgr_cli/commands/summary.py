"""What `mgr prepare` says of a dataset when it is done, and the page that it writes."""

from pathlib import Path
from typing import TYPE_CHECKING

from mgr_cli.commands import console

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mgr_cli.data.audit import Audit, Finding
    from mgr_cli.data.dataset import PreparedDataset
    from mgr_cli.preparation import Preparation

SHOWN_BAD = 10
SHOWN_FINDINGS = 40
SHOWN_SECONDS = 300.0  # of a waveform in a report, at the most


def show(done: "Preparation") -> None:
    """Print the tracks of each genre and split, and what the files are."""
    from rich.table import Table

    from mgr_cli.config import SPLITS
    from mgr_cli.data.store import OK

    dataset = done.dataset
    tracks = dataset.tracks
    usable = tracks[tracks.status == OK]
    table = Table(title=f"{dataset.name} ({dataset.layout}) → {dataset.root}", title_justify="left")
    table.add_column("genre")
    for column in (*SPLITS, "left out", "bad"):
        table.add_column(column, justify="right")
    for genre in dataset.genres:
        counts = [int(((usable.genre == genre) & (usable.split == s)).sum()) for s in (*SPLITS, "")]
        bad = int(((tracks.genre == genre) & (tracks.status != OK)).sum())
        table.add_row(genre, *map(str, [*counts, bad]))
    table.add_section()
    totals = [int((usable.split == split).sum()) for split in (*SPLITS, "")]
    table.add_row("all", *map(str, [*totals, len(done.bad)]), style="bold")
    console.out.print(table)
    console.out.print(_features(dataset), markup=False)
    for line in _files(usable):
        console.out.print(line, markup=False)
    if dataset.layout == "demo":
        console.note("this is synthetic music: good to try the program, not to learn genres from")


def _features(dataset: "PreparedDataset") -> str:
    width = f" ({len(dataset.columns)} columns)" if dataset.columns else ""
    folds = f"; {dataset.n_folds} folds" if dataset.n_folds else ""
    return f"features: {', '.join(dataset.plan.kinds)}{width}{folds}"


def _files(usable: "pd.DataFrame") -> list[str]:
    """Say how long the tracks are, and at which rates and in which codecs they came."""
    known = usable[usable.seconds > 0]
    if known.empty:
        return []
    seconds = known.seconds
    return [
        f"length: {seconds.min():.1f} to {seconds.max():.1f} s, median {seconds.median():.1f} s, "
        f"{seconds.sum() / 3600:.2f} h in all",
        f"files: {_counts(known.sample_rate.astype(int).astype(str) + ' Hz')}; "
        f"{_counts(known.codec)}",
    ]


def _counts(values: "pd.Series[str]") -> str:
    return ", ".join(f"{value} × {n}" for value, n in values.value_counts().items())


def show_changes(done: "Preparation") -> None:
    """Say what was there already, what has changed since the last run, and what is amiss."""
    if done.n_reused:
        console.note(f"{done.n_reused} tracks were prepared already")
    if done.n_renewed:
        console.note(f"{done.n_renewed} tracks were read again: files, or what is asked, changed")
    if done.n_gone:
        console.note(f"{done.n_gone} tracks of the last run are gone from the source")
    for note in done.notes:
        console.note(note)


def show_bad(done: "Preparation") -> None:
    """Name the first tracks that could not be used, and why."""
    for path, reason in done.bad[:SHOWN_BAD]:
        console.error(f"{path}: {reason}")
    if len(done.bad) > SHOWN_BAD:
        console.error(f"and {len(done.bad) - SHOWN_BAD} more, see {done.dataset.root}/tracks.csv")


def show_audit(found: "Audit", table: Path | None, *, names: bool) -> None:
    """Say what a dataset holds twice, in one line unless the tracks are to be named.

    Parameters
    ----------
    found : Audit
        Of the dataset.
    table : Path or None
        Where it was written.
    names : bool
        Whether the findings are listed.
    """
    if names:
        for finding in found.findings[:SHOWN_FINDINGS]:
            console.out.print(_line(finding), markup=False)
        if len(found.findings) > SHOWN_FINDINGS:
            console.out.print(f"and {len(found.findings) - SHOWN_FINDINGS} more")
    if not found.findings and not names:
        return
    leaking = {track for finding in found.leaks for track in finding.tracks}
    where = f"see {table}" if table else "`--audit` names them"
    console.note(
        f"{len(found.findings)} repeats, {len(found.leaks)} of them across splits "
        f"({len(leaking)} tracks leak), {len(found.conflicts)} under several genres: {where}"
    )


def _line(finding: "Finding") -> str:
    tracks = ", ".join(
        f"{track} ({split or 'left out'})"
        for track, split in zip(finding.tracks, finding.splits, strict=True)
    )
    marks = [word for word, on in (("leak", finding.leaks), ("conflict", finding.conflicts)) if on]
    name = f" {finding.what}" if finding.what else ""
    alike = f" {finding.similarity:.2f}" if finding.similarity < 1 else ""
    return f"{finding.kind}{name}{alike}: {tracks}{'  ← ' + ', '.join(marks) if marks else ''}"


def write_report(dataset: "PreparedDataset", found: "Audit", folder: Path, target: Path) -> None:
    """Write a page about a dataset."""
    from mgr_cli.files import write_text
    from mgr_cli.reports import dataset as pages

    with console.progress("drawing") as progress:
        progress(0, 1, "page")
        page = pages.render(
            dataset,
            levels=lambda number: _levels(dataset, number),
            waveform=lambda number: _waveform(dataset, folder, number),
            audit=found,
        )
    write_text(target, page)
    console.note(f"report: {target}")


def _levels(dataset: "PreparedDataset", number: int) -> "np.ndarray | None":
    return dataset.reader().frames(number) if "log-mel" in dataset.plan.kinds else None


def _waveform(
    dataset: "PreparedDataset", folder: Path, number: int
) -> "tuple[np.ndarray, int] | None":
    """Return the samples of a track and their rate, from its file where they are not kept."""
    import numpy as np

    from mgr_cli import audio
    from mgr_cli.errors import AudioError

    plan = dataset.plan
    n_shown = round(SHOWN_SECONDS * plan.spec.sample_rate)
    if "waveform" in plan.kinds:
        return dataset.reader("waveform").samples(number, 0, n_shown), plan.spec.sample_rate
    path = folder / dataset.tracks.path[number]
    if path.suffix.lower() not in audio.SUFFIXES:
        return None
    blocks: list[np.ndarray] = []
    try:
        with audio.open_stream(path, sample_rate=plan.spec.sample_rate) as stream:
            for block in stream:
                blocks.append(block)
                if stream.n_samples >= n_shown:
                    break
    except AudioError:  # it has changed since
        return None
    return np.concatenate(blocks)[:n_shown], plan.spec.sample_rate
