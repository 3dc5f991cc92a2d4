"""The alerting and recording rules as they are shipped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ALERTS: Final = Path(__file__).parents[1] / "alerts"

Rule = dict[str, Any]


def rules() -> Iterator[Rule]:
    """All of them, file by file."""
    for path in sorted(ALERTS.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in content.get("groups", ()):  # Alertmanager's configuration has none
            yield from group["rules"]
