"""Imports point down; DESIGN.md draws the floors."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mgr_cli

# Lowest first. A module may import what stands below it; those of one package may import
# each other without circles. A new module has its place here, or a test fails.
LADDER = (
    ("errors", "config", "files"),
    ("plans", "instruments", "cores", "metrics"),
    ("decoders", "votes", "intervals", "failures", "encoding", "content", "tags", "trust",
     "taxonomy", "segments", "augment", "stretching", "synthesis", "features",
     "hyperband", "databases"),
    ("models",),
    ("audio", "calibration", "comparison", "demo", "styles", "engines", "recipes", "inputs",
     "augmentation", "grid_search", "sweeps", "playlists", "trials"),
    ("composition", "extraction", "studies", "worker"),
    ("data", "zoo"),
    ("intake", "forms"),
    ("prediction", "preparation"),
    ("records",),
    ("journal", "crew", "desk", "tagging"),
    ("bulk",),
    ("distillation",),
    ("genre_maps", "leaks", "task", "batches", "trainer", "budget", "loggers", "tables"),
    ("compatibility", "refit"),
    ("judging",),
    ("evaluation",),
    ("appraisal", "findings", "training", "fitting", "importance", "explanation"),
    ("publication", "robustness"),
    ("combination",),
    ("tuning", "reports"),
    ("commands",),
    ("__main__",),
)  # fmt: skip
FLOOR = {part: floor for floor, parts in enumerate(LADDER) for part in parts}

HEAVY = frozenset(
    {"torch", "torchaudio", "torchvision", "pandas", "sklearn", "scipy", "librosa", "lightning",
     "matplotlib", "captum", "optuna", "onnxruntime", "onnx", "skl2onnx"}
)  # fmt: skip
LIGHT = ("errors", "config", "files", "plans", "models.registry", "models.rows", "data.sources")

ROOT = Path(mgr_cli.__file__).parent
PATHS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py"  # the facade names homes on all floors, and imports none
}
MODULES = sorted(PATHS)


def tree(module: str) -> ast.Module:
    return ast.parse(PATHS[module].read_text(encoding="utf-8"))


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names that an import statement asks for."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: imports are absolute"
        assert node.module is not None
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def anywhere(module: str) -> set[str]:
    """List what a module imports: at the top, in functions, and for type checkers."""
    return {name for node in ast.walk(tree(module)) for name in imported(node)}


def at_the_top(module: str) -> set[str]:
    """List what importing a module imports."""

    def walk(nodes: list[ast.stmt]) -> Iterator[str]:
        for node in nodes:
            yield from imported(node)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                yield from walk(node.orelse)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for part in ("body", "orelse", "finalbody"):
                    yield from walk(getattr(node, part, []))

    return set(walk(tree(module).body))


def own(names: set[str]) -> set[str]:
    """Keep the modules of this package, by their names in `PATHS`."""
    found = set()
    for name in names:
        if name == "mgr_cli" or name.startswith("mgr_cli."):
            inside = name.removeprefix("mgr_cli").removeprefix(".")
            while inside not in PATHS and "." in inside:
                inside = inside.rpartition(".")[0]
            assert inside in PATHS, f"{name} is taken from the facade; name its home"
            found.add(inside)
    return found


def named(module: str) -> set[str]:
    """List the modules that a module's tables name as ``module:function``."""
    texts = (
        node.value
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {text.split(":")[0] for text in texts if re.fullmatch(r"mgr_cli(\.\w+)+:\w+", text)}


def package(module: str) -> str:
    return module.split(".")[0]


def test_the_tests_see_the_package() -> None:
    assert {"config", "data.store", "zoo.entries", "commands.app"} <= set(MODULES)
    assert "mgr_cli.data.dataset.load" not in anywhere("commands.eval")
    assert "torch" in {name.split(".")[0] for name in anywhere("prediction")}
    assert "torch" not in {name.split(".")[0] for name in at_the_top("prediction")}
    assert own({"mgr_cli.zoo.entries", "mgr_cli.zoo.card.Card", "numpy"}) == {
        "zoo.entries", "zoo.card",
    }  # fmt: skip
    assert named("models.rows") >= {"mgr_cli.models.hybrid"}


def test_every_module_has_its_floor_and_every_floor_its_modules() -> None:
    assert {package(module) for module in MODULES} == set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    for other in own(anywhere(module) | named(module)):
        same_package = package(other) == package(module)
        assert same_package or FLOOR[package(other)] < FLOOR[package(module)], other


def test_no_import_goes_in_a_circle() -> None:
    graph = {module: own(anywhere(module)) for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError and shows the circle


@pytest.mark.parametrize("module", [m for m in MODULES if package(m) != "commands"])
def test_only_commands_talk_to_people(module: str) -> None:
    assert not {"typer", "rich", "click"} & {name.split(".")[0] for name in anywhere(module)}


@pytest.mark.parametrize(
    "module",
    [m for m in MODULES if package(m) == "commands" or m in LIGHT or PATHS[m].stem == "__init__"],
)
def test_what_every_start_reads_imports_nothing_heavy(module: str) -> None:
    assert not HEAVY & {name.split(".")[0] for name in at_the_top(module)}


@pytest.mark.parametrize("module", MODULES)
def test_only_the_trainer_imports_lightning(module: str) -> None:
    if module not in ("task", "training", "trainer", "budget", "loggers"):
        assert "lightning" not in {name.split(".")[0] for name in anywhere(module)}
