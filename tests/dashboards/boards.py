"""The committed dashboards, and their queries with variables filled in."""

import json
import re
from typing import Any, Final

import promql_parser as promql

from dashboards.build.__main__ import FOLDER

BOARDS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")
}

BUILT_IN: Final = {
    "__rate_interval": "5m",
    "__interval": "1m",
    "__range": "1h",
    "__url_time_range": "from=now-1h",
}


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def filled(text: str, board: dict[str, Any]) -> str:
    """The text with a value for each variable; fails on an unknown one."""
    known = dict.fromkeys(variables(board), "x") | BUILT_IN
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], text)


def parsed(text: str, board: dict[str, Any]) -> Any:
    return promql.parse(filled(text, board))
