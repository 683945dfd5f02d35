"""What imports what: arrows go one way, from the command line down to the compiled core, and there is no cycle.

Imports are read from the sources, wherever they stand: at the top, inside a function, for type checkers only, and as
the strings of modules that are imported by name.
"""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "fastpre"

# From the bottom up, a line for each layer: a module imports from the layers below its own, or from its own entry's
# folder. A module belongs to the longest entry that its name begins with; "" is `fastpre` itself. Some are yet to come.
LAYERS = (
    ("_core", "errors", "typing"),
    ("_backend",),
    ("interop",),  # readers of other libraries' transforms: they give fields and know no Spec
    ("spec", "result", "augment", "_devices", "_progress"),
    ("preprocessor", "planning", "transcoding"),
    ("transforms", "interop.huggingface", "interop.ray"),
    ("data",),
    ("",),
    ("serve",),
    ("load",),  # measures a server; encodes requests as serve's protocol does
    ("cli",),
    ("__main__",),
)
LEVEL = {entry: level for level, entries in enumerate(LAYERS) for entry in entries}

Graph = dict[str, set[str]]


def sources() -> dict[str, str]:
    """Texts by module, without the leading "fastpre."; packages by their folder's name."""
    found = {"_core": ""}  # compiled
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path.read_text(encoding="utf-8")
    return found


def packages(modules: dict[str, str]) -> set[str]:
    return {name.rpartition(".")[0] for name in modules}


def joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def imports(module: str, modules: dict[str, str]) -> set[str]:
    """The package's modules that one module imports, ever."""
    tree = ast.parse(modules[module])
    package = module if module in packages(modules) else module.rpartition(".")[0]
    by_name = "import_module" in modules[module]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {name.partition(".")[2] for name in names if name.partition(".")[0] == "fastpre"}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                steps = package.split(".") if package else []
                base = joined(*steps[: len(steps) - node.level + 1], node.module or "")
            elif (node.module or "").partition(".")[0] == "fastpre":
                base = (node.module or "").partition(".")[2]
            else:
                continue
            named = {joined(base, alias.name) for alias in node.names}
            found |= named & modules.keys()
            if named - modules.keys():
                found.add(base)
        elif by_name and isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.partition(":")[0]
            # "load" in fastpre.serve is its function; the module would be "fastpre.load".
            absolute = text.startswith("fastpre.")
            named = {text.removeprefix("fastpre.") if absolute else joined(package, text.removeprefix("."))}
            found |= named & (modules.keys() - {""})
    return found - {module}


def graph(modules: dict[str, str]) -> Graph:
    return {module: imports(module, modules) for module in modules}


def entry(module: str) -> str | None:
    """Where the table of layers has the module."""
    if not module:
        return ""
    parts = module.split(".")
    prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in LEVEL), None)


def wrong_arrows(arrows: Graph) -> list[str]:
    """Imports from the same layer or one above, and modules that are in no layer."""
    wrong = [f"{module} is in no layer" for module in arrows if entry(module) is None]
    for module, targets in arrows.items():
        here = entry(module)
        for target in sorted(targets):
            there = entry(target)
            if here is not None and there is not None and here != there and LEVEL[there] >= LEVEL[here]:
                wrong.append(f"{module} imports {target}")
    return wrong


def cycle(arrows: Graph) -> list[str]:
    """The modules of a cycle, if there is one."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.fixture(scope="module")
def modules() -> dict[str, str]:
    found = sources()
    assert {"", "spec", "cli.run", "_backend.devices", "data.loader"} <= found.keys()
    return found


def test_arrows_go_one_way(modules: dict[str, str]) -> None:
    assert wrong_arrows(graph(modules)) == []


def test_there_is_no_cycle(modules: dict[str, str]) -> None:
    assert cycle(graph(modules)) == []


def test_every_way_to_import_is_seen(modules: dict[str, str]) -> None:
    arrows = graph(modules)
    assert "_core" in arrows["spec"]  # from . import _core
    assert "_backend.output" in arrows["spec"]  # from ._backend.output import Layout
    assert "interop.torchvision" in arrows["spec"]  # inside a function
    assert {"", "errors"} <= arrows["cli.files"]  # from fastpre import ...; from fastpre.errors import ...
    assert {"cli.run", "cli.doctor"} <= arrows["cli"]  # by name
    assert "cli.formats.npy" in arrows["cli.formats"]  # by name, relative
    assert {"data", "transforms"} <= arrows[""]  # by name, when asked for
    assert "data.folder" in arrows["data"]  # for type checkers


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("spec", "from .preprocessor import Preprocessor", "spec imports preprocessor"),
        ("spec", "def f():\n    from . import transforms", "spec imports transforms"),
        ("interop.torchvision", "def f():\n    from ..spec import Spec", "interop.torchvision imports spec"),
        ("_backend.output", "import fastpre.spec", "_backend.output imports spec"),
        ("_backend.output", "from fastpre import Spec", "_backend.output imports "),
        ("result", "from .spec import Spec", "result imports spec"),
        ("data.loader", "from fastpre.cli.run import run", "data.loader imports cli.run"),
        ("planning", "import importlib\nimportlib.import_module('fastpre.data')", "planning imports data"),
    ],
)
def test_a_wrong_arrow_is_found(modules: dict[str, str], module: str, line: str, fault: str) -> None:
    assert fault in wrong_arrows(graph({**modules, module: f"{modules[module]}\n{line}\n"}))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("_backend.call", "from . import cpu"),
        ("cli.command", "def f():\n    from . import main"),
        ("interop.refusals", "def f():\n    from .torchvision import fields"),
    ],
)
def test_a_cycle_is_found(modules: dict[str, str], module: str, line: str) -> None:
    found = cycle(graph({**modules, module: f"{modules[module]}\n{line}\n"}))
    assert module in found


def test_a_module_without_a_layer_is_found(modules: dict[str, str]) -> None:
    assert wrong_arrows(graph({**modules, "novelty": ""})) == ["novelty is in no layer"]
