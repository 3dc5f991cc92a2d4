"""tonwatch whose threads hang as in the kernel: ``python -m tests.commands.hanging DIR ARGUMENTS``.

In DIR a file appears for each pool of which a thread hangs.
"""

import sys
import threading
from pathlib import Path
from typing import Any

from tonwatch import cli
from tonwatch.serve.health import document as health_document
from tonwatch.serve.metrics.collector import MetricsCollector
from tonwatch.state.sqlite import SqliteStore
from tonwatch.system import regular_file
from tonwatch.ton import names

POOLS = ("names", "secrets", "state", "scrapes", "pages")


def main() -> int:
    directory, *arguments = sys.argv[1:]

    def hang(pool: str) -> Any:
        def call(*_: object, **__: object) -> None:
            (Path(directory) / pool).touch()
            threading.Event().wait()

        return call

    names._look_up = hang("names")
    regular_file.read = hang("secrets")
    SqliteStore.checkpoint = hang("state")  # type: ignore[method-assign]
    MetricsCollector.write = hang("scrapes")  # type: ignore[method-assign]
    health_document.document = hang("pages")
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
