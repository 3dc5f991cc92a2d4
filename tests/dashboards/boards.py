"""The dashboards as they are committed, and their queries with something chosen."""

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
    """With a value in the place of each variable; there must be no other."""
    known = dict.fromkeys(variables(board), "x") | BUILT_IN
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], text)


def parsed(text: str, board: dict[str, Any]) -> Any:
    return promql.parse(filled(text, board))
