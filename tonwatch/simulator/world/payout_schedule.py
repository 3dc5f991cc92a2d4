"""When simulated wallets pay by themselves, and what."""

import math
from collections.abc import Iterator, Sequence
from heapq import heapify, heapreplace
from random import Random
from typing import Final

from tonwatch.simulator.contracts.expected_totals import NATIVE
from tonwatch.simulator.contracts.jetton import DECIMALS, USDT
from tonwatch.simulator.contracts.wallets.wallet import (
    COIN,
    JETTONS_AT_START,
    START,
    Payout,
    Wallet,
)

LOW: Final = START // 2
JETTONS_LOW: Final = JETTONS_AT_START // 2
"""Balances below which money comes in."""

TIP_CHANCE: Final = 0.05
"""How often a payout is followed by a stranger's small payment to the wallet."""

_NATIVE: Final = (COIN // 2, 3 * COIN)
_JETTONS: Final = (10**DECIMALS, 30 * 10**DECIMALS)
"""Amounts from least to most."""

_RESERVE: Final = COIN // 10
"""Nanocoins that a wallet's owner leaves for fees."""

_MOST_LATE: Final = 5.0
"""Seconds of payouts that are made up for after the chain has stood still."""


class Payday:
    """The payouts to come.

    Args:
        wallets: who pays.
        per_minute: how many payouts each makes.
        seed: of the network; decides when.

    Attributes:
        next: when the next one is due, in the chain's time, Unix seconds.
    """

    def __init__(self, wallets: Sequence[Wallet], per_minute: float, seed: str) -> None:
        self._wallets = wallets
        self._random = Random(f"paydays of {seed}")
        self._every = 60 / per_minute if per_minute else math.inf
        self._heap: list[tuple[float, int]] = []
        self.next = 0.0 if wallets and per_minute else math.inf

    def due(self, now: float) -> Iterator[Wallet]:
        """Those that pay now, once for each payout."""
        if now >= self.next and not self._heap:
            pauses = (self._every * self._random.random() for _ in self._wallets)
            self._heap = [(now + pause, index) for index, pause in enumerate(pauses)]
            heapify(self._heap)
            self.next = self._heap[0][0]
        while self.next <= now:
            moment, index = self._heap[0]
            then = max(moment, now - _MOST_LATE) + self._every * self._random.uniform(0.5, 1.5)
            heapreplace(self._heap, (then, index))
            self.next = self._heap[0][0]
            yield self._wallets[index]

    @staticmethod
    def payout(wallet: Wallet, balance: int) -> Payout | None:
        """What it pays, native and jettons by turns; None where it cannot afford that.

        Args:
            wallet: who pays.
            balance: what it has, nanocoins.
        """
        asset, (least, most) = (USDT, _JETTONS) if wallet.pays_jettons_next else (NATIVE, _NATIVE)
        wallet.pays_jettons_next = not wallet.pays_jettons_next
        amount = wallet.random.randint(least, most)
        needed = _RESERVE + (amount if asset == NATIVE else 0)
        return Payout(amount, asset) if needed <= balance else None
