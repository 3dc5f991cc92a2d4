"""What /health shows of a stage, as a document, as a page, and as the words on it."""

from html.parser import HTMLParser
from typing import Any

from tests.serve.stage import Stage
from tonwatch.serve.health import page
from tonwatch.serve.health.document import document


def render(stage: Stage, *, refresh: bool = True) -> str:
    return page.render(stage.watcher.view, alive=True, refresh=refresh)


def described(stage: Stage) -> dict[str, Any]:
    return document(stage.watcher.view)


def text_of(html: str) -> str:
    """What a reader of the page reads."""
    words: list[str] = []

    class Reader(HTMLParser):
        hidden = False

        def handle_starttag(self, tag: str, _: object) -> None:
            self.hidden = tag == "style"

        def handle_data(self, data: str) -> None:
            if not self.hidden:
                words.append(data)

    Reader().feed(html)
    return " ".join(" ".join(words).split())
