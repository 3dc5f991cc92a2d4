"""Which folders of the simulator import which: a chain knows no contract, contracts no server."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tonwatch.simulator

ROOT = Path(tonwatch.simulator.__path__[0])
PACKAGE = "tonwatch.simulator"

ALLOWED: dict[str, set[str]] = {
    "chain": set(),
    "faults": {"chain"},
    "contracts": {"chain", "faults"},
    "world": {"chain", "contracts", "faults"},
    "servers": {"chain", "faults"},
    "scenarios": {"faults", "network", "servers"},
}


def imported(folder: str) -> Iterator[str]:
    """Names below `tonwatch.` of all that the modules of a folder import."""
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


def test_every_folder_has_its_line() -> None:
    assert {file.parent.name for file in ROOT.glob("*/__init__.py")} == set(ALLOWED)


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_within_the_simulator(folder: str) -> None:
    inside = [name.split(".")[2] for name in imported(folder) if name.startswith(f"{PACKAGE}.")]
    assert inside, "nothing was read"
    assert set(inside) - {folder} <= ALLOWED[folder]
