"""External messages that were accepted and wait for the next block."""

from collections.abc import Mapping
from typing import Final

from tonwatch.simulator.chain import external_messages
from tonwatch.simulator.chain.accounts import Accounts
from tonwatch.simulator.chain.external_messages import Accept
from tonwatch.simulator.chain.messages import SimMessage
from tonwatch.ton.address import Address

_MOST_SEEN: Final = 10_000
"""Messages that are kept to recognise duplicates."""


class Mempool:
    """The mempool that all nodes of the simulated network share.

    Args:
        accepts: the checks of the contracts that accept external messages.
    """

    def __init__(self, accepts: Mapping[Address, Accept]) -> None:
        self._accepts = accepts
        self._seen: dict[bytes, None] = {}
        self._pending: list[SimMessage] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, accounts: Accounts, boc: bytes, now: float) -> None:
        """As `WorldProtocol.add_external_message`."""
        root, message = external_messages.read(boc)
        if root.hash in self._seen:
            raise external_messages.duplicate()
        external_messages.check(accounts, message, int(now), self._accepts)
        self._seen[root.hash] = None
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        self._pending.append(message)

    def clear(self) -> None:
        """Forget all messages, also those that were taken."""
        self._seen.clear()
        self._pending.clear()

    def take(self) -> list[SimMessage]:
        """Remove and return all messages, in the order in which they came."""
        pending, self._pending = self._pending, []
        return pending
