"""What /health shows of a scene: the document, the page, and the text of the page."""

from html.parser import HTMLParser
from typing import Any

from tests.serve.scene import Scene
from tonwatch.serve.health import page
from tonwatch.serve.health.document import document


def render(scene: Scene, *, refresh: bool = True) -> str:
    return page.render(scene.watcher.view, alive=True, refresh=refresh)


def described(scene: Scene) -> dict[str, Any]:
    return document(scene.watcher.view)


def text_of(html: str) -> str:
    """The visible text of a page."""
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
