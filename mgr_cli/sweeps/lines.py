"""YAML whose every value knows the line that it stands on, so that an error can name it.

A file may come from a stranger: it is small, and only numbers, truth values and texts are read
from it, one by one as they are asked for. Nothing is built that was not asked for, so a tag
makes no object, and an alias that stands for a million others costs nothing.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import yaml

from mgr_cli.errors import SweepError
from mgr_cli.sweeps.distributions import Value

MAX_BYTES = 2**20
MAX_ITEMS = 1_000  # of a mapping, or a list
LARGEST = 1e300  # number that is believed

_Word = TypeVar("_Word", bound=str)

_TAG = "tag:yaml.org,2002:"
_KINDS = ("str", "int", "float", "bool")
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")  # YAML 1.1 takes 1e-4 for a text


@dataclass(frozen=True)
class Spot:
    """A value in a file, and where it stands.

    Attributes
    ----------
    source : str
        What errors call the file.
    line : int
        From 1; that of the key, where there is one.
    node : yaml.Node
        The value.
    """

    source: str
    line: int
    node: yaml.Node

    def error(self, message: str) -> SweepError:
        """Return an error that points here."""
        return SweepError(f"{self.source}:{self.line}: {message}")

    def fields(self, what: str, known: Collection[str] | None = None) -> dict[str, "Spot"]:
        """Read a mapping.

        Parameters
        ----------
        what : str
            Its name in errors.
        known : collection of str, optional
            The keys that it may have; any, where none are given.

        Raises
        ------
        SweepError
            If it is none, is empty, or has a key twice, or one that is not known.
        """
        if not isinstance(self.node, yaml.MappingNode) or not self.node.value:
            example = "" if known is None else f" with some of {', '.join(known)}"
            raise self.error(f"{what} is {self._found()}, expected a mapping{example}")
        self._limit(what, self.node)
        found: dict[str, Spot] = {}
        for key, node in self.node.value:
            spot = Spot(self.source, key.start_mark.line + 1, node)
            name = key.value if isinstance(key, yaml.ScalarNode) else "[…]"
            if name in found:
                raise spot.error(f"{name!r} stands here for the second time; leave one out")
            if known is not None and name not in known:
                raise spot.error(f"unknown key {name!r}, {_offer(name, known)}")
            found[name] = spot
        return found

    def items(self, what: str) -> tuple["Spot", ...]:
        """Read a list.

        Raises
        ------
        SweepError
            If it is none, or is empty.
        """
        if not isinstance(self.node, yaml.SequenceNode) or not self.node.value:
            raise self.error(f"{what} is {self._found()}, expected a list of some")
        self._limit(what, self.node)
        return tuple(Spot(self.source, n.start_mark.line + 1, n) for n in self.node.value)

    def value(self, what: str) -> Value:
        """Read a number, a truth value or a text.

        Raises
        ------
        SweepError
            If it is none of them, or a number that no computer can use.
        """
        kind = self.node.tag.removeprefix(_TAG)
        refusal = f"{what} is {self._found()}, expected a number, a text, or true or false"
        if not isinstance(self.node, yaml.ScalarNode) or kind not in _KINDS:
            raise self.error(refusal)
        if kind == "str" and self.node.style is None and _EXPONENT.fullmatch(self.node.value):
            kind = "float"
        try:
            value: Value = getattr(yaml.constructor.SafeConstructor(), f"construct_yaml_{kind}")(
                self.node
            )
        except (ValueError, LookupError, OverflowError) as error:
            raise self.error(refusal) from error
        if not isinstance(value, str) and not abs(value) < LARGEST:  # nor is nan
            raise self.error(f"{what} is {self._found()}, expected a finite number")
        return value

    def number(self, what: str) -> float:
        """Read a number, whole or not.

        Raises
        ------
        SweepError
            If it is none.
        """
        value = self.value(what)
        if isinstance(value, bool | str):
            raise self.error(f"{what} is {value!r}, expected a number")
        return value

    def whole(self, what: str) -> int:
        """Read a whole number from 1.

        Raises
        ------
        SweepError
            If it is none.
        """
        value = self.number(what)
        if value != int(value) or value < 1:
            raise self.error(f"{what} is {value}, expected a whole number from 1")
        return int(value)

    def one_of(self, what: str, choices: Collection[_Word]) -> _Word:
        """Read one of some words.

        Raises
        ------
        SweepError
            If it is another; close ones are offered.
        """
        value = self.value(what)
        for choice in choices:
            if value == choice:
                return choice
        raise self.error(f"{what} is {value!r}, {_offer(str(value), choices)}")

    def _found(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return repr(self.node.value[:40]) if self.node.value else "empty"
        kind = "mapping" if isinstance(self.node, yaml.MappingNode) else "list"
        return f"a {kind}" if self.node.value else f"an empty {kind}"

    def _limit(self, what: str, node: yaml.CollectionNode) -> None:
        if len(node.value) > MAX_ITEMS:
            raise self.error(f"{what} has {len(node.value)} items, expected {MAX_ITEMS} at most")


def load(path: Path) -> Spot:
    """Read a file of one YAML document.

    Raises
    ------
    SweepError
        If it cannot be read, is too large, or is no YAML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SweepError(f"{path}: more than {MAX_BYTES} bytes, expected a sweep")
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{path}: cannot be read ({error}); name a YAML file") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SweepError(f"{path}{line}: no YAML: {_one_line(error.problem)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SweepError(f"{path}: no YAML: {_one_line(error)}") from error
    if node is None:
        raise SweepError(f"{path}:1: the file is empty, expected a sweep with parameters")
    return Spot(str(path), node.start_mark.line + 1, node)


def _offer(name: str, choices: Collection[str]) -> str:
    close = get_close_matches(name, choices, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(choices)}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
