"""tonwatch with something that never ends: ``python -m tests.commands.never_ending FILE FAULT
SECONDS ARGUMENTS``.

FILE appears once it has begun. SECONDS is the limit for shutdown.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tonwatch import cli
from tonwatch.commands import run as daemon
from tonwatch.targets.liteserver import probes as liteserver
from tonwatch.watch import judge, view

FAULTS: dict[str, Callable[[Path], None]] = {}


def fault(inject: Callable[[Path], None]) -> Callable[[Path], None]:
    FAULTS[inject.__name__] = inject
    return inject


@fault
def a_query_that_ignores_cancellation(begun: Path) -> None:
    async def head(*_: Any, **__: Any) -> None:
        begun.touch()  # noqa: ASYNC240
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    liteserver.head = head  # type: ignore[assignment]


@fault
def a_judge_that_loops(begun: Path) -> None:
    real, calls = judge.judge, 0

    def spinning(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < 3:
            return real(*arguments, **named)
        begun.touch()
        while True:
            pass

    view.judge = spinning  # type: ignore[attr-defined]


def main() -> int:
    file, name, seconds, *arguments = sys.argv[1:]
    daemon.ENDS_WITHIN = float(seconds)  # type: ignore[misc]
    FAULTS[name](Path(file))
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
