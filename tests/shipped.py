"""The alerting and recording rules as they are shipped, and Prometheus' own tool for them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ALERTS: Final = Path(__file__).parents[1] / "alerts"

Rule = dict[str, Any]


def rules(name: str = "*") -> Iterator[Rule]:
    """All of them, file by file, or those of one file."""
    for path in sorted(ALERTS.glob(f"{name}.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in content.get("groups", ()):  # Alertmanager's configuration has none
            yield from group["rules"]


def promtool(*arguments: str | Path) -> None:
    """Run Prometheus' own tool, and fail with what it says where it is not content."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: apt-get install prometheus"
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
