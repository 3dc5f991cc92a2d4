"""The alerting and recording rules as they are shipped, and the tools for them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.programs import program

ALERTS: Final = Path(__file__).parents[1] / "alerts"

Rule = dict[str, Any]


def rules(name: str = "*") -> Iterator[Rule]:
    """All of them, file by file, or those of one file."""
    for path in sorted(ALERTS.glob(f"{name}.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in content.get("groups", ()):  # Alertmanager's configuration has none
            yield from group["rules"]


def promtool(*arguments: str | Path) -> None:
    """Run the installed promtool; fail with its output where it fails."""
    accepted(program("promtool"), *arguments)


def accepted(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool; fail with its output where it fails, else return it.

    Args:
        tool: its path.
    """
    done = subprocess.run(
        [tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
