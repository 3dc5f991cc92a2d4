"""Accounts of as many cells as there are, and a pool of threads that shows what it was given."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from pytoniq_core.boc.builder import Builder
from pytoniq_core.boc.hashmap.hashmap import HashMap

from tonwatch.simulator.contracts.wallets.kinds import CODES
from tonwatch.ton.cells.boc import read_one
from tonwatch.ton.cells.cell import Cell, cell
from tonwatch.ton.contracts.wallets import WalletKind

HIGHLOAD_CODE: Final = CODES[WalletKind.HIGHLOAD_V2]
LAST_CLEAN: Final = 1_700_000_000


def highload_data(queries: int) -> Cell:
    """What a highload v2 wallet stores that remembers so many queries: twice as many cells."""
    remembered = HashMap(64)
    for index in range(queries):
        remembered.set_int_key((LAST_CLEAN + index) << 32 | 7 * index, Builder().end_cell())
    written: Any = remembered.serialize()
    head = (698983191).to_bytes(4, "big") + (LAST_CLEAN << 32).to_bytes(8, "big") + bytes(32)
    return cell(head, read_one(written.to_boc(), max_cells=1 << 17), tail="1")


def cells_below(root: Cell) -> int:
    """How many different cells there are, `root` included."""
    seen: set[bytes] = set()
    left = [root]
    while left:
        at = left.pop()
        if at.hash not in seen:
            seen.add(at.hash)
            left += at.refs
    return len(seen)


class CountingThreads(ThreadPoolExecutor):
    """Attributes: `calls`, how many there were."""

    def __init__(self) -> None:
        super().__init__(1)
        self.calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        return super().submit(fn, *args, **kwargs)
