"""Imports go one way, and what makes tables does not load torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "mmke"
CORE = {"types", "counting", "errors", "renamed", "steps"}
LAYERS = {
    "types": set(),
    "counting": set(),
    "errors": set(),
    "renamed": set(),
    "steps": set(),
    "lines": CORE,
    "registry": CORE
    | {"protocols", "build", "trackers"},  # whose protocols it reads when a factory of another package is called
    "metrics": CORE,
    "digests": CORE,
    "threads": set(),
    "torchvision": set(),
    "pins": set(),
    "downloads": CORE | {"digests", "pins"},
    "packaged": CORE | {"downloads"},
    "pictures": CORE,
    "benchmarks": CORE | {"registry", "downloads", "pictures"},
    "abilities": CORE | {"metrics", "pictures", "benchmarks"},
    "results": CORE | {"lines"},
    "hub": CORE,
    "report": CORE | {"results", "hub", "pictures", "abilities"},
    "workers": CORE | {"results", "threads"},
    "protocols": CORE,
    "backbones": CORE | {"protocols", "torchvision", "digests", "downloads", "packaged", "pictures"},
    "editing": CORE | {"registry", "protocols", "backbones", "packaged"},
    "editors": CORE | {"registry", "protocols", "backbones", "editing", "digests"},
    "running": CORE
    | {
        "registry",
        "protocols",
        "backbones",
        "editing",
        "editors",
        "benchmarks",
        "metrics",
        "results",
        "lines",
        "workers",
        "abilities",
    },
    "edits": CORE
    | {"registry", "protocols", "backbones", "editing", "benchmarks", "results", "lines", "running"}
    | {"pictures", "digests", "hub"},
    "build": CORE | {"hub", "lines", "registry", "digests", "downloads", "pictures", "benchmarks"},
    "web": CORE
    | {"lines", "pictures", "build", "registry", "protocols", "backbones", "benchmarks", "editing", "running", "edits"},
    "testing": CORE
    | {"registry", "protocols", "backbones", "editing", "editors", "benchmarks", "metrics", "running"}
    | {"edits"},
    "events": set(),
    "trackers": CORE | {"registry", "report", "results", "events"},
    "training": CORE
    | {"registry", "protocols", "backbones", "editing", "editors", "benchmarks", "results", "running", "lines"}
    | {"events", "workers"},
    "grid": CORE
    | {"registry", "protocols", "editing", "benchmarks", "results", "running", "training", "workers", "lines"},
}
WITHOUT_TORCH = (
    "types",
    "counting",
    "errors",
    "renamed",
    "steps",
    "registry",
    "digests",
    "pins",
    "downloads",
    "hub",
    "packaged",
    "pictures",
    "metrics",
    "benchmarks",
    "abilities",
    "results",
    "lines",
    "report",
    "trackers",
    "build",
    "web",
    "workers",
)


def imported(file: Path) -> set[str]:
    """Return the parts of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mmke":
            names = [alias.name for alias in node.names] if node.module == "mmke" else [node.module.split(".")[1]]
            found.update(names)
        if isinstance(node, ast.Import):
            found.update(a.name.split(".")[1] for a in node.names if a.name.startswith("mmke."))
    return found


def files(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


@pytest.mark.parametrize("part", LAYERS)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    assert files(part)
    for file in files(part):
        assert imported(file) <= LAYERS[part] | {part}, file


def test_every_part_has_its_place() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    doors = {"api", "cli", "compat"}
    assert parts - set(LAYERS) == {"__init__", "__main__", "exits", "fetching", *doors}


def test_tables_and_metrics_and_data_are_made_without_torch() -> None:
    modules = [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        for part in WITHOUT_TORCH
        for file in files(part)
        if "room" not in file.parts  # of web/play, which the thread that computes imports
    ]
    program = (
        f"import importlib, sys; [importlib.import_module(m) for m in {modules}]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
