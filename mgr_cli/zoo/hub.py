"""What the hub of Hugging Face wants to know of an entry: `README.md` and two settings.

All of it is made of the card, which stays in the folder as `card.json` and is what counts.

References
----------
https://huggingface.co/docs/hub/model-cards: the keys at the head of a README, of which
``model-index`` holds figures (https://github.com/paperswithcode/model-index). Its sections are
those of M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, of which we have
something to say.
"""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import yaml

from mgr_cli.config import Split
from mgr_cli.intervals import Estimate
from mgr_cli.models.registry import is_fitted
from mgr_cli.zoo import descriptions
from mgr_cli.zoo.card import Assessment, Card

LICENCES = frozenset(
    {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
     "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0",
     "agpl-3.0", "mpl-2.0", "unlicense"}
)  # fmt: skip
"""That the hub knows by name, of those that weights are given; others are called other."""

SHOWN = {"accuracy": "accuracy", "f1_macro": "f1"}  # name of a score → the hub's name of it
TITLES = {"accuracy": "accuracy", "f1_macro": "macro F1"}


def files(card: Card) -> dict[str, str]:
    """Make the files of a Hugging Face folder that are not the entry's own, by name."""
    return {
        "README.md": f"---\n{_metadata(card)}---\n\n{_text(card)}",
        "config.json": _json(_config(card)),
        "preprocessor_config.json": _json(_front_end(card)),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _metadata(card: Card) -> str:
    hears = "table" not in card.eats
    library = "sklearn" if is_fitted(card.architecture) else "mgr"
    said: dict[str, Any] = {
        **_licence(card.licence),
        "library_name": library,
        "pipeline_tag": "audio-classification" if hears else "tabular-classification",
        "tags": ["music", "music-genre-recognition", "mgr", card.architecture],
        "datasets": [card.dataset.name],
        "metrics": list(SHOWN.values()),
    }
    if card.figures:
        said["model-index"] = [{"name": card.name, "results": _results(card)}]
    text: str = yaml.safe_dump(said, sort_keys=False, allow_unicode=True)
    return text


def _licence(licence: str) -> dict[str, str]:
    if licence.lower() in LICENCES:
        return {"license": licence.lower()}
    short = re.sub(r"[^a-z0-9.]+", "-", licence.split(":")[0].lower()).strip("-.")[:60]
    return {"license": "other", "license_name": short or "see-below"}


def _results(card: Card) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": "audio-classification", "name": "Music genre recognition"},
            "dataset": {"type": card.dataset.name, "name": card.dataset.name, "split": split},
            "metrics": [
                {"type": kind, "value": measured.track[score].value, "name": TITLES[score]}
                for score, kind in SHOWN.items()
                if score in measured.track
            ],
        }
        for split, measured in card.figures.items()
    ]


def _config(card: Card) -> dict[str, Any]:
    said = card.model_dump(mode="json")
    keys = ("hyperparameters", "eats", "segments", "vote", "temperature", "trust")
    return {
        "model_type": f"mgr-{card.architecture}",
        "architectures": [card.architecture],
        "num_labels": len(card.classes),
        "id2label": {str(index): name for index, name in enumerate(card.classes)},
        "label2id": {name: index for index, name in enumerate(card.classes)},
        "num_parameters": card.n_parameters,
        **{key: said[key] for key in keys},
    }


def _front_end(card: Card) -> dict[str, Any]:
    said = card.model_dump(mode="json")
    return {
        "feature_extractor_type": f"mgr-{'+'.join(card.eats)}",
        "sampling_rate": card.features.sample_rate,
        **asdict(card.features),
        "form": card.form,
        "columns": list(card.columns),
        "normalisation": said["normalisation"],
    }


def _text(card: Card) -> str:
    genres = ", ".join(map(_plain, card.classes))
    counts = ", ".join(f"{count} {split}" for split, count in card.dataset.counts.items())
    paragraphs = [
        f"# {_plain(card.name)}",
        f"Tells {len(card.classes)} genres of music apart: {genres}. An entry of the zoo of `mgr`, "
        f"of the architecture {_plain(card.architecture)}, with {card.n_parameters:,} parameters.",
        "## Intended use",
        f"```sh\nmgr zoo import FOLDER      # this one, where you have it; it is checked first\n"
        f"mgr predict --model {_in_shell(card.name)} song.mp3\n```",
        "What it is not for:",
        _list(descriptions.misuse(card)),
        "## Training",
        f"{_sentence(card.provenance)} {_plain(card.dataset.name)} has {counts} tracks; digest of "
        f"the split `{card.dataset.split_digest[:16]}`. `card.json` has the recipe and the seed.",
        *(_borrowed(card)),
        "How it was chosen:",
        _list(descriptions.choice(card)),
        "## Figures",
        *_figures(card),
        *(_trusted(card)),
        "## Limitations",
        *_weaknesses(card),
        "## Licence",
        _sentence(card.licence),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _in_shell(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else "NAME"


def _borrowed(card: Card) -> list[str]:
    return [f"Behind a borrowed net: {_sentence(card.borrowed.origin)}"] if card.borrowed else []


def _trusted(card: Card) -> list[str]:
    trust = card.trust
    if trust is None:
        return []
    return [
        f"Below a confidence of {100 * trust.threshold:.1f} % the answer is *unsure*: on the "
        f"validation split {100 * trust.coverage:.0f} % of the tracks are above, and "
        f"{100 * trust.precision:.0f} % of those are right."
    ]


def _weaknesses(card: Card) -> list[str]:
    heading, sentences = descriptions.weaknesses(card)
    return [f"{heading.capitalize()}:", _list(sentences)]


def _figures(card: Card) -> list[str]:
    """Draw a Markdown table of the figures of whole tracks, a row a split."""
    if not card.figures:
        return ["None were measured."]
    rows = ["| split | tracks | accuracy | macro F1 |", "|---|---|---|---|"]
    rows += [_row(split, measured) for split, measured in card.figures.items()]
    return ["Of whole tracks, in %, with 95 % intervals over tracks.", "\n".join(rows)]


def _row(split: Split, measured: Assessment) -> str:
    cells = [split, str(measured.n_tracks), *(_interval(measured.track.get(s)) for s in SHOWN)]
    return f"| {' | '.join(cells)} |"


def _interval(score: Estimate | None) -> str:
    if score is None:
        return "–"
    return f"{100 * score.value:.1f} ({100 * score.low:.1f}–{100 * score.high:.1f})"


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_sentence(each)}" for each in sentences)


def _sentence(text: str) -> str:
    plain = _plain(text).rstrip(".")
    return f"{plain[:1].upper()}{plain[1:]}."


def _plain(text: str) -> str:
    """Make a text that a page shows as it is, on one line, with no markup of its own."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(line, quote=False))
