"""Who may import whom. An arrow that is not in the table is a design decision: make it there, not in passing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "omicsfm"

WORDS = {"errors", "contracts", "outcome_spec", "features", "namespaces", "placement"}  # what every room speaks
TOOLS = {"build", "seeding", "distributed"}
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "paths": set(),
    "origin": {"paths"},
    "command": {"errors"},
    "memory": {"errors"},
    "contracts": {"errors", "outcome_spec"},
    "outcome_spec": set(),
    "namespaces": set(),
    "placement": {"namespaces"},
    "features": {"errors", "namespaces", "placement"},
    "feature_table": {"features"},
    "build": {"errors"},
    "seeding": set(),
    "distributed": set(),
    "metrics": WORDS | TOOLS,
    "data": WORDS | TOOLS | {"paths", "memory"},
    "heads": WORDS | TOOLS | {"metrics"},
    "model": WORDS | TOOLS,
    "objectives": WORDS | TOOLS | {"model", "heads", "metrics"},
    "checkpoint": WORDS | TOOLS | {"data", "feature_table"},  # reaches the model only by name, through build
    "baselines": WORDS | TOOLS | {"data", "metrics"},
    "inference": WORDS | TOOLS | {"checkpoint", "data", "model", "heads"},
    "training": WORDS
    | TOOLS
    | {
        "command",
        "origin",
        "paths",
        "data",
        "metrics",
        "model",
        "heads",
        "objectives",
        "checkpoint",
        "inference",
        "baselines",
    },
    "evaluation": WORDS
    | TOOLS
    | {"origin", "paths", "data", "metrics", "baselines", "model", "heads", "checkpoint", "inference", "training"},
    "explain": WORDS
    | TOOLS
    | {"origin", "data", "model", "heads", "checkpoint", "inference", "training", "evaluation"},
    "search": WORDS | TOOLS | {"data", "metrics", "evaluation"},
    "report": WORDS | {"seeding", "data", "metrics"},
    "scripts": {"paths"},
    "doctor": {"errors", "paths"},
    "data.inspect": WORDS | {"paths", "data", "feature_table"},  # a command of its own: a store beside a checkpoint
    "cli": {"command", "memory", "errors", "data", "data.inspect", "doctor", "training"},
}
CORE = ("contracts", "outcome_spec", "features", "build", "checkpoint", "model", "heads", "objectives", "metrics")
EDGE = ("pytorch_lightning", "lightning", "hydra", "omegaconf", "anndata", "mudata", "scanpy", "wandb", "deepspeed")

FILES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def room_of(module: str) -> str:
    """``data`` for ``omicsfm.data.store.OmicsStore``; the empty string for the package itself."""
    parts = module.split(".")[1:]
    if parts[:2] == ["data", "inspect"]:
        return "data.inspect"
    return parts[0] if parts and parts[0] in ARROWS else ""


def module_of(file: Path) -> str:
    return ".".join(("omicsfm", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def test_every_room_has_a_row_in_the_table() -> None:
    rooms = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p.is_dir() and any(p.glob("*.py")))}
    assert rooms - {"__init__"} <= set(ARROWS)


def test_rooms_import_only_along_the_arrows() -> None:
    broken = []
    for file in FILES:
        room = room_of(module_of(file))
        for line, module in imported_modules(file):
            other = room_of(module) if module.startswith("omicsfm.") else ""
            if room and other and other != room and other not in ARROWS[room]:
                broken.append(f"{file.relative_to(PACKAGE.parent)}:{line}: {room} may not import {module}")
    assert not broken, "\n".join(broken)


def test_the_arrows_have_no_cycle() -> None:
    def reachable(room: str, seen: frozenset[str]) -> None:
        assert room not in seen, f"{room} reaches itself through {sorted(seen)}"
        for other in ARROWS[room]:
            reachable(other, seen | {room})

    for room in ARROWS:
        reachable(room, frozenset())


def test_the_core_imports_nothing_of_the_edge() -> None:
    broken = [
        f"{file.relative_to(PACKAGE.parent)}:{line}: {module}"
        for file in FILES
        if room_of(module_of(file)) in CORE
        for line, module in imported_modules(file)
        if module.split(".")[0] in EDGE
    ]
    assert not broken, "\n".join(broken)


def test_only_training_imports_lightning() -> None:
    broken = [
        f"{file.relative_to(PACKAGE.parent)}:{line}: {module}"
        for file in FILES
        if room_of(module_of(file)) != "training"
        for line, module in imported_modules(file)
        if module.split(".")[0] in ("pytorch_lightning", "lightning")
    ]
    assert not broken, "\n".join(broken)


GUARD = """
import sys
def refuse(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(refuse)
"""


def loaded_after(statement: str) -> set[str]:
    """Top-level names in sys.modules of a fresh interpreter that ran ``statement`` and may open no socket."""
    code = f"{GUARD}\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PACKAGE.parent)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_importing_omicsfm_is_cheap_and_opens_no_socket() -> None:
    assert not {"torch", "numpy", "pandas", *EDGE} & loaded_after("import omicsfm")


def test_the_help_of_the_console_script_imports_nothing_heavy() -> None:
    statement = "import omicsfm.cli\ntry: omicsfm.cli.main(['--help'])\nexcept SystemExit: pass"
    assert not {"torch", "numpy", "pandas", *EDGE} & loaded_after(statement)


@pytest.mark.parametrize("name", ["omicsfm.load_checkpoint", "omicsfm.OmicsModel"])
def test_a_checkpoint_opens_without_the_edge(name: str) -> None:
    assert not set(EDGE) & loaded_after(f"import omicsfm\n{name}")
