"""When simulated wallets make payouts by themselves, and of which amounts."""

import math
from collections.abc import Iterator, Sequence
from heapq import heapify, heapreplace
from random import Random
from typing import Final

from tonwatch.simulator.contracts.expected_totals import NATIVE
from tonwatch.simulator.contracts.jetton import DECIMALS, USDT
from tonwatch.simulator.contracts.wallets.wallet import COIN, Payout, Wallet

_NATIVE: Final = (COIN // 2, 3 * COIN)
_JETTONS: Final = (10**DECIMALS, 30 * 10**DECIMALS)
"""Least and greatest amounts."""

_RESERVE: Final = COIN // 10
"""Nanocoins that are left for fees."""

_MOST_OVERDUE: Final = 5.0
"""Seconds of payouts that are made up for after the chain has stalled."""


class PayoutSchedule:
    """When the next payouts are due.

    Args:
        wallets: that pay.
        per_minute: payouts of each wallet in a minute.
        seed: of the network; decides the times.

    Attributes:
        next: when the next payout is due, in the chain's time, Unix seconds.
    """

    def __init__(self, wallets: Sequence[Wallet], per_minute: float, seed: str) -> None:
        self._wallets = wallets
        self._random = Random(f"payout schedule of {seed}")
        self._interval = 60 / per_minute if per_minute else math.inf
        self._heap: list[tuple[float, int]] = []
        self.next = 0.0 if wallets and per_minute else math.inf

    def due(self, now: float) -> Iterator[Wallet]:
        """The wallets that pay now, once for each payout."""
        if now >= self.next and not self._heap:
            delays = (self._interval * self._random.random() for _ in self._wallets)
            self._heap = [(now + delay, index) for index, delay in enumerate(delays)]
            heapify(self._heap)
            self.next = self._heap[0][0]
        while self.next <= now:
            moment, index = self._heap[0]
            pause = self._interval * self._random.uniform(0.5, 1.5)
            heapreplace(self._heap, (max(moment, now - _MOST_OVERDUE) + pause, index))
            self.next = self._heap[0][0]
            yield self._wallets[index]

    @staticmethod
    def payout(wallet: Wallet, balance: int) -> Payout | None:
        """A wallet's next payout, native and jettons in turn; None where coins do not suffice.

        Args:
            wallet: that pays.
            balance: its balance, nanocoins.
        """
        asset, (least, most) = (USDT, _JETTONS) if wallet.pays_jettons_next else (NATIVE, _NATIVE)
        wallet.pays_jettons_next = not wallet.pays_jettons_next
        amount = wallet.random.randint(least, most)
        needed = _RESERVE + (amount if asset == NATIVE else 0)
        return Payout(amount, asset) if needed <= balance else None
