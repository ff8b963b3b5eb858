"""The folder of a prepared dataset.

```
prepared/<name>/
  dataset.json                            genres in class order, what was computed, counts
  tracks.csv                              a row a track: what it is, its split, its status
  log-mel/shard-00000.safetensors …       a folder for each kind of features, see `store`
```

`dataset.json` is written last: where it stands, the dataset is whole.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from mgr_cli.config import FeatureSpec
from mgr_cli.data.dataset import COLUMNS, PreparedDataset
from mgr_cli.errors import DatasetError
from mgr_cli.features.normalisation import Normalisation
from mgr_cli.files import write_text
from mgr_cli.plans import Plan

FORMAT_VERSION = 3
DESCRIPTION = "dataset.json"
TRACKS = "tracks.csv"


def save(dataset: PreparedDataset, *, details: dict[str, Any]) -> None:
    """Write the table and the description of a dataset, the description last.

    Parameters
    ----------
    dataset : PreparedDataset
        Its shards are on disk already.
    details : dict
        What else the description shall hold.
    """
    (dataset.root / DESCRIPTION).unlink(missing_ok=True)
    write_text(dataset.root / TRACKS, dataset.tracks.to_csv(index=False, lineterminator="\n"))
    description = {
        "format_version": FORMAT_VERSION,
        "name": dataset.name,
        "layout": dataset.layout,
        "genres": dataset.genres,
        "plan": asdict(dataset.plan),
        "source": dataset.source,
        "normalisations": {kind: asdict(each) for kind, each in dataset.normalisations.items()},
        "columns": dataset.columns,
        "origin": dataset.origin,
        "split_digest": dataset.split_digest,
        "counts": dataset.counts(),
        **details,
    }
    write_text(dataset.root / DESCRIPTION, json.dumps(description, indent=1) + "\n")


def load(root: Path) -> PreparedDataset:
    """Read a prepared dataset.

    Raises
    ------
    DatasetError
        If there is none, or it is damaged or of another version.
    """
    path = root / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {description['format_version']}")
        text = set(COLUMNS) - {"seconds", "sample_rate"}
        tracks = pd.read_csv(
            root / TRACKS, dtype=dict.fromkeys(text, str), keep_default_na=False, usecols=COLUMNS
        )
        dataset = PreparedDataset(
            root=root,
            name=description["name"],
            layout=description["layout"],
            genres=tuple(description["genres"]),
            plan=_plan(description["plan"]),
            tracks=tracks,
            normalisations={
                kind: Normalisation(tuple(each["mean"]), tuple(each["std"]))
                for kind, each in description["normalisations"].items()
            },
            columns=tuple(description["columns"]),
            origin=description["origin"],
            source=description["source"],
        )
        if dataset.split_digest != description["split_digest"]:
            raise ValueError(f"{TRACKS} was changed after it was prepared")
    except FileNotFoundError as error:
        raise DatasetError(f"{root}: no prepared dataset; make one with `mgr prepare`") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: damaged ({error}); run `mgr prepare` again") from error
    return dataset


def source_of(root: Path) -> str | None:
    """Return where a dataset was prepared from; None where there is no whole one."""
    try:
        source = json.loads((root / DESCRIPTION).read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return source if isinstance(source, str) else None


def track_ids(root: Path) -> set[str]:
    """Return the tracks that a folder's table lists, none where there is no such table."""
    try:
        table = pd.read_csv(root / TRACKS, usecols=["track_id"], dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        return set()
    return set(table.track_id)


def _plan(values: dict[str, Any]) -> Plan:
    spec = FeatureSpec(**values["spec"])
    return Plan(**values | {"kinds": tuple(values["kinds"]), "spec": spec})


def newest(folder: Path) -> Path:
    """Return the folder of the dataset that was prepared last.

    Raises
    ------
    DatasetError
        If there is none.
    """
    found = sorted(folder.glob(f"*/{DESCRIPTION}"), key=lambda path: (path.stat().st_mtime, path))
    if not found:
        raise DatasetError(f"{folder}: no prepared dataset; make one with `mgr prepare FOLDER`")
    return found[-1].parent
