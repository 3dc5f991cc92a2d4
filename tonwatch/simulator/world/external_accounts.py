"""Everybody whom the simulated wallets pay, and who pays them: what comes from there."""

from dataclasses import replace
from random import Random
from typing import Final

from tonwatch.simulator.chain.messages import EMPTY_BODY, Letter, bounced_body
from tonwatch.simulator.contracts import jetton
from tonwatch.simulator.contracts.contract import Resident
from tonwatch.simulator.contracts.jetton import JettonWallet
from tonwatch.simulator.contracts.wallets.wallet import Wallet
from tonwatch.ton.address import Address
from tonwatch.ton.cells import Cell, Slice

_FORWARD_FEE: Final = 266_669
"""What is left for who delivers a message of one cell, nanocoins."""

_BOUNCING: Final = 640_000
"""Nanocoins that it costs to send something back."""

_DEPLOYING: Final = 11_000_000
"""Nanocoins that a jetton transfer costs its recipient's jetton wallet."""

TIP: Final = 20_000_000
"""Nanocoins with messages that are not about money."""

_JETTON_FEES: Final = 100_000_000
"""Nanocoins with jettons that come in."""


class Abroad:
    """Strangers. Their messages arrive a block after what caused them.

    Args:
        seed: of the network; decides who they are.
    """

    def __init__(self, seed: str) -> None:
        self._random = Random(f"strangers of {seed}")

    def reaction(self, letter: Letter, sender: Resident) -> Letter | None:
        """What comes back of a message to a stranger."""
        wallet = sender if isinstance(sender, Wallet | JettonWallet) else None
        if wallet is None or not letter.bounce:
            return None
        if wallet.bounces:
            value = letter.value - _BOUNCING
            if value <= 0:
                return None
            return _answer(letter, bounced_body(letter.body), value, bounced=True)
        if isinstance(wallet, JettonWallet):
            query = Slice(letter.body).uint(96) & (1 << 64) - 1
            value = letter.value - jetton.NOTIFICATION - _DEPLOYING
            left = _answer(letter, jetton.excesses(query), value)
            return replace(left, destination=wallet.owner) if value > 0 else None
        return None

    def coins(
        self, wallet: Resident, value: int, lt: int, now: int, init: Cell | None = None
    ) -> Letter:
        """Coins from a stranger; `init` is code and data for an account that has lost its own."""
        return Letter(
            source=self._somebody(),
            destination=wallet.address,
            body=EMPTY_BODY,
            value=value,
            forward_fee=_FORWARD_FEE,
            init=init,
            lt=lt,
            time=now,
        )

    def jettons(self, wallet: JettonWallet, amount: int, lt: int, now: int) -> Letter:
        """Jettons from a stranger."""
        query = self._random.getrandbits(64)
        return Letter(
            source=self._somebody(),
            destination=wallet.address,
            body=jetton.arrival(query, amount, self._somebody()),
            value=_JETTON_FEES,
            forward_fee=_FORWARD_FEE,
            bounce=True,
            lt=lt,
            time=now,
        )

    def _somebody(self) -> Address:
        return Address(0, self._random.randbytes(32))


def _answer(letter: Letter, body: Cell, value: int, *, bounced: bool = False) -> Letter:
    assert letter.source is not None
    return Letter(
        source=letter.destination,
        destination=letter.source,
        body=body,
        value=value,
        forward_fee=_FORWARD_FEE,
        bounced=bounced,
        # After the message itself and its transaction there.
        lt=letter.lt + 2,
        time=letter.time,
    )
