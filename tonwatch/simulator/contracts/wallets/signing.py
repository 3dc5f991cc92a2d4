"""What wallets' owners send: signed messages from outside, as each kind of wallet reads them."""

from typing import Final

from nacl.signing import SigningKey

from tonwatch.simulator.chain.cell_builder import Writer
from tonwatch.simulator.contracts.wallets.acceptance import DEFAULT_SUBWALLET, DEFAULT_TIMEOUT
from tonwatch.ton.cells import Cell, cell
from tonwatch.ton.wallets import WalletKind

_MODE: Final = 1
"""Fees are paid on top of the value, and a message that cannot be sent is an error."""

_VALID: Final = 60
"""Seconds for which an order can be carried out."""

_SEND_MESSAGE: Final = 0x0EC3C86D
_SIGNED_EXTERNAL: Final = 0x7369676E


def signed_body(
    kind: WalletKind, key: SigningKey, number: int, now: int, messages: tuple[Cell, ...]
) -> Cell:
    """The body of an order to send `messages`.

    Args:
        kind: of the wallet.
        key: its owner's.
        number: the wallet's seqno; for a highload wallet how many orders there were before.
        now: Unix seconds.
        messages: what it is to send; highload wallets send one at most.
    """
    writer = Writer()
    until = now + _VALID
    match kind:
        case WalletKind.V3R1 | WalletKind.V3R2 | WalletKind.V4R2:
            writer.uint(DEFAULT_SUBWALLET, 32).uint(until, 32).uint(number, 32)
            if kind is WalletKind.V4R2:
                writer.uint(0, 8)
            for message in messages:
                writer.uint(_MODE, 8).ref(message)
        case WalletKind.V5R1:
            writer.uint(_SIGNED_EXTERNAL, 32).uint(DEFAULT_SUBWALLET, 32)
            writer.uint(until, 32).uint(number, 32)
            actions = cell()
            for message in messages:
                action = Writer().ref(actions).uint(_SEND_MESSAGE, 32).uint(_MODE, 8)
                actions = action.ref(message).cell()
            writer.maybe_ref(actions if messages else None).uint(0, 1)
            signed = writer.cell()
            return Writer().rest(signed).take(key.sign(signed.hash).signature).cell()
        case WalletKind.HIGHLOAD_V2:
            writer.uint(DEFAULT_SUBWALLET, 32).uint(until, 32).uint(number, 32)
            orders = None
            if messages:
                # A dictionary with the key 0 of 16 bits: hml_same$11 0 and the length.
                orders = Writer().uint(0b110, 3).uint(16, 5).uint(_MODE, 8).ref(messages[0]).cell()
            writer.maybe_ref(orders)
        case WalletKind.HIGHLOAD_V3:
            writer.uint(DEFAULT_SUBWALLET, 32).ref(messages[0] if messages else cell())
            shift, bit = divmod(number, 1023)
            writer.uint(_MODE, 8).uint(shift, 13).uint(bit, 10)
            # The block's time may be a little behind the owner's.
            writer.uint(now - 5, 64).uint(DEFAULT_TIMEOUT, 22)
            signed = writer.cell()
            return Writer().take(key.sign(signed.hash).signature).ref(signed).cell()
    signed = writer.cell()
    return Writer().take(key.sign(signed.hash).signature).rest(signed).cell()
