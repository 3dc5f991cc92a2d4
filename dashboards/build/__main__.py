"""`python -m dashboards.build` writes dashboards/*.json anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dashboards.build.itself import itself
from dashboards.build.nodes import nodes
from dashboards.build.overview import overview
from dashboards.build.providers import providers
from dashboards.build.services import services
from dashboards.build.wallets import wallets

FOLDER: Final = Path(__file__).parent.parent


def built() -> Mapping[str, str]:
    """The JSON of every dashboard, by the name of its file."""
    boards = (overview(), nodes(), providers(), wallets(), services(), itself())
    return {f"{board.uid}.json": board.json() for board in boards}


if __name__ == "__main__":
    for name, text in built().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
