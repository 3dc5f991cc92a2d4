"""Compares what tonwatch and pytoniq see of one liteserver at the same time.

The blocks are not the same: the chain goes on between two questions. So tonwatch is asked after
pytoniq for the very block that pytoniq saw, with its proof and on a new connection, as pytoniq
asks; and that block must lie between two heads that tonwatch saw before and after.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from tonwatch.samples.sample import Head, Sample
from tonwatch.targets.cross_check import CrossCheck
from tonwatch.targets.liteserver.second_client import NotAsked, SecondClientFailed

_TOLERANCE: Final = 16
"""Blocks by which pytoniq's may lie outside: servers that share an address differ by some."""


class Probed(Protocol):
    """A liteserver as tonwatch's own probes see it."""

    async def head(self) -> Sample:
        """Where it stands."""

    async def connect(self) -> Sample:
        """Whether it can be connected to, and proves its last block."""

    async def block_at(self, seqno: int) -> Sample:
        """Which block it has at a seqno, proven."""


async def compare(
    probed: Probed, pytoniq: Callable[[], Awaitable[Head]], before: Head | None
) -> CrossCheck:
    """Ask with both, and once more where they disagree: a node may restart between two questions.

    Args:
        probed: asks with tonwatch's own client.
        pytoniq: asks for the last block with pytoniq's; raises what `second_client.head` does.
        before: what tonwatch saw earlier; None where that failed.
    """
    result = await _compare(probed, pytoniq, before)
    return result if result.agrees is not False else await _compare(probed, pytoniq, before)


async def _compare(
    probed: Probed, pytoniq: Callable[[], Awaitable[Head]], before: Head | None
) -> CrossCheck:
    try:
        block = await pytoniq()
    except NotAsked as error:
        return CrossCheck(None, f"not asked: {error}")
    except SecondClientFailed as error:
        own = await probed.connect()
        if own.ok:
            return CrossCheck(False, f"tonwatch can use it, pytoniq cannot: {error}")
        return CrossCheck(True, f"pytoniq cannot use it either: {error} (tonwatch: {own.reason})")
    own = await probed.block_at(block.seqno)
    after = (await probed.head()).head
    if own.head is None:
        why = f"{own.reason}: {own.detail}"
        return CrossCheck(False, f"pytoniq sees block {block.seqno}, tonwatch does not: {why}")
    if own.head.root_hash != block.root_hash:
        return CrossCheck(
            False,
            f"pytoniq sees another block {block.seqno}: {block.root_hash.hex()}"
            f" in place of {own.head.root_hash.hex()}",
        )
    known = [head.seqno for head in (before, after) if head is not None]
    if known and not min(known) - _TOLERANCE <= block.seqno <= max(known) + _TOLERANCE:
        heads = " and then ".join(map(str, known))
        return CrossCheck(False, f"pytoniq sees block {block.seqno}, tonwatch {heads}")
    return CrossCheck(True, f"pytoniq sees block {block.seqno} too")
