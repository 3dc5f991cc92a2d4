"""Jettons: what a jetton's wallet stores, and the messages that move jettons.

Source: TEP-74; the wallets of ``ton-blockchain/token-contract`` and, for stablecoins,
``ton-blockchain/stablecoin-contract``; bounced bodies as in the node's ``block.tlb``.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from tonwatch.ton.address import Address
from tonwatch.ton.cells.cell import Cell, Slice, cell
from tonwatch.ton.errors import BadAnswer


class MoveKind(StrEnum):
    """Kinds of messages to and from jetton wallets, by op code."""

    TRANSFER = "transfer"
    INTERNAL_TRANSFER = "internal_transfer"
    BURN = "burn"
    BURN_NOTIFICATION = "burn_notification"
    TRANSFER_NOTIFICATION = "transfer_notification"
    EXCESSES = "excesses"


class Move(NamedTuple):
    """A message about jettons; `amount` in their smallest units, 0 for excesses."""

    kind: MoveKind
    amount: int


_KINDS: Final = {
    0x0F8A7EA5: MoveKind.TRANSFER,
    0x178D4519: MoveKind.INTERNAL_TRANSFER,
    0x595F07BC: MoveKind.BURN,
    0x7BDD97DE: MoveKind.BURN_NOTIFICATION,
    0x7362D09C: MoveKind.TRANSFER_NOTIFICATION,
    0xD53276DB: MoveKind.EXCESSES,
}


def balance_in(data: Cell, owner: Address, master: Address) -> int | None:
    """The balance in a jetton wallet's storage, in the jetton's smallest units.

    Args:
        data: the storage.
        owner: the expected owner.
        master: of the expected jetton.

    Returns:
        None where the storage layout is unknown, or is another wallet's.

    Raises:
        ProofInvalid: it is pruned.
    """
    for status_bits, refs in ((0, 1), (4, 0)):
        try:
            fields = Slice(data)
            fields.uint(status_bits)
            amount = fields.coins()
            matches = fields.address() == owner and fields.address() == master
        except BadAnswer:
            continue
        if matches and not fields.left and fields.refs_left == refs:
            return amount
    return None


def read_move(body: Cell) -> Move | None:
    """The jetton message in a body; None where it is none that is known.

    Anyone can send such a body: only the jetton wallet's own transaction shows its effect.
    """
    try:
        return _move(Slice(body))
    except BadAnswer:
        return None


def read_bounced(body: Cell) -> Move | None:
    """As `read_move`, of the body of a bounced message: its first 256 bits, or all."""
    try:
        fields = Slice(body)
        match fields.uint(32):
            case 0xFFFFFFFF:
                return _move(fields)
            case 0xFFFFFFFE:  # where the sender requested it, since 2025
                return _move(Slice(fields.ref()))
            case _:
                return None
    except BadAnswer:
        return None


def owner_argument(owner: Address) -> Cell:
    """The argument of ``get_wallet_address``: a slice with the owner's address."""
    return cell(owner.hash, head=f"100{owner.workchain & 0xFF:08b}")


def _move(fields: Slice) -> Move | None:
    kind = _KINDS.get(fields.uint(32))
    if kind is None:
        return None
    fields.uint(64)  # query
    return Move(kind, 0 if kind == MoveKind.EXCESSES else fields.coins())
