"""The accounts that simulated wallets pay and are paid by: only their messages are simulated."""

from dataclasses import replace
from random import Random
from typing import Final

from tonwatch.simulator.chain.messages import EMPTY_BODY, SimMessage, bounced_body
from tonwatch.simulator.contracts import jetton
from tonwatch.simulator.contracts.contract import Contract
from tonwatch.simulator.contracts.jetton import JettonWallet
from tonwatch.simulator.contracts.wallets.wallet import Wallet
from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice

_FORWARD_FEE: Final = 266_669
"""The rest of the forward fee of a message of one cell, nanocoins."""

_BOUNCE_FEE: Final = 640_000
"""Nanocoins that a bounced message costs."""

_DEPLOY_FEE: Final = 11_000_000
"""Nanocoins that a jetton transfer costs its recipient's jetton wallet."""

SMALL_AMOUNT: Final = 20_000_000
"""Nanocoins of messages that are sent to run a contract."""

_JETTON_VALUE: Final = 100_000_000
"""Nanocoins attached to incoming jettons."""


class ExternalAccounts:
    """All accounts outside the simulated world. They answer in the block after the message.

    Args:
        seed: of the network; decides their addresses.
    """

    def __init__(self, seed: str) -> None:
        self._random = Random(f"external accounts of {seed}")

    def response(self, message: SimMessage, sender: Contract) -> SimMessage | None:
        """The message that an external account sends because of `message`; None for none."""
        wallet = sender if isinstance(sender, Wallet | JettonWallet) else None
        if wallet is None or not message.bounce:
            return None
        if wallet.payouts_bounce:
            value = message.value - _BOUNCE_FEE
            if value <= 0:
                return None
            return _reply(message, bounced_body(message.body), value, bounced=True)
        if isinstance(wallet, JettonWallet):
            query = Slice(message.body).uint(96) & (1 << 64) - 1
            value = message.value - jetton.NOTIFICATION - _DEPLOY_FEE
            excesses = _reply(message, jetton.excesses(query), value)
            return replace(excesses, destination=wallet.owner) if value > 0 else None
        return None

    def send_coins(
        self, contract: Contract, value: int, lt: int, now: int, init: Cell | None = None
    ) -> SimMessage:
        """A message with `value` nanocoins; `init` unfreezes the account."""
        return SimMessage(
            source=self._address(),
            destination=contract.address,
            body=EMPTY_BODY,
            value=value,
            forward_fee=_FORWARD_FEE,
            init=init,
            lt=lt,
            time=now,
        )

    def send_jettons(self, wallet: JettonWallet, amount: int, lt: int, now: int) -> SimMessage:
        """A message with jettons; the amount is in smallest units."""
        query = self._random.getrandbits(64)
        return SimMessage(
            source=self._address(),
            destination=wallet.address,
            body=jetton.internal_transfer(query, amount, self._address()),
            value=_JETTON_VALUE,
            forward_fee=_FORWARD_FEE,
            bounce=True,
            lt=lt,
            time=now,
        )

    def _address(self) -> Address:
        return Address(0, self._random.randbytes(32))


def _reply(message: SimMessage, body: Cell, value: int, *, bounced: bool = False) -> SimMessage:
    assert message.source is not None
    return SimMessage(
        source=message.destination,
        destination=message.source,
        body=body,
        value=value,
        forward_fee=_FORWARD_FEE,
        bounced=bounced,
        # After the message and its transaction there.
        lt=message.lt + 2,
        time=message.time,
    )
