"""External messages that were accepted and wait for the next block."""

from collections.abc import Mapping
from typing import Final

from tonwatch.simulator.chain import external_messages
from tonwatch.simulator.chain.accounts import Accounts
from tonwatch.simulator.chain.external_messages import Accept
from tonwatch.simulator.chain.messages import Letter
from tonwatch.ton.address import Address

_REMEMBERED: Final = 10_000
"""Messages by which one that comes twice is recognised."""


class Mempool:
    """The mempool that all nodes of the simulated network share.

    Args:
        accepts: the checks of the contracts that accept external messages.
    """

    def __init__(self, accepts: Mapping[Address, Accept]) -> None:
        self._accepts = accepts
        self._seen: dict[bytes, None] = {}
        self._waiting: list[Letter] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, accounts: Accounts, message: bytes, now: float) -> None:
        """As `WorldProtocol.receive`."""
        root, letter = external_messages.read(message)
        if root.hash in self._seen:
            raise external_messages.duplicate()
        external_messages.check(accounts, letter, int(now), self._accepts)
        self._seen[root.hash] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._waiting.append(letter)

    def take(self) -> list[Letter]:
        """All that wait, in the order in which they came; none waits then."""
        waiting, self._waiting = self._waiting, []
        return waiting
