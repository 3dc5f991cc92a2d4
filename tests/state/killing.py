"""Kills a process that writes state, again and again: ``python -m tests.state.killing DIR SEED``.

Two accounts are written in one transaction, with the same number. After each death both must have
the same, at least the last one that was reported as written. In some rounds the disk also refuses
what would make a file longer than a limit, at any place of a transaction.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

from tonwatch.samples.account import AccountKey
from tonwatch.state.sqlite import SqliteStore
from tonwatch.state.store import Changes, Unreadable

ROUNDS: Final = 60
KEYS: Final = (AccountKey("hot", "native"), AccountKey("hot", "usdt"))
FILLER: Final = 9000
"""Bytes of an entry: it takes several pages."""


def encoded(number: int) -> bytes:
    return b"%d " % number + bytes([number % 251]) * (number * 37 % FILLER)


def write_on(state_dir: Path, report: int, random: Random) -> None:
    """Write until killed."""
    store = SqliteStore(state_dir)
    number = last(store)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    while True:
        number += 1
        limit = random.choice([most, most, random.randrange(60_000)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        try:
            store.write(Changes(dict.fromkeys(KEYS, encoded(number))))
        except Unreadable:
            number -= 1
        else:
            os.write(report, number.to_bytes(8, "big"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def last(store: SqliteStore) -> int:
    """The number that both accounts have."""
    one, other = (store.checkpoint(key) for key in KEYS)
    assert one == other, "half a transaction"
    number = int(one.split()[0]) if one else 0
    assert not one or one == encoded(number), "a damaged entry"
    return number


def main() -> int:
    state_dir, random = Path(sys.argv[1]), Random(int(sys.argv[2]))
    whole = 0
    for _ in range(ROUNDS):
        reading, report = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            write_on(state_dir, report, random)
        os.close(report)
        time.sleep(random.uniform(0.002, 0.06))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, "it ended by itself"
        with os.fdopen(reading, "rb") as reports:
            written = reports.read()
        reported = int.from_bytes(written[-8:], "big") or whole
        store = SqliteStore(state_dir)
        whole = last(store)
        assert store.lost == 0
        store.close()
        assert reported <= whole <= reported + 1, f"{reported} was written, {whole} is left"
    names = {entry.name for entry in state_dir.iterdir()}
    assert names <= {"tonwatch.sqlite3", "tonwatch.sqlite3-journal"}, names
    sys.stdout.write(f"{whole}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
